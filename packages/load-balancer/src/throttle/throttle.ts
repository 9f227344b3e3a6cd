// What the leader tells the api-servers, in each round: how full the queues are, and whose submissions are refused.
//
//   silent ──something waits, or is refused──▶ speaking ──nothing any more: one empty document──▶ silent
//
// While speaking the document is written when it says something new, and before it is overdue. All schedulers hear the
// reports of the api-servers, so a new leader knows them; which queues are throttled it takes from the last document.
import {
  type Admission,
  admissionDropsMax,
  type Condition,
  type Coordinator,
  type LoadReport,
  type QueueLoad,
  readAdmission,
  type Wish,
  writeAdmission,
} from "@sluice/coordination";
import { type AccountId, type Clock, retryDelayMs } from "@sluice/core";
import { arrivalsTopic, parseArrivals, type Signals } from "@sluice/queue";
import type { LoadBalancerMetrics } from "../metrics.ts";
import { createArrivalBook } from "./arrivals.ts";
import { type QueueBacklog, queueBacklogs } from "./queue-loads.ts";
import { isFull, judgeQueue, type QueueFacts, type QueueVerdict, type SolveConfig } from "./solve.ts";
import { createAccountWeights, type ReadWeights } from "./weights.ts";

export interface AdmissionThrottle {
  /** Hears the api-servers until the returned function is called; whether it leads or not. */
  listen(): () => void;
  /** Of the leader, in each of its rounds: decides, at most once per `decideEveryMs`, and says what is new. */
  round(facts: ThrottleFacts): Promise<void>;
  /** It leads no more. */
  forget(): void;
}

export interface ThrottleFacts {
  readonly wishes: readonly Wish[];
  readonly reports: readonly LoadReport[];
  /** On which it still leads. */
  readonly leadership: Condition;
}

export interface AdmissionThrottleOptions {
  readonly coordinator: Coordinator;
  readonly signals: Signals;
  readonly clock: Clock;
  readonly metrics: LoadBalancerMetrics;
  readonly config: SolveConfig;
  /** Default: every account has the same weight. */
  readonly weights?: ReadWeights | undefined;
}

/** Reports come every second. */
const decideEveryMs = 900;
/** A document that is not written again for so long is overdue; it is, twice, before that. */
export const admissionValidForMs = 5_000;

type Sayings = Pick<Admission, "queues" | "drops">;

export function createAdmissionThrottle(options: AdmissionThrottleOptions): AdmissionThrottle {
  const { coordinator, signals, clock, metrics, config } = options;
  const book = createArrivalBook();
  const weights = createAccountWeights({ clock, read: options.weights ?? (async () => new Map()) });
  /** Undefined: not known yet. */
  let throttled: ReadonlySet<string> | undefined;
  let said: { readonly text: string; readonly at: number } | undefined;
  let decidedAt = Number.NEGATIVE_INFINITY;

  async function throttledBefore(): Promise<ReadonlySet<string>> {
    const { admission } = await readAdmission(coordinator);
    return new Set([...(admission?.queues ?? [])].filter(([, load]) => load.retryAfterMs > 0).map(([queue]) => queue));
  }

  function decide(backlogs: ReadonlyMap<string, QueueBacklog>, before: ReadonlySet<string>): Sayings {
    const arrivals = book.read(clock.monotonic());
    const facts = [...backlogs].map(([queue, { waiting, ...load }]): [string, QueueFacts, QueueBacklog] => {
      const pressure = { backlog: waiting, drainPerSecond: load.drainPerSecond };
      const wasThrottled = before.has(queue);
      const ofQueue = arrivals.get(queue) ?? { total: 0, accounts: [] };
      return [queue, { wasThrottled, pressure, arrivals: ofQueue }, { waiting, ...load }];
    });
    const weightOf = weights.of(largestOf(facts.map(([, fact]) => fact).filter((fact) => isFull(fact, config))));
    const judged = (solve: SolveConfig) =>
      facts.map(([queue, { arrivals: all, ...fact }, load]) => {
        const accounts = all.accounts.map((account) => ({ ...account, weight: weightOf(account.accountId) }));
        const verdict = judgeQueue(queue, { ...fact, arrivals: { ...all, accounts } }, solve);
        const retryAfterMs = verdict.isThrottled ? retryDelayMs(fact.pressure, config) : 0;
        return { queue, verdict, load: { ...load, retryAfterMs, othersDrop: verdict.othersDrop } };
      });
    const detailed = judged(config);
    // Functions leave the document's room to accounts.
    const verdicts = dropsIn(detailed) <= admissionDropsMax ? detailed : judged({ ...config, functionsMax: 0 });
    throttled = new Set(verdicts.filter(({ verdict }) => verdict.isThrottled).map(({ queue }) => queue));
    measure(verdicts);
    return {
      queues: new Map(verdicts.map(({ queue, load }): [string, QueueLoad] => [queue, load])),
      drops: verdicts.flatMap(({ verdict }) => verdict.drops),
    };
  }

  function measure(verdicts: readonly Judged[]): void {
    metrics.throttledQueues.set(throttled?.size ?? 0);
    metrics.throttledFlows.set(dropsIn(verdicts));
  }

  async function say(sayings: Sayings, leadership: Condition): Promise<void> {
    const now = clock.monotonic();
    const text = JSON.stringify([[...sayings.queues], sayings.drops]);
    const isEmpty = sayings.queues.size === 0;
    const isDue = said === undefined || now - said.at >= admissionValidForMs / 2;
    if (said?.text === text && (isEmpty || !isDue)) return;
    const admission = { at: clock.now(), validForMs: admissionValidForMs, ...sayings };
    if (await writeAdmission(coordinator, admission, [leadership])) said = { text, at: now };
    else said = undefined;
  }

  return {
    listen: () =>
      signals.listen(arrivalsTopic, (payload) => {
        const report = parseArrivals(payload);
        if (report !== undefined) book.note(report, clock.monotonic());
      }),
    async round({ wishes, reports, leadership }) {
      const now = clock.monotonic();
      if (now - decidedAt < decideEveryMs) return;
      const before = throttled ?? (await throttledBefore());
      decidedAt = now;
      await say(decide(queueBacklogs(wishes, reports), before), leadership);
    },
    forget() {
      throttled = undefined;
      said = undefined;
      metrics.throttledQueues.set(0);
      metrics.throttledFlows.set(0);
    },
  };
}

interface Judged {
  readonly verdict: QueueVerdict;
}

function dropsIn(verdicts: readonly Judged[]): number {
  return verdicts.reduce((sum, { verdict }) => sum + verdict.drops.length, 0);
}

/** The accounts that are named there, those that submit most first; as many as the document can name. */
function largestOf(facts: readonly QueueFacts[]): AccountId[] {
  const accounts = facts.flatMap(({ arrivals }) => arrivals.accounts).sort((a, b) => b.perSecond - a.perSecond);
  return [...new Set(accounts.map(({ accountId }) => accountId))].slice(0, admissionDropsMax);
}
