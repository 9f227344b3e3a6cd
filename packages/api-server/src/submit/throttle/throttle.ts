// Refuses submissions of those who send more than their fair share to a queue that is too full.
//
//   every second: what was submitted here ──hint──▶ load-balancer ──document──▶ whose submissions are refused here
//
// Nothing waits for the load-balancer. When it is gone, its last document holds until it is overdue, and then half of every
// drop goes each second.
import type { Admission, AdmissionFollower } from "@sluice/coordination";
import { type AccountId, type AppError, type Clock, type Flow, type Random, spreadDelayMs } from "@sluice/core";
import { arrivalsTopic, formatArrivals, type Signals } from "@sluice/queue";
import type { ApiServerMetrics } from "../../metrics.ts";
import { createArrivalMeter } from "./arrival-meter.ts";
import { createDropTable, type DropTable } from "./drop-table.ts";
import type { StreamGuard } from "./stream-guard.ts";
import { queueFull, throttled } from "./throttled.ts";

/** A submission before it is recorded. */
export type Arrival = Flow & { readonly queue: string };

export interface SubmitThrottle {
  /** What is refused, in the order of the arrivals; undefined: admitted. Of one account. */
  judge(arrivals: readonly Arrival[]): (AppError | undefined)[];
  /** Tells the load-balancer what is submitted, until the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
}

export interface SubmitThrottleOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly signals: Signals;
  readonly metrics: ApiServerMetrics;
  /** What the load-balancer says. */
  readonly admission: Pick<AdmissionFollower, "current">;
  readonly waitingOf: (accountId: AccountId) => number | undefined;
  /** False: only full queues refuse. */
  readonly isOn: boolean;
  readonly queueBacklogMax: number;
  /** Refuses before the queue's stream is full. Default: it has no bounds. */
  readonly guard?: StreamGuard;
}

export const reportEveryMs = 1_000;
/** One submission per account is let through in this time, so that whoever is refused learns when that ends. */
const floorMs = 1_000;
const refusalsPerReason = 16;
/** Longer ago nobody knows how full a queue is. */
const backlogOverdueMsMax = 30_000;

/** One document, as this server follows it. */
interface Followed {
  readonly admission: Admission;
  readonly drops: DropTable;
  /** Admitted here since it came, by queue: it does not know of them yet. */
  readonly admitted: Map<string, number>;
  /** Errors that were given, by reason. They differ in their delays, so that not all come back together. */
  readonly refusals: Map<string, readonly AppError[]>;
}

export function createSubmitThrottle(options: SubmitThrottleOptions): SubmitThrottle {
  const { clock, signals, metrics, admission, waitingOf, isOn, queueBacklogMax } = options;
  const random = options.random.fork("throttle");
  const meter = createArrivalMeter({ clock, random, serverId: random.fork("id").hex(6), waitingOf });
  const floor = createFloor(clock);
  let followed: Followed | undefined;

  function follow(): { readonly followed: Followed; readonly overdueMs: number } | undefined {
    const current = admission.current();
    if (current === undefined) return undefined;
    if (followed?.admission !== current.admission) {
      followed = {
        admission: current.admission,
        drops: createDropTable(current.admission),
        admitted: new Map(),
        refusals: new Map(),
      };
      metrics.throttleDrops.set(current.admission.drops.length);
    }
    return { followed, overdueMs: current.ageMs - current.admission.validForMs };
  }

  function judgeOne(arrival: Arrival, { followed, overdueMs }: Facts): AppError | undefined {
    const { admission: said, drops, admitted } = followed;
    const { accountId, functionName, queue } = arrival;
    const load = said.queues.get(queue);
    if (load !== undefined && overdueMs < backlogOverdueMsMax) {
      const waiting = load.waiting + (admitted.get(queue) ?? 0);
      if (waiting >= queueBacklogMax) {
        return refuse(followed, {
          scope: "queue",
          key: queue,
          make: (delayMs) => queueFull(load, queueBacklogMax, delayMs),
        });
      }
    }
    const chance = isOn ? drops.chanceOf(arrival, overdueMs) : undefined;
    if (chance === undefined || random.next() >= chance.probability || floor.admits(accountId)) return undefined;
    const make = (delayMs: number) => throttled(chance, load, delayMs);
    if (chance.drop === undefined) return refuse(followed, { scope: "others", key: queue, make });
    const whole = `${queue} ${accountId}`;
    return refuse(followed, {
      scope: chance.scope,
      key: chance.scope === "function" ? `${whole} ${functionName}` : whole,
      make,
    });
  }

  /** From a few errors for each reason and document: making one costs as much as judging a hundred submissions. */
  function refuse({ admission: said, refusals }: Followed, { scope, key, make }: Refusal): AppError {
    metrics.throttled.inc({ scope });
    const made = refusals.get(`${scope} ${key}`) ?? [];
    const known = made[Math.floor(random.next() * refusalsPerReason)];
    if (known !== undefined) return known;
    const queue = key.split(" ", 1)[0] ?? "";
    const delayMs = Math.max(1_000, said.queues.get(queue)?.retryAfterMs ?? 0);
    const error = make(spreadDelayMs(delayMs, random.next()));
    if (made.length < refusalsPerReason) refusals.set(`${scope} ${key}`, [...made, error]);
    return error;
  }

  return {
    judge(arrivals) {
      for (const { arrival, tasks } of grouped(arrivals)) meter.count(arrival, tasks);
      const [first] = arrivals;
      const full = first && options.guard?.refusalOf(first.accountId);
      if (full !== undefined) {
        metrics.throttled.inc({ scope: "stream" }, arrivals.length);
        return arrivals.map(() => full);
      }
      const facts = follow();
      if (facts === undefined) return arrivals.map(() => undefined);
      return arrivals.map((arrival) => {
        const error = judgeOne(arrival, facts);
        const { admitted } = facts.followed;
        if (error === undefined) admitted.set(arrival.queue, (admitted.get(arrival.queue) ?? 0) + 1);
        return error;
      });
    },
    async run(signal) {
      while (!signal.aborted) {
        await clock.sleep(reportEveryMs, signal);
        const report = meter.report();
        metrics.throttleFlows.set(meter.size);
        if (report !== undefined) signals.send(arrivalsTopic, formatArrivals(report));
      }
    },
  };
}
type Facts = { readonly followed: Followed; readonly overdueMs: number };
interface Refusal {
  readonly scope: string;
  /** Begins with the queue. */
  readonly key: string;
  readonly make: (retryAfterMs: number) => AppError;
}

/** A message has few flows, and many tasks of each. */
function grouped(arrivals: readonly Arrival[]): { readonly arrival: Arrival; readonly tasks: number }[] {
  const groups: { arrival: Arrival; tasks: number }[] = [];
  for (const arrival of arrivals) {
    const last = groups.at(-1);
    const isSame = last?.arrival.queue === arrival.queue && last.arrival.functionName === arrival.functionName;
    if (last !== undefined && isSame) last.tasks += 1;
    else groups.push({ arrival, tasks: 1 });
  }
  return groups;
}

/** Lets one submission of each account through per second, of those that would be refused. */
function createFloor(clock: Clock) {
  let admittedAt = new Map<AccountId, number>();
  let sweptAt = clock.monotonic();
  return {
    admits(accountId: AccountId): boolean {
      const now = clock.monotonic();
      if (now - sweptAt >= floorMs) {
        admittedAt = new Map([...admittedAt].filter(([, at]) => now - at < floorMs));
        sweptAt = now;
      }
      if (now - (admittedAt.get(accountId) ?? Number.NEGATIVE_INFINITY) < floorMs) return false;
      admittedAt.set(accountId, now);
      return true;
    },
  };
}
