import type { AgentEvent, Sent } from "@sluice/checkers";
import type { Priority } from "@sluice/core";
import type { FakeClock } from "@sluice/core/testing";
import { type AttachPartitions, type FromAgent, OutcomeKind, RefusalReason, type ToAgent } from "@sluice/protocol";
import type { Counters } from "../counters.ts";

export interface FramesRecord {
  readonly clock: FakeClock;
  readonly counters: Counters;
  readonly events: AgentEvent[];
  readonly sends: Sent[];
}

/** Records, of one stream, which owners an agent took and what it was given. */
export function recordFrames(agentId: string, { clock, counters, events, sends }: FramesRecord) {
  const attaches = new Map<number, AttachPartitions>();
  return {
    sent(message: unknown): void {
      const { frame } = message as ToAgent;
      if (frame?.$case === "askFlows") counters.add("asked what runs elsewhere");
      if (frame?.$case !== "dispatch") return;
      for (const { seq, attempt } of frame.value.attempts) sends.push({ at: clock.monotonic(), seq, attempt });
    },
    up(message: unknown): void {
      const { frame } = message as ToAgent;
      if (frame?.$case === "attach") {
        attaches.set(frame.value.session, {
          ...frame.value,
          partitions: frame.value.partitions.map((one) => ({ ...one })),
        });
      }
      if (frame?.$case === "makeRoom") {
        const { incarnation, priority } = frame.value;
        events.push({
          kind: "asked for room",
          at: clock.monotonic(),
          agentId,
          incarnation,
          priority: priority as Priority,
        });
      }
      if (frame?.$case !== "dispatch") return;
      const { incarnation, attempts } = frame.value;
      for (const { seq, attempt, queue, lane, epoch } of attempts) {
        events.push({
          kind: "dispatched",
          at: clock.monotonic(),
          agentId,
          incarnation,
          seq,
          attempt,
          queue,
          lane,
          epoch,
        });
      }
    },
    down(message: unknown): void {
      const { frame } = message as FromAgent;
      if (frame?.$case === "refused") {
        const stale = frame.value.attempts.filter(({ reason }) => reason === RefusalReason.STALE);
        counters.add("stale frame refused", stale.length);
      }
      if (frame?.$case !== "attached") return;
      const { session, incarnation, refused, inventory } = frame.value;
      const lost = inventory.filter(({ outcome }) => outcome?.kind === OutcomeKind.LOST);
      counters.add("lost attempt recovered from the journal", lost.length);
      const attach = attaches.get(session);
      if (!attach || attach.incarnation !== incarnation) return;
      const isRefused = (queue: string, prefix: string) =>
        refused.some(({ partition }) => partition?.queue === queue && partition.prefix === prefix);
      for (const owner of attach.partitions) {
        if (isRefused(owner.queue, owner.prefix)) continue;
        events.push({ kind: "attached", at: clock.monotonic(), agentId, incarnation, owner });
      }
    },
  };
}
