// What clients submit: a seeded mix of tasks over eight accounts.
import type { Random } from "@sluice/core";
import { type TaskKind, taskKinds } from "../contract.ts";

/** One for every shared queue, which is the first of its two: a partition without tasks would show nothing. */
export const accounts = ["red", "green", "blue", "violet", "teal", "pink", "cyan", "coral"] as const;

/** A function by account. `crash` has one task per process, because its process dies with its neighbours. */
export const crash = "crash";

export interface WorkFlow {
  readonly account: string;
  readonly function: string;
}

/** One function of every account. */
export const workFlows: readonly WorkFlow[] = accounts.map((account) => ({ account, function: "work-1" }));

/** So many of their tasks may run at the same time. They have short ones only: a backlog must not outlast a run. */
export const limitedFlows: readonly (WorkFlow & { readonly concurrencyMax: number })[] = [
  { account: "red", function: "limited-1", concurrencyMax: 1 },
  { account: "green", function: "limited-2", concurrencyMax: 2 },
];

/** What the handler gets, as JSON. */
export interface HandlerInput {
  readonly account: string;
  readonly taskId: string;
  /** How long it runs. */
  readonly ms: number;
  /** So many attempts throw, then so many end their process. */
  readonly failures: number;
  readonly crashes: number;
}

export interface PlannedTask {
  readonly kind: TaskKind;
  readonly account: string;
  readonly function: string;
  /** Accounts use the same ids. Also its submission token. */
  readonly taskId: string;
  readonly input: HandlerInput;
  /** 0: none. */
  readonly delayMs: number;
  /** Not to be started later than so long after the delay; 0: whenever. */
  readonly expiresAfterMs: number;
  /** Stopped so long after it was accepted; undefined: never. */
  readonly stopAfterMs: number | undefined;
}

/**
 * Shares in percent. Long tasks are few because they last: at 40 submissions per second 2 % are 60 that run at any time,
 * of the 192 slots of three agents.
 */
export const defaultMix: Readonly<Record<TaskKind, number>> = {
  short: 65,
  medium: 16,
  long: 2,
  retried: 4,
  crashing: 1,
  delayed: 4,
  stopped: 3,
  expiring: 3,
  limited: 2,
};

export interface PlanOptions {
  readonly random: Random;
  readonly mix: Readonly<Partial<Record<TaskKind, number>>>;
  /** From and until, in ms. */
  readonly longMs: readonly [number, number];
}

/** The tasks one after the other. Every task draws equally many numbers, so that a kind does not change what follows. */
export function createPlan({ random, mix, longMs }: PlanOptions): () => PlannedTask {
  const shares = taskKinds.map((kind) => [kind, mix[kind] ?? 0] as const);
  const total = shares.reduce((sum, [, share]) => sum + share, 0);
  if (total <= 0) throw new RangeError("a mix needs a share above 0");
  const counts = new Map<string, number>();
  return () => {
    const dice = Array.from({ length: 5 }, () => random.next());
    const [whichKind = 0, whichFlow = 0, ...rest] = dice;
    const kind = kindAt(shares, whichKind * total);
    const flows = kind === "limited" ? limitedFlows : workFlows;
    const { account, function: work } = flows[Math.floor(whichFlow * flows.length)] as WorkFlow;
    const number = (counts.get(account) ?? 0) + 1;
    counts.set(account, number);
    const taskId = `${kind}-${number}`;
    const shape = shapeOf(kind, longMs, rest);
    const { ms = 0, failures = 0, crashes = 0, delayMs = 0, expiresAfterMs = 0, stopAfterMs } = shape;
    return {
      kind,
      account,
      function: kind === "crashing" ? crash : work,
      taskId,
      input: { account, taskId, ms, failures, crashes },
      delayMs,
      expiresAfterMs,
      stopAfterMs,
    };
  };
}

function kindAt(shares: readonly (readonly [TaskKind, number])[], position: number): TaskKind {
  let end = 0;
  const found = shares.find(([, share]) => {
    end += share;
    return position < end;
  });
  return found?.[0] ?? "short";
}

interface Shape {
  readonly ms?: number;
  readonly failures?: number;
  readonly crashes?: number;
  readonly delayMs?: number;
  readonly expiresAfterMs?: number;
  readonly stopAfterMs?: number;
}

function shapeOf(kind: TaskKind, longMs: readonly [number, number], dice: readonly number[]): Shape {
  const [a = 0, b = 0, c = 0] = dice;
  const between = (die: number, from: number, until: number) => Math.round(from + die * (until - from));
  switch (kind) {
    case "short":
      return { ms: between(a, 5, 50) };
    case "medium":
      return { ms: between(a, 1_000, 5_000) };
    case "long":
      return { ms: between(a, ...longMs) };
    case "retried":
      return { ms: between(a, 5, 500), failures: 1 };
    case "crashing":
      return { ms: between(a, 5, 100), crashes: 1 };
    case "delayed":
      return { ms: between(a, 5, 500), delayMs: between(b, 1_000, 8_000) };
    case "stopped":
      // While it waits, or while it runs.
      return c < 0.5
        ? { ms: 50, delayMs: between(a, 5_000, 8_000), stopAfterMs: between(b, 0, 2_000) }
        : { ms: between(a, 10_000, 20_000), stopAfterMs: between(b, 200, 3_000) };
    case "limited":
      return { ms: between(a, 300, 1_000) };
    case "expiring":
      // While it waits for its retry, which comes after 500 ms at least; when its delay is over, or just in time; only while
      // something is broken.
      if (c < 1 / 3) return { ms: between(a, 5, 50), failures: 1, expiresAfterMs: between(b, 300, 500) };
      if (c < 2 / 3) return { ms: 50, delayMs: between(a, 500, 3_000), expiresAfterMs: between(b, 1, 200) };
      return { ms: between(a, 5, 500), expiresAfterMs: between(b, 1_000, 10_000) };
  }
}
