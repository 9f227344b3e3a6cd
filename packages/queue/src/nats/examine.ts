// Looks whether a consumer can be trusted after something happened. The cure is always the same: create it anew under its
// name, so that everything not acked is delivered again. That costs a look at rows that are finished already.
//
// Not a purge up to the ack floor: nats-server 2.9 forgets with it what the consumer has delivered and not seen acked, and
// after a stream has lost its tail the numbers below the floor belong to blocks that nobody has seen.
import type { Clock, Random } from "@sluice/core";
import { apiCode, type ConsumerInfo, isApiError } from "./api.ts";
import { staleEpoch } from "./failures.ts";
import type { Inbox } from "./inbox.ts";
import { higherEpoch } from "./open-consumer.ts";
import { consumerName, type OwnedShare } from "./subjects.ts";

export interface ExamineDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly replicas: 1 | 3;
}

/** What it needs of a session. */
export interface ExaminedSession {
  readonly serverId: string;
  readonly api: {
    consumer(name: string): Promise<Pick<ConsumerInfo, "delivered">>;
    stream(): Promise<{ readonly state: { readonly last_seq: number } }>;
    consumerNames(): Promise<readonly string[]>;
  };
}

/** What it needs of an inbox. */
export interface ExaminedInbox extends Pick<Inbox, "doubt" | "serverId" | "consumerSeq"> {
  readonly session: ExaminedSession | undefined;
}

/** Why a consumer is created anew. */
export type Cause =
  /** Somebody deleted it. */
  | "missing"
  /** With the stream. */
  | "stream"
  /** A server that was killed has forgotten acks, or what the consumer had delivered. */
  | "restart"
  /** What it delivered last went down with the connection, as seen at once or later. */
  | "in_flight"
  | "lost"
  /** The stream lost its end: the consumer stands behind it, and would deliver nothing until the stream gets there. */
  | "position"
  | "stalled"
  | "ghosts";

/**
 * Whoever opens a partition deletes the old consumer before it creates its own; the old owner must not step in between. Much
 * longer than that takes.
 */
const patienceMs = 400;

/** Undefined: sound. Rejects with `STALE_EPOCH` when a higher epoch has replaced it. */
export async function examine(
  { clock, random, replicas }: ExamineDeps,
  session: ExaminedSession,
  share: OwnedShare,
  inbox: ExaminedInbox,
): Promise<Cause | undefined> {
  if (inbox.doubt === "lost" || inbox.doubt === "stalled" || inbox.doubt === "ghosts") return inbox.doubt;
  const isReconnected = inbox.serverId !== undefined && inbox.session !== session;
  if (isReconnected && replicas === 1 && inbox.serverId !== session.serverId) return "restart";
  let info: Pick<ConsumerInfo, "delivered">;
  try {
    info = await session.api.consumer(consumerName(share));
  } catch (error) {
    if (isApiError(error, apiCode.streamNotFound)) return "stream";
    if (!isApiError(error, apiCode.consumerNotFound)) throw error;
    await refuseIfReplaced(session, share);
    await clock.sleep(patienceMs * (1 + random.next()));
    await refuseIfReplaced(session, share);
    return "missing";
  }
  if (isReconnected && info.delivered.consumer_seq > inbox.consumerSeq) return "in_flight";
  // After the consumer, so that what was published in between does not look like a stream that went on.
  const { state } = await session.api.stream();
  return info.delivered.stream_seq > state.last_seq ? "position" : undefined;
}

async function refuseIfReplaced(session: ExaminedSession, share: OwnedShare): Promise<void> {
  const epoch = await higherEpoch(session.api, share);
  if (epoch !== undefined) throw staleEpoch(share, epoch);
}
