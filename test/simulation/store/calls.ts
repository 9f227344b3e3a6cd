// Calls of a store as data, so that two stores can be given the same ones and their answers compared.
import { AppError } from "@sluice/core";
import type { Expired, Store } from "@sluice/store";

type Groups = Omit<Store, "ping" | typeof Symbol.asyncDispose>;

/** For example `["lanes", "read", owner, [1, 2]]`. */
export type Call = {
  [Group in keyof Groups]: {
    [Method in keyof Groups[Group]]: Groups[Group][Method] extends (...given: infer Given) => unknown
      ? readonly [group: Group, method: Method, ...given: Given]
      : never;
  }[keyof Groups[Group]];
}[keyof Groups];

export type Answer = { readonly value: unknown } | { readonly failure: string };

export async function perform(store: Store, [group, method, ...given]: Call): Promise<Answer> {
  const methods = store[group] as object as Readonly<
    Record<string, (...given: readonly unknown[]) => Promise<unknown>>
  >;
  try {
    return { value: await methods[method]?.(...given) };
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return { failure: error.reason };
  }
}

/** Without what the contract leaves open: the order in which some calls list what they found. */
export function comparable([, method]: Call, answer: Answer): Answer {
  if ("failure" in answer) return answer;
  if (method === "expired" && answer.value !== "stale") {
    const { seqs, last } = answer.value as Expired;
    return { value: { seqs: seqs.toSorted((a, b) => a - b), last } };
  }
  if (method === "collect" && answer.value !== "stale") {
    const { collected, left } = answer.value as { readonly collected: readonly number[]; readonly left: number };
    return { value: { collected: collected.toSorted((a, b) => a - b), left } };
  }
  if (!Array.isArray(answer.value)) return answer;
  if (method === "parkOverflow" || method === "stop" || method === "delete" || method === "mark") {
    return { value: answer.value.toSorted((a: number, b: number) => a - b) };
  }
  const rows: readonly { readonly seq?: number; readonly agentId?: string }[] = answer.value;
  if (method === "read" || method === "marked" || method === "renew" || method === "touch" || method === "expire") {
    const keys = new Map(rows.map((row) => [row, `${row.seq ?? row.agentId ?? ""}`.padStart(16, "0")]));
    return { value: rows.toSorted((a, b) => ((keys.get(a) ?? "") < (keys.get(b) ?? "") ? -1 : 1)) };
  }
  return answer;
}
