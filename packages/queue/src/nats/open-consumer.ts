// Makes a consumer the only one of its lanes.
//
//   listing ──a higher epoch──▶ STALE_EPOCH
//      │ ▲
//      ▼ └──somebody was faster: the server refuses overlapping filters──┐
//   deleting the older ones ──▶ creating ────────────────────────────────┴──▶ open
//
// Between two who open at the same time the server lets in one, and the other looks again: the higher epoch deletes what the
// lower one created, the lower one gives up. A deleted consumer takes its acknowledgements with it, so that everything not
// acked is delivered to the new one at once.
import { AppError, type Clock, type Epoch, type Random } from "@sluice/core";
import { ApiError, apiCode, type ConsumerConfig, isApiError, type JetStreamApi } from "./api.ts";
import type { Session } from "./connection.ts";
import { isStaleEpoch, staleEpoch } from "./failures.ts";
import type { TaskStream } from "./stream.ts";
import { consumerName, filterOf, type OwnedShare, parseConsumerName, sharesBlocks } from "./subjects.ts";

export interface OpenDeps {
  readonly stream: TaskStream;
  readonly clock: Clock;
  readonly random: Random;
  readonly ackWaitMs: number;
}

/** A cluster that lost a leader takes up to 8 s to answer; an owner tries again anyway. */
const deadlineMs = 10_000;
const retryMs = 100;
/**
 * Blocks that one consumer may have delivered without an ack: more than an owner looks ahead, because repeats count as well.
 * What bounds it in truth is that an owner pulls no more than it has room for.
 */
const unackedMax = 65_536;

/** Rejects with `STALE_EPOCH` if an overlapping consumer of a higher epoch exists. */
export async function openConsumer(deps: OpenDeps, session: Session, share: OwnedShare): Promise<void> {
  const { stream, clock, random, ackWaitMs } = deps;
  const giveUpAt = clock.monotonic() + deadlineMs;
  for (;;) {
    try {
      const rivals = await rivalsOf(session, share);
      await Promise.all(rivals.map((rival) => session.api.deleteConsumer(consumerName(rival))));
      await session.api.createConsumer(configOf(share, ackWaitMs));
      return;
    } catch (error) {
      if (isStaleEpoch(error) || clock.monotonic() >= giveUpAt) throw error;
      if (isApiError(error, apiCode.streamNotFound)) await stream.ensure(session);
      else if (!mayPass(error)) throw error;
      await clock.sleep(retryMs * random.next());
    }
  }
}

/** Not when the connection is lost; but when somebody else's consumer was faster, or a leader is being elected. */
function mayPass(error: unknown): boolean {
  return error instanceof ApiError || (error instanceof AppError && error.code === "timeout");
}

/** The older consumers of the same blocks, and the one of the same name. */
async function rivalsOf(session: Session, share: OwnedShare): Promise<OwnedShare[]> {
  const rivals = (await session.api.consumerNames())
    .map(parseConsumerName)
    .filter((other) => other !== undefined)
    .filter((other) => sharesBlocks(other, share));
  for (const rival of rivals) {
    const isReopened = rival.epoch === share.epoch && rival.prefix === share.prefix;
    if (rival.epoch >= share.epoch && !isReopened) throw staleEpoch(share, rival.epoch);
  }
  return rivals;
}

/** The epoch of an overlapping consumer that is higher, if there is one. */
export async function higherEpoch(
  api: Pick<JetStreamApi, "consumerNames">,
  share: OwnedShare,
): Promise<Epoch | undefined> {
  const names = await api.consumerNames();
  return names
    .map(parseConsumerName)
    .find((other) => other !== undefined && other.epoch > share.epoch && sharesBlocks(other, share))?.epoch;
}

function configOf(share: OwnedShare, ackWaitMs: number): ConsumerConfig {
  return {
    durable_name: consumerName(share),
    filter_subject: filterOf(share),
    deliver_policy: "all",
    ack_policy: "explicit",
    replay_policy: "instant",
    ack_wait: ackWaitMs * 1e6,
    // The store counts attempts. A message delivered too often would stay in the stream, and reach nobody.
    max_deliver: -1,
    max_ack_pending: unackedMax,
  };
}
