import { timingSafeEqual } from "node:crypto";
import { type AccountId, AppError, type Clock, type Random } from "@sluice/core";
import { type Authenticate, localAccount } from "../accounts/authenticate.ts";
import type { LookUpKey } from "../accounts/known-keys.ts";
import { isLoopback } from "../accounts/loopback.ts";
import {
  bodyDigestHeader,
  dateHeader,
  forms,
  parseAuthorization,
  type SignedHead,
  sha256,
  signatureOf,
} from "./signature.ts";

/** Who sends a request, known before its body is read. */
export interface Caller {
  readonly accountId: AccountId;
  /** The same for a request that is repeated as it is, and for no other; empty if nothing tells. */
  readonly requestToken: string;
  /** Throws `INVALID_SIGNATURE` unless it is the body that was signed. */
  checkBody(body: Buffer): void;
}

export type AuthenticateHttp = (head: SignedHead) => Promise<Caller>;

export interface AuthenticateHttpOptions {
  readonly auth: "keys" | "none";
  readonly clock: Clock;
  readonly random: Random;
  readonly lookUpKey: LookUpKey;
  /** For `Bearer <key id>:<secret>`, as gRPC has it. */
  readonly authenticate: Authenticate;
}

/** How far a request's date may be from ours, as the service that this API comes from has it. */
const skewMsMax = 15 * 60_000;

/** Accepts requests that an SDK signed, or with a bearer credential; throws with code `unauthenticated`. */
export function createAuthenticateHttp(options: AuthenticateHttpOptions): AuthenticateHttp {
  const { auth, clock, random, lookUpKey, authenticate } = options;
  const never = new AbortController().signal;
  // Nobody's secret, for keys that are not there: what is signed with it is not known to anybody either.
  const noSecret = random.hex(32);

  return async (head) => {
    if (auth === "none") {
      checkHost(head.headers.host ?? "");
      return { accountId: localAccount, ...unsigned };
    }
    const { authorization = "" } = head.headers;
    if (authorization === "") {
      throw new AppError("unauthenticated", "MISSING_CREDENTIAL", `send \`authorization\`: ${forms}`);
    }
    if (/^Bearer /i.test(authorization)) {
      return { accountId: await authenticate({ signal: never, headers: { authorization } }), ...unsigned };
    }
    const { keyId, signedHeaders, signature } = parseAuthorization(authorization, head.headers);
    checkDate(String(head.headers[dateHeader]), clock.now());
    const key = await lookUpKey(keyId);
    // Computed and compared in any case, so that this does not tell which key ids exist.
    const expected = signatureOf(key?.secret ?? noSecret, head, signedHeaders);
    const isRight = timingSafeEqual(Buffer.from(signature), Buffer.from(expected));
    if (key === undefined || !isRight) {
      throw refused(
        "unknown access key, disabled, or another signature than that of its secret; behind a proxy, keep the host header",
      );
    }
    return {
      accountId: key.accountId,
      requestToken: `acs3-${signature}`,
      checkBody(body) {
        if (sha256(body) !== head.headers[bodyDigestHeader]) throw refused("the body is not the one that was signed");
      },
    };
  };
}

const unsigned = { requestToken: "", checkBody: () => undefined };

/**
 * Without credentials whoever reaches the port may call. A web page does not, unless its own name is made to lead here (DNS rebinding);
 * then this is the name that the browser sends.
 */
function checkHost(host: string): void {
  if (isLoopback(host.replace(/:\d+$/, "").replace(/^\[|\]$/g, ""))) return;
  const message = `without keys only this machine may call, by the name localhost or 127.0.0.1, not ${host || "none"}`;
  throw new AppError("forbidden", "FOREIGN_HOST", message);
}

function checkDate(text: string, now: number): void {
  const at = Date.parse(text);
  if (Math.abs(at - now) <= skewMsMax) return;
  const message = `${dateHeader} must be within 15 minutes of ${new Date(now).toISOString()}, not ${text}; set the clock`;
  throw new AppError("unauthenticated", "REQUEST_EXPIRED", message);
}

function refused(message: string): AppError {
  return new AppError("unauthenticated", "INVALID_SIGNATURE", message);
}
