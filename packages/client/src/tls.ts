import { connect } from "node:tls";
import { type ChannelCredentials, credentials } from "@grpc/grpc-js";
import type { Api, CallContext, Definition } from "@sluice/protocol";
import { InvalidArgument, TlsFailed, toSluiceError } from "./errors.ts";

/** PEM texts. */
export interface TlsOptions {
  /** Authority that the server's certificate is signed by. Default: the public ones. */
  readonly ca?: string | Uint8Array;
  /** With `key`: certificate of this client, for a server that asks for one. */
  readonly cert?: string | Uint8Array;
  readonly key?: string | Uint8Array;
}

/** Throws `InvalidArgument` when the texts are not what they should be. */
export function tlsCredentials(tls: boolean | TlsOptions | undefined): ChannelCredentials {
  if (!tls) return credentials.createInsecure();
  const { ca, cert, key } = tls === true ? {} : tls;
  const bytes = (text: string | Uint8Array | undefined) => (text === undefined ? null : Buffer.from(text));
  if ((cert === undefined) !== (key === undefined)) {
    throw new InvalidArgument("invalid", "INVALID_TLS", "give both tls.cert and tls.key, or neither", { field: "tls" });
  }
  try {
    return credentials.createSsl(bytes(ca), bytes(key), bytes(cert));
  } catch (cause) {
    const message = `the TLS files cannot be used: ${cause instanceof Error ? cause.message : String(cause)}`;
    throw new InvalidArgument("invalid", "INVALID_TLS", message, { field: "tls", cause });
  }
}

interface Peer {
  /** host:port */
  readonly address: string;
  readonly tls: boolean | TlsOptions | undefined;
}

type AnyCall = (input: unknown, context: CallContext) => Promise<unknown> & AsyncIterable<unknown>;

/**
 * A server that wants TLS, or a client certificate, just closes the connection. So does one that is about to end. Asks it,
 * so that a caller need not wait for what will not change.
 */
export function explainClosing<D extends Definition>(definition: D, api: Api<D>, peer: Peer): Api<D> {
  const explained: Record<string, unknown> = {};
  for (const [name, method] of Object.entries(definition)) {
    const call = (api as Record<string, unknown>)[name] as AnyCall;
    explained[name] = method.responseStream
      ? async function* (input: unknown, context: CallContext) {
          try {
            yield* call(input, context);
          } catch (cause) {
            throw await explain(cause, peer);
          }
        }
      : (input: unknown, context: CallContext) =>
          call(input, context).catch(async (cause: unknown) => {
            throw await explain(cause, peer);
          });
  }
  return explained as Api<D>;
}

async function explain(cause: unknown, peer: Peer): Promise<unknown> {
  if (toSluiceError(cause).reason !== "CONNECTION_CLOSED") return cause;
  const answer = await greet(peer);
  if (answer === "silent") return cause;
  if (!peer.tls) {
    const wish = answer === "refused" ? "TLS and a client certificate" : "TLS";
    return new TlsFailed("unavailable", "TLS_REQUIRED", `the server wants ${wish}; connect with it`, { cause });
  }
  if (answer === "welcome") return cause;
  const message = "the server wants a client certificate that it trusts; connect with one";
  return new TlsFailed("unavailable", "CLIENT_CERTIFICATE_REFUSED", message, { cause });
}

const greetingMsMax = 2_000;

/** Begins a connection with TLS, and waits for a word: whether the server takes part, and whether it then refuses the client. */
async function greet({ address, tls }: Peer): Promise<"welcome" | "refused" | "silent"> {
  const [, host, port] = /^\[?([^[\]]+?)\]?:(\d+)$/.exec(address) ?? [];
  if (host === undefined) return "silent";
  const { cert, key } = tls && tls !== true ? tls : {};
  const socket = connect({
    host,
    port: Number(port),
    ...(cert && key && { cert: Buffer.from(cert), key: Buffer.from(key) }),
    ALPNProtocols: ["h2"],
    // Nothing is sent to it: this only looks whether it speaks TLS.
    rejectUnauthorized: false,
    timeout: greetingMsMax,
  });
  return new Promise((resolve) => {
    let speaksTls = false;
    const end = (isRefused: boolean) => {
      resolve(isRefused ? "refused" : speaksTls ? "welcome" : "silent");
      socket.destroy();
    };
    socket.once("secureConnect", () => {
      speaksTls = true;
    });
    socket.once("data", () => end(false));
    socket.once("timeout", () => end(false));
    // Node gives no reason to a client whose certificate it does not trust.
    socket.once("close", () => end(speaksTls && cert !== undefined));
    socket.on("error", (error) => end(/\balert\b/.test(error.message)));
  });
}
