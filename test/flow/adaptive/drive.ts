// One downstream, driven by the owners of some partitions that know nothing of each other, from a backlog without end: the
// production policy in a closed loop of events on simulated time.
import { createAdaptiveFlow, type Random } from "@sluice/core";
import { seededRandom } from "@sluice/core/testing";
import { decideLimit, defaultAimdConfig, noteOutcomes, startAimd } from "./aimd.ts";
import type { Downstream } from "./downstream.ts";
import { createEvents } from "./events.ts";

export const policies = ["adaptive", "aimd", "none"] as const;
export type PolicyName = (typeof policies)[number];

export interface DriveOptions {
  readonly downstream: () => Downstream;
  readonly seconds: number;
  /** How long a call takes that is taken; drawn for each. Default 10 ms. */
  readonly taskMs?: (random: Random) => number;
  /** How long it takes until a refusal comes back; default 5 ms. */
  readonly refusalMs?: number;
  /** From the pick of a task until it is sent, while its row is read: uniform between half and three halves of it. Default 0. */
  readonly readMs?: number;
  /** To the downstream and back, each; uniform between half and three halves of it. Default 2 ms. */
  readonly wayMs?: number;
  /** The way takes always the same time. */
  readonly isSteady?: boolean;
  /** Owners; default 1. */
  readonly partitions?: number;
  /** Slots of all agents; default 400. */
  readonly slots?: number;
  readonly seed?: number;
}

/** Of one second each. */
export interface Sample {
  readonly second: number;
  /** Calls that were taken, and refused. */
  readonly taken: number;
  readonly refused: number;
  /** What the downstream would have taken. */
  readonly capacity: number;
  /** Sum of the partitions' rates; undefined: at least one is free. */
  readonly rate: number | undefined;
  readonly inflight: number;
}

interface Policy {
  room(now: number): number;
  /** When to ask again although nothing ends. */
  roomAt(now: number): number | undefined;
  started(now: number): Attempt;
  readonly rate: number | undefined;
}

interface Attempt {
  ended(now: number, throttled?: { retryAfterMs: number }): void;
}

/** No timer of a process is finer. */
const timerMs = 1;

export function drive(policyName: PolicyName, options: DriveOptions): Sample[] {
  const { seconds, taskMs = () => 10, refusalMs = 5, readMs = 0, wayMs = 2, isSteady = false } = options;
  const { partitions = 1, slots = 400, seed = 1 } = options;
  const random = seededRandom(seed);
  const downstream = options.downstream();
  const events = createEvents();
  const samples: Sample[] = [];
  const counts = { taken: 0, refused: 0, inflight: 0, capacity: 0 };
  const owners = Array.from({ length: partitions }, () => createOwner(policyOf(policyName, 0, slots / partitions)));
  const spread = (meanMs: number) => (isSteady || meanMs === 0 ? meanMs : meanMs * (0.5 + random.next()));
  const way = () => spread(wayMs);

  function createOwner(policy: Policy) {
    let wakesAt = Number.POSITIVE_INFINITY;
    const owner = {
      policy,
      pump(now: number): void {
        for (let room = Math.min(policy.room(now), slots - counts.inflight); room > 0; room--) start(now);
        const at = policy.roomAt(now);
        if (at === undefined || at >= wakesAt) return;
        wakesAt = Math.max(at, now + timerMs);
        events.at(wakesAt, (then) => {
          // An earlier one was set meanwhile.
          if (then !== wakesAt) return;
          wakesAt = Number.POSITIVE_INFINITY;
          owner.pump(then);
        });
      },
    };
    function start(pickedAt: number): void {
      const attempt = policy.started(pickedAt);
      counts.inflight++;
      events.at(pickedAt + spread(readMs) + way(), (now) => {
        const retryAfterMs = downstream.refusal(now);
        counts[retryAfterMs === undefined ? "taken" : "refused"]++;
        const endedAt = now + (retryAfterMs === undefined ? taskMs(random) : refusalMs);
        if (retryAfterMs === undefined) events.at(endedAt, () => downstream.left?.());
        events.at(endedAt + way(), (end) => {
          counts.inflight--;
          attempt.ended(end, retryAfterMs === undefined ? undefined : { retryAfterMs });
          owner.pump(end);
        });
      });
    }
    return owner;
  }

  for (const owner of owners) events.at(random.next() * 10, owner.pump);
  for (let second = 1; second <= seconds; second++) {
    counts.capacity = 0;
    for (let ms = 0; ms < 1_000; ms += 100) counts.capacity += downstream.capacity((second - 1) * 1_000 + ms) / 10;
    events.runUntil(second * 1_000);
    const rates = owners.map(({ policy }) => policy.rate);
    const rate = rates.reduce((sum, each) => (sum === undefined || each === undefined ? undefined : sum + each), 0);
    samples.push({ second, ...counts, rate });
    Object.assign(counts, { taken: 0, refused: 0 });
  }
  return samples;
}

function policyOf(name: PolicyName, now: number, slots: number): Policy {
  if (name === "adaptive") return adaptive(now);
  if (name === "aimd") return aimd(now, slots);
  let inflight = 0;
  return {
    rate: undefined,
    room: () => Math.max(0, Math.floor(slots) - inflight),
    roomAt: () => undefined,
    started() {
      inflight++;
      return {
        ended: () => {
          inflight--;
        },
      };
    },
  };
}

function adaptive(createdAt: number): Policy {
  const flow = createAdaptiveFlow(createdAt);
  return {
    get rate() {
      return flow.rate;
    },
    room: (now) => flow.room(now),
    roomAt: (now) => flow.roomAt(now),
    started(pickedAt) {
      const start = flow.started(pickedAt);
      return { ended: (now, throttled) => flow.ended(now, start, throttled) };
    },
  };
}

/** Plain: a window of concurrency only. */
function aimd(startedAt: number, slots: number): Policy {
  const config = { ...defaultAimdConfig, limitMax: slots };
  let state = startAimd(startedAt, config);
  let inflight = 0;
  const decide = (now: number) => {
    state = decideLimit(state, { now, inflight, backlog: 1, roundTripMs: 0 }, config);
  };
  return {
    rate: undefined,
    room(now) {
      decide(now);
      return Math.max(0, Math.floor(state.limit) - inflight);
    },
    roomAt: () => undefined,
    started() {
      inflight++;
      return {
        ended(now, throttled) {
          state = noteOutcomes(state, { outcomes: 1, errors: throttled ? 1 : 0 });
          decide(now);
          inflight--;
        },
      };
    },
  };
}
