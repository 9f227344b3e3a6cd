// What the load-balancer tells the api-servers, in one document: how full the queues are, and whose submissions are refused.
import { type AccountId, type EpochMs, type FunctionName, isRetryable } from "@sluice/core";
import { fieldsIn, fieldsOf } from "./fields.ts";
import type { Condition, Coordinator, Entry } from "./index.ts";
import { admissionKey } from "./keys.ts";

export interface Admission {
  /** When it was written, by the clock of the leader. */
  readonly at: EpochMs;
  /** A leader that lives writes it again before that, as long as it says anything. */
  readonly validForMs: number;
  /** By name. A queue that is left out is empty, or not known. */
  readonly queues: ReadonlyMap<string, QueueLoad>;
  readonly drops: readonly Drop[];
}

export interface QueueLoad {
  /** Tasks that wait for their turn: in the memory of owners, and parked because that was full. */
  readonly waiting: number;
  /** Age of the oldest of those in memory. */
  readonly ageMs: number;
  readonly drainPerSecond: number;
  /** When whoever is refused here should come back; 0: the queue is not throttled. */
  readonly retryAfterMs: number;
  /** The probability to refuse anybody who has no drop of his own; above 0 only when the small ones alone are too many. */
  readonly othersDrop: number;
}

/** A share of the submissions of an account, or of one function of it, is refused. */
export interface Drop {
  readonly accountId: AccountId;
  /** Undefined: all functions of the account. */
  readonly functionName: FunctionName | undefined;
  /** Undefined: on all queues. */
  readonly queue: string | undefined;
  /** 0 to 1. */
  readonly probability: number;
  /** Submissions per second that it may make, and that it makes, in the whole cluster. */
  readonly share: number;
  readonly rate: number;
}

/** What does not fit is left out: the emptiest queues, and the drops of those that send least. About 150 KB in all. */
export const admissionQueuesMax = 1_024;
export const admissionDropsMax = 512;

export interface AdmissionRecord {
  /** Undefined: there is none, or it cannot be read. */
  readonly admission: Admission | undefined;
  /** Of the key; 0: there is none. */
  readonly modRevision: number;
}

export async function readAdmission(coordinator: Coordinator): Promise<AdmissionRecord> {
  const entry = await coordinator.get(admissionKey);
  return { admission: parseAdmission(entry), modRevision: entry?.modRevision ?? 0 };
}

/**
 * Writes the document while `conditions` hold: the leader's. False: they do not. Recognises its own earlier success: writing
 * the same text twice does no harm, so only an outcome that is not known is looked up.
 */
export async function writeAdmission(
  coordinator: Coordinator,
  admission: Admission,
  conditions: readonly Condition[],
): Promise<boolean> {
  const value = textOf(admission);
  try {
    const { succeeded } = await coordinator.commit(conditions, [{ op: "put", key: admissionKey, value }]);
    if (succeeded) return true;
  } catch (error) {
    if (!isRetryable(error)) throw error;
    if ((await coordinator.get(admissionKey))?.value === value) return true;
    throw error;
  }
  return (await coordinator.get(admissionKey))?.value === value;
}

/** Undefined for a text that is no such document; what cannot be read inside one is left out. */
export function parseAdmission(entry: Pick<Entry, "value"> | undefined): Admission | undefined {
  const { at, validForMs, queues, drops } = fieldsOf(entry?.value ?? "");
  if (amountIn(at) === undefined || amountIn(validForMs) === undefined) return undefined;
  return {
    at: at as EpochMs,
    validForMs: validForMs as number,
    queues: new Map(Object.entries(fieldsIn(queues)).map(([name, load]) => [name, loadIn(load)])),
    drops: Array.isArray(drops) ? drops.flatMap(dropIn) : [],
  };
}

function textOf({ at, validForMs, queues, drops }: Admission): string {
  const fullest = [...queues].sort(([, a], [, b]) => b.waiting - a.waiting).slice(0, admissionQueuesMax);
  const largest = [...drops].sort((a, b) => b.rate - a.rate).slice(0, admissionDropsMax);
  return JSON.stringify({
    version: 1,
    at,
    validForMs,
    queues: Object.fromEntries(fullest),
    drops: largest.map(({ accountId, functionName, queue, probability, share, rate }) => ({
      account: accountId,
      function: functionName,
      queue,
      probability: Math.round(probability * 10_000) / 10_000,
      share: Math.round(share * 10) / 10,
      rate: Math.round(rate * 10) / 10,
    })),
  });
}

function loadIn(value: unknown): QueueLoad {
  const { waiting, ageMs, drainPerSecond, retryAfterMs, othersDrop } = fieldsIn(value);
  return {
    waiting: amountIn(waiting) ?? 0,
    ageMs: amountIn(ageMs) ?? 0,
    drainPerSecond: amountIn(drainPerSecond) ?? 0,
    retryAfterMs: amountIn(retryAfterMs) ?? 0,
    othersDrop: probabilityIn(othersDrop) ?? 0,
  };
}

function dropIn(value: unknown): Drop[] {
  const { account, function: functionName, queue, probability, share, rate } = fieldsIn(value);
  const chance = probabilityIn(probability);
  if (typeof account !== "string" || chance === undefined) return [];
  // A drop that names something that this version cannot read must not grow into one of the whole account.
  if (!isTextOrAbsent(functionName) || !isTextOrAbsent(queue)) return [];
  return [
    {
      accountId: account as AccountId,
      functionName: functionName as FunctionName | undefined,
      queue,
      probability: chance,
      share: amountIn(share) ?? 0,
      rate: amountIn(rate) ?? 0,
    },
  ];
}

function isTextOrAbsent(value: unknown): value is string | undefined {
  return value === undefined || typeof value === "string";
}

function probabilityIn(value: unknown): number | undefined {
  const amount = amountIn(value);
  return amount === undefined || amount > 1 ? undefined : amount;
}

function amountIn(value: unknown): number | undefined {
  return typeof value === "number" && Number.isFinite(value) && value >= 0 ? value : undefined;
}
