// Agents prove with a join token that they belong to the cluster, and so do schedulers towards agents. Several tokens may
// be good at the same time, so that they can be replaced without a gap: everybody accepts all of its own and gives the first.
import { createHash, timingSafeEqual } from "node:crypto";
import { AppError } from "@sluice/core";
import type { CallContext } from "./rpc.ts";

const joinTokenHeader = "sluice-join-token";

/** What a caller that has these tokens sends with every call, for `ApiClientOptions.headers`. */
export function joinTokenHeaders([first]: readonly string[]): Readonly<Record<string, string>> {
  return first === undefined ? {} : { [joinTokenHeader]: first };
}

/** Throws unless the call came with one of the tokens among its headers. */
export function checkJoinTokenOf({ headers }: CallContext, accepted: readonly string[]): void {
  checkJoinToken(headers?.[joinTokenHeader], accepted);
}

/** Throws `INVALID_JOIN_TOKEN` unless it is one of the accepted; takes the same time whichever, and wherever they differ. */
export function checkJoinToken(given: string | undefined, accepted: readonly string[]): void {
  const wanted = digest(given ?? "");
  const hits = accepted.filter((token) => timingSafeEqual(digest(token), wanted));
  if (hits.length > 0 && given) return;
  const what = given ? "is not one of this cluster" : "is missing";
  throw new AppError("unauthenticated", "INVALID_JOIN_TOKEN", `the join token ${what}; set SLUICE_JOIN_TOKEN as there`);
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
