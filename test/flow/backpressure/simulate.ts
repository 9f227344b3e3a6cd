// Fifty accounts that submit a little, and two that submit far too much, to one queue: the throttles of two api-servers, the
// load-balancer's, and the fair order of a partition, as they run in production, on a fake clock. What is modelled is what lies
// between them: who submits when, and an owner that dispatches so many tasks per second.
import { apiServerMetrics, createSubmitThrottle, defaultApiServerConfig } from "@sluice/api-server";
import { createAdmissionFollower, type LoadReport, leaderKey, type Wish } from "@sluice/coordination";
import { createMemoryCoordinator } from "@sluice/coordination/memory";
import {
  AccountId,
  admissibleRate,
  createFairOrder,
  type FairOrder,
  type Flow,
  FunctionName,
  isThrottled,
  type Random,
  uniformDrop,
} from "@sluice/core";
import { FakeClock, seededRandom } from "@sluice/core/testing";
import {
  createAdmissionThrottle,
  defaultSolveConfig,
  loadBalancerMetrics,
  type SolveConfig,
} from "@sluice/load-balancer";
import { createMemorySignals } from "@sluice/queue/memory";
import { silentLogger } from "@sluice/runtime";
import { Registry } from "prom-client";
import { percentile } from "./percentile.ts";

export interface BackpressureOptions {
  readonly seed: number;
  /** Who is refused when the queue is too full: those beyond their fair share, everybody alike, or nobody. Default: fair. */
  readonly refuses?: "fair" | "alike" | "nobody";
  /** In which order tasks are dispatched. Default: fair. */
  readonly order?: "fair" | "fifo";
  /** Default: true. False: the same without the two noisy accounts. */
  readonly isNoisy?: boolean;
  /** Among how many functions A divides what it submits. Default: 1. */
  readonly functionsOfA?: number;
  /** Default: 50 accounts at 40/s, A at 16,000/s from second 20 to 100, and B at 4,000/s from second 50 to 100. */
  readonly rates?: Readonly<Record<Group, (second: number) => number>>;
  /** Default: 120. */
  readonly seconds?: number;
  /** Tasks that can be dispatched per second. Default: 5,000. */
  readonly capacityPerSecond?: number;
  /** Default: a reference of 10,000 waiting tasks. */
  readonly config?: Partial<SolveConfig>;
}

export type Group = "well-behaved" | "A" | "B";
export const groups: readonly Group[] = ["well-behaved", "A", "B"];

/** One second. Rates are per second. */
export interface BackpressureSample {
  readonly second: number;
  readonly sent: Readonly<Record<Group, number>>;
  readonly refused: Readonly<Record<Group, number>>;
  readonly dispatched: Readonly<Record<Group, number>>;
  /** Tasks that wait at its end. */
  readonly backlog: number;
  /** p99 of the delay between submission and dispatch of the well-behaved, in ms; 0: none was dispatched. */
  readonly delayP99Ms: number;
}

export interface BackpressureRun {
  readonly samples: readonly BackpressureSample[];
  readonly sent: Readonly<Record<Group, number>>;
  readonly refused: Readonly<Record<Group, number>>;
  /** The largest share of its submissions that any well-behaved account lost. */
  readonly worstLoss: number;
  /** Of the well-behaved, over the whole run; tasks that were never dispatched count with their age at the end. */
  readonly delayP99Ms: number;
  readonly backlogMax: number;
}

const stepMs = 10;
const queue = "q0";
const goodAccounts = 50;
const between = (from: number, until: number, rate: number) => (second: number) =>
  second >= from && second < until ? rate : 0;
const defaultRates = { "well-behaved": () => 40, A: between(20, 100, 16_000), B: between(50, 100, 4_000) };
const wish: Wish = { queue, partitions: [{ prefix: "", ownerId: "s1" }], modRevision: 1 };

interface Sender {
  readonly id: AccountId;
  readonly group: Group;
  readonly perSecond: (second: number) => number;
  readonly functions: readonly FunctionName[];
  sent: number;
  refused: number;
  waiting: number;
}
interface Waiting {
  readonly sender: Sender;
  readonly at: number;
}
type Submission = Flow & { readonly queue: string };

export async function simulateBackpressure(options: BackpressureOptions): Promise<BackpressureRun> {
  const { seed, refuses = "fair", order = "fair", seconds = 120, capacityPerSecond = 5_000 } = options;
  const config = { ...defaultSolveConfig, backlogMin: 10_000, drainTargetMs: 2_000, ...options.config };
  const random = seededRandom(seed);
  const senders = sendersOf(options);
  await using system = await startSystem({ refuses, config, random, senders });
  const waiting = order === "fair" ? createFairOrder<Waiting>() : createFifo<Waiting>();
  const delays: number[] = [];
  const samples: BackpressureSample[] = [];
  let tally = newTally();

  function submit(sender: Sender, count: number): void {
    const [perServer, now] = [Math.ceil(count / system.servers), system.clock.monotonic()];
    for (let left = count; left > 0; left -= perServer) {
      const part = Math.min(left, perServer);
      const admitted = system.admitted(sender, submissionsOf(sender, part, random));
      for (const submission of admitted) {
        const submittedAt = now - random.next() * stepMs;
        waiting.add(submission, submittedAt, { sender, at: submittedAt });
      }
      const refused = part - admitted.length;
      sender.sent += part;
      sender.refused += refused;
      sender.waiting += admitted.length;
      tally.sent[sender.group] += part;
      tally.refused[sender.group] += refused;
    }
  }
  function dispatch(): void {
    const now = system.clock.monotonic();
    for (let room = (capacityPerSecond * stepMs) / 1_000; room > 0; room--) {
      const next = waiting.take();
      if (next === undefined) return;
      next.sender.waiting -= 1;
      tally.dispatched[next.sender.group] += 1;
      if (next.sender.group === "well-behaved") tally.delays.push(now - next.at);
    }
  }

  for (let second = 0; second < seconds; second++) {
    tally = newTally();
    for (let step = 0; step < 1_000 / stepMs; step++) {
      await system.clock.advance(stepMs);
      for (const sender of senders) submit(sender, poisson((sender.perSecond(second) * stepMs) / 1_000, random));
      dispatch();
    }
    const { sent, refused, dispatched } = tally;
    await system.second({
      backlog: waiting.size,
      dispatched: groups.reduce((sum, group) => sum + dispatched[group], 0),
    });
    delays.push(...tally.delays);
    samples.push({
      second,
      sent,
      refused,
      dispatched,
      backlog: waiting.size,
      delayP99Ms: percentile(tally.delays, 0.99),
    });
  }
  for (let left = waiting.take(); left !== undefined; left = waiting.take()) {
    if (left.sender.group === "well-behaved") delays.push(system.clock.monotonic() - left.at);
  }
  const ofGood = senders.filter(({ group }) => group === "well-behaved");
  return {
    samples,
    sent: summed(samples.map(({ sent }) => sent)),
    refused: summed(samples.map(({ refused }) => refused)),
    worstLoss: Math.max(...ofGood.map(({ sent, refused }) => refused / sent)),
    delayP99Ms: percentile(delays, 0.99),
    backlogMax: Math.max(...samples.map(({ backlog }) => backlog)),
  };
}

/** The same traffic, calm, protected, and with what it is protected by taken away. */
export async function compareBackpressure(options: Omit<BackpressureOptions, "refuses" | "order" | "isNoisy">) {
  return {
    calm: await simulateBackpressure({ ...options, isNoisy: false }),
    fair: await simulateBackpressure(options),
    uniform: await simulateBackpressure({ ...options, refuses: "alike" }),
    fifo: await simulateBackpressure({ ...options, refuses: "nobody", order: "fifo" }),
  };
}

function sendersOf({ isNoisy = true, functionsOfA = 1, rates = defaultRates }: BackpressureOptions): Sender[] {
  const sender = (name: string, group: Group, functions = 1): Sender => ({
    ...{ id: AccountId(name), group, perSecond: rates[group] },
    functions: Array.from({ length: functions }, (_, index) => FunctionName(`f${index}`)),
    ...{ sent: 0, refused: 0, waiting: 0 },
  });
  const good = Array.from({ length: goodAccounts }, (_, index) => sender(`good-${index}`, "well-behaved"));
  if (!isNoisy) return good;
  return [...good, sender("noisy-a", "A", functionsOfA), sender("noisy-b", "B")];
}

/** So many, each of any of its functions. */
function submissionsOf({ id: accountId, functions }: Sender, count: number, random: Random): Submission[] {
  const any = () => (functions.length === 1 ? 0 : Math.floor(random.next() * functions.length));
  return Array.from({ length: count }, () => ({ accountId, functionName: functions[any()] as FunctionName, queue }));
}

interface SystemOptions {
  readonly refuses: "fair" | "alike" | "nobody";
  readonly config: SolveConfig;
  readonly random: Random;
  readonly senders: readonly Sender[];
}

/** Two api-servers and a leader, as they run in production. */
async function startSystem({ refuses, config, random, senders }: SystemOptions) {
  const clock = new FakeClock();
  const coordinator = createMemoryCoordinator({ clock });
  await coordinator.commit([], [{ op: "put", key: leaderKey, value: "s1" }]);
  const signals = createMemorySignals();
  const stop = new AbortController();
  // As the store counts them, which is seldom, and what this server has admitted since.
  let counted = new Map<AccountId, number>();
  const running: Promise<void>[] = [];
  const servers = ["a1", "a2"].map((name) => {
    const admitted = new Map<AccountId, number>();
    const admission = createAdmissionFollower({ coordinator, clock, log: silentLogger });
    const throttle = createSubmitThrottle({
      clock,
      random: random.fork(name),
      signals,
      metrics: apiServerMetrics(new Registry()),
      admission,
      waitingOf: (accountId) => (counted.get(accountId) ?? 0) + (admitted.get(accountId) ?? 0),
      isOn: true,
      queueBacklogMax: defaultApiServerConfig.queueBacklogMax,
    });
    running.push(admission.run(stop.signal), throttle.run(stop.signal));
    return { throttle, admitted };
  });
  const metrics = loadBalancerMetrics(new Registry());
  const leader = createAdmissionThrottle({ coordinator, signals, clock, metrics, config });
  const deafen = leader.listen();
  const dice = random.fork("alike");
  let turn = 0;
  let drainPerSecond = 0;
  let reports: readonly LoadReport[] = [];
  let alike = { isOn: false, drop: 0, sent: 0 };

  return {
    clock,
    servers: servers.length,
    /** Those that are not refused. */
    admitted({ id }: Sender, submissions: readonly Submission[]): readonly Submission[] {
      alike = { ...alike, sent: alike.sent + submissions.length };
      if (refuses === "nobody") return submissions;
      if (refuses === "alike") return submissions.filter(() => dice.next() >= alike.drop);
      turn = (turn + 1) % servers.length;
      const server = servers[turn];
      if (server === undefined) return submissions;
      const errors = server.throttle.judge(submissions);
      const admitted = submissions.filter((_, index) => errors[index] === undefined);
      server.admitted.set(id, (server.admitted.get(id) ?? 0) + admitted.length);
      return admitted;
    },
    /** At the end of each second: what the owner reports, every two seconds as it does, and a round of the leader. */
    async second({ backlog, dispatched }: { readonly backlog: number; readonly dispatched: number }): Promise<void> {
      const second = Math.round(clock.monotonic() / 1_000);
      if (second % 2 === 0) {
        drainPerSecond = 0.5 * drainPerSecond + 0.5 * dispatched;
        const load = { queue, prefix: "", waiting: backlog, backlogAgeMs: 0, dispatchedPerSecond: drainPerSecond };
        reports = [{ memberId: "s1", partitions: [load], isCut: false }];
      }
      if (second % 5 === 0) {
        counted = new Map(senders.map(({ id, waiting }) => [id, waiting]));
        for (const { admitted } of servers) admitted.clear();
      }
      await leader.round({ wishes: [wish], reports, leadership: { key: leaderKey, is: "present" } });
      const pressure = { backlog, drainPerSecond };
      const isOn = isThrottled(alike.isOn, pressure, config);
      alike = {
        isOn,
        drop: isOn ? uniformDrop(alike.sent, admissibleRate(pressure, config), config.dropMax) : 0,
        sent: 0,
      };
    },
    async [Symbol.asyncDispose]() {
      stop.abort();
      deafen();
      await clock.settle();
      await Promise.all(running);
    },
  };
}

type Rates = Record<Group, number>;

function newTally() {
  const none = (): Rates => ({ "well-behaved": 0, A: 0, B: 0 });
  return { sent: none(), refused: none(), dispatched: none(), delays: [] as number[] };
}

function summed(rates: readonly Readonly<Rates>[]): Rates {
  const sum = { ...newTally().sent };
  for (const rate of rates) for (const group of groups) sum[group] += rate[group];
  return sum;
}

/** First come, first served. */
function createFifo<T>(): Pick<FairOrder<T>, "add" | "take" | "size"> {
  let items: T[] = [];
  let taken = 0;
  return {
    add: (_flow, _urgency, item) => void items.push(item),
    take() {
      const item = items[taken];
      if (item === undefined) return undefined;
      taken += 1;
      if (taken > 100_000) {
        items = items.slice(taken);
        taken = 0;
      }
      return item;
    },
    get size() {
      return items.length - taken;
    },
  };
}

/** Knuth's method for small means; for large ones a normal one, rounded. */
function poisson(mean: number, random: Random): number {
  if (mean > 30) {
    const normal = Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next());
    return Math.max(0, Math.round(mean + Math.sqrt(mean) * normal));
  }
  let [count, product] = [0, random.next()];
  for (const limit = Math.exp(-mean); product > limit; count++) product *= random.next();
  return count;
}
