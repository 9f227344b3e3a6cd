import type { Evidence, TimelinePoint } from "../contract.ts";
import { percentile } from "./samples.ts";

const stepMs = 1_000;

/** Second by second, from the first to the last moment; `at` is where it begins, in ms of the ledger's clock. */
export function toTimeline({ submissions, history, from, until }: Evidence): TimelinePoint[] {
  const { executions = [] } = history;
  const count = Math.max(1, Math.ceil((until - from) / stepMs));
  const slots = Array.from({ length: count }, (_, index) => ({
    at: from + index * stepMs,
    accepted: 0,
    refused: 0,
    started: 0,
    ended: 0,
    latencies: [] as number[],
  }));
  const slotAt = (at: number) => slots[Math.floor((at - from) / stepMs)];
  for (const { askedAt, answeredAt, knownAt, firstAnswer, answer } of submissions) {
    const known = slotAt(knownAt);
    if (known && answer === "accepted") known.accepted += 1;
    if (known && answer === "rejected") known.refused += 1;
    // By when it was asked: slow answers belong to the fault that made them slow.
    if (firstAnswer !== "unknown") slotAt(askedAt)?.latencies.push(answeredAt - askedAt);
  }
  for (const { startedAt, endedAt, how } of executions) {
    const start = slotAt(startedAt);
    if (start) start.started += 1;
    const end = endedAt !== undefined && how !== "killed" ? slotAt(endedAt) : undefined;
    if (end) end.ended += 1;
  }
  return slots.map(({ latencies, ...slot }) => {
    return { ...slot, submitP50: percentile(latencies, 50), submitP99: percentile(latencies, 99) };
  });
}
