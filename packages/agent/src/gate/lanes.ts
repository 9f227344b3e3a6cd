// What the agent knows of each lane: its floor, and who is attached to it.
//
//   floored ──attach (epoch ≥ floor)──▶ attached (epoch, session, stream) ──stream ends──▶ attached, no stream
//                                          │   ▲                                              │
//                                          └───┴──── attach: a higher epoch, or a later session of the same epoch
//
// A lane reports to exactly one stream. The epoch and session of the last attach outlive its stream, so that what an
// older stream still has in its buffers can never take the lane back.
import { type Epoch, invalid, type Lane, laneCount, lanesOf, type OwnedPartition } from "@sluice/core";

/** Where a frame comes from. */
export interface Origin {
  readonly streamId: number;
  readonly session: number;
}

interface LaneState {
  floor: Epoch;
  /** Epoch and session of the last attach; 0: none yet. */
  epoch: Epoch;
  session: number;
  streamId: number | undefined;
}

export class Lanes {
  readonly #queues = new Map<string, LaneState[]>();

  /** Raises floors; a floor never goes down. */
  raise(queue: string, floors: readonly Epoch[]): void {
    const lanes = this.#lanesOf(queue);
    lanes.forEach((lane, index) => {
      lane.floor = Math.max(lane.floor, floors[index] ?? 0);
    });
  }

  floorOf(queue: string, lane: Lane): Epoch {
    return this.#queues.get(queue)?.[lane]?.floor ?? 0;
  }

  /**
   * Gives a partition to the sender of an attach: undefined. Refused, with nothing changed, if one of its lanes has seen a
   * higher epoch, or a later attach of the same epoch: the highest floor of its lanes.
   */
  attach({ queue, prefix, epoch }: OwnedPartition, origin: Origin): Epoch | undefined {
    if (!/^[01]{0,5}$/.test(prefix)) throw invalid("INVALID_FRAME", "prefix", `not a prefix of lanes: ${prefix}`);
    const { from, until } = lanesOf(prefix);
    const lanes = this.#lanesOf(queue).slice(from, until);
    if (lanes.some((lane) => lane.floor > epoch || isOlder(epoch, origin, lane))) {
      return Math.max(...lanes.map(({ floor }) => floor));
    }
    for (const lane of lanes) Object.assign(lane, { floor: epoch, epoch, ...origin });
    return undefined;
  }

  /** Whether the frame comes from the attach that the lane listens to. */
  isAttachedTo({ queue, lane }: { queue: string; lane: Lane }, epoch: Epoch, origin: Origin): boolean {
    const state = this.#queues.get(queue)?.[lane];
    return state?.epoch === epoch && state.session === origin.session && state.streamId === origin.streamId;
  }

  /** Where to report; undefined: to nobody now. */
  reporterOf({ queue, lane }: { queue: string; lane: Lane }): Origin | undefined {
    const state = this.#queues.get(queue)?.[lane];
    return state?.streamId === undefined ? undefined : { streamId: state.streamId, session: state.session };
  }

  /** The stream has ended. */
  detach(streamId: number): void {
    for (const lanes of this.#queues.values()) {
      for (const lane of lanes) if (lane.streamId === streamId) lane.streamId = undefined;
    }
  }

  #lanesOf(queue: string): LaneState[] {
    let lanes = this.#queues.get(queue);
    if (!lanes) {
      lanes = Array.from({ length: laneCount }, () => ({ floor: 0, epoch: 0, session: 0, streamId: undefined }));
      this.#queues.set(queue, lanes);
    }
    return lanes;
  }
}

/** An attach that a later one of the same owner has overtaken. The same attach again, on its own stream, is not older. */
function isOlder(epoch: Epoch, { session, streamId }: Origin, lane: LaneState): boolean {
  if (lane.epoch !== epoch) return false;
  return session < lane.session || (session === lane.session && streamId !== lane.streamId);
}
