// Negative controls: each switches one protection off, in the wrappers around the code under test. With a protection off the
// checkers must find a violation; if they do not, the simulation is too kind.
import type { OwnedPartition } from "@sluice/core";
import { covers, laneCount, lanesOf } from "@sluice/core";
import type { AttemptRef, FromAgent, ToAgent } from "@sluice/protocol";
import type { LaneRecords, Stale, Store } from "@sluice/store";
import type { Tap } from "./net/stream.ts";

export const controls = {
  inventory: "the inventory of an agent never reaches its new owner",
  "store-floor": "the store takes writes of owners that were replaced",
  "agent-floor": "agents take any owner, whatever they have seen before",
  dedupe: "an agent does not recognise an attempt that it was given before",
  watchdog: "nobody kills the instances of an agent that is gone or silent",
  sweeper: "nobody looks for rows that lost their message",
} as const;
export type Control = keyof typeof controls;

/** What an owner may do with rows, under a control. */
export function alteredStore(store: Store, off: Control | undefined): Store {
  if (off === "sweeper")
    return { ...store, lanes: { ...store.lanes, sweep: async () => ({ seqs: [], last: undefined }) } };
  if (off === "store-floor") return { ...store, lanes: withoutFloor(store.lanes) };
  return store;
}

/** A stale owner's calls are repeated in the name of the true one. */
function withoutFloor(lanes: LaneRecords): LaneRecords {
  async function anyway<T>(
    owner: OwnedPartition,
    call: (owner: OwnedPartition) => Promise<T | Stale>,
  ): Promise<T | Stale> {
    const answer = await call(owner);
    if (answer !== "stale") return answer;
    const { from } = lanesOf(owner.prefix);
    const floors = await lanes.floors(owner.queue);
    return call({ ...owner, epoch: floors[from] ?? 0 });
  }
  return {
    ...lanes,
    read: (owner, seqs) => anyway(owner, (as) => lanes.read(as, seqs)),
    write: (owner, writes) => anyway(owner, (as) => lanes.write(as, writes)),
    unpark: (owner, limit, except) => anyway(owner, (as) => lanes.unpark(as, limit, except)),
    sweep: (owner, options) => anyway(owner, (as) => lanes.sweep(as, options)),
    touch: (owner, seqs) => anyway(owner, (as) => lanes.touch(as, seqs)),
    marked: (owner, limit) => anyway(owner, (as) => lanes.marked(as, limit)),
  };
}

/** What passes between an owner and an agent, under a control. */
export function alteredFrames(off: Control | undefined, disguise: Disguise): Tap {
  if (off === "inventory") return { down: (frame) => withoutInventory(frame as FromAgent) };
  if (off === "agent-floor") return disguise.stream();
  if (off === "dedupe") return forgetful();
  return {};
}

function withoutInventory(message: FromAgent): FromAgent {
  if (message.frame?.$case !== "attached") return message;
  return { frame: { $case: "attached", value: { ...message.frame.value, inventory: [] } } };
}

/**
 * Gives every attach an epoch that the agent has never seen, higher than all before, and translates back what others look at:
 * the agent's own floor never refuses anybody.
 */
export class Disguise {
  #last = 1_000_000_000;
  readonly #real = new Map<number, number>();

  realEpoch(epoch: number): number {
    return this.#real.get(epoch) ?? epoch;
  }

  stream(): Tap {
    const owners: { readonly real: OwnedPartition; readonly fake: number }[] = [];
    const fakeOf = (ref: Pick<AttemptRef, "queue" | "lane">, epoch: number) =>
      owners.findLast(
        ({ real }) => real.queue === ref.queue && real.epoch === epoch && covers(real.prefix, ref.lane % laneCount),
      )?.fake ?? epoch;
    return {
      up: (message) => {
        const { frame } = message as ToAgent;
        if (frame?.$case === "attach") {
          for (const partition of frame.value.partitions) {
            const fake = ++this.#last;
            this.#real.set(fake, partition.epoch);
            owners.push({ real: { ...partition }, fake });
            partition.epoch = fake;
          }
        } else if (frame?.$case === "dispatch") {
          for (const attempt of frame.value.attempts) attempt.epoch = fakeOf(attempt, attempt.epoch);
        } else if (frame?.$case === "stop" || frame?.$case === "confirm") {
          const [ref] = frame.value.attempts;
          if (ref) frame.value.epoch = fakeOf(ref, frame.value.epoch);
        }
        return message;
      },
    };
  }
}

const alias = 2 ** 40;

/** The true number of a task that an agent was given under another one. */
export function realSeq(seq: number): number {
  return seq % alias;
}

/** An attempt that comes again on a stream comes under another number, of which its owner hears nothing. */
function forgetful(): Tap {
  const seen = new Set<string>();
  return {
    up(message) {
      const { frame } = message as ToAgent;
      if (frame?.$case !== "dispatch") return message;
      for (const attempt of frame.value.attempts) {
        const key = `${attempt.seq}/${attempt.attempt}`;
        if (seen.has(key)) attempt.seq += alias;
        seen.add(key);
      }
      return message;
    },
    down(message) {
      const { frame } = message as FromAgent;
      if (frame?.$case === "refused") {
        for (const { ref } of frame.value.attempts) seen.delete(`${ref?.seq}/${ref?.attempt}`);
      }
      if (frame?.$case === "attached") frame.value.inventory = frame.value.inventory.filter(isReal);
      if (frame?.$case === "ended" || frame?.$case === "started" || frame?.$case === "refused") {
        const { value } = frame as { value: { attempts: { ref?: AttemptRef | undefined }[] } };
        value.attempts = value.attempts.filter(isReal);
      }
      return message;
    },
  };
}

function isReal({ ref }: { readonly ref?: AttemptRef | undefined }): boolean {
  return ref !== undefined && ref.seq < alias;
}
