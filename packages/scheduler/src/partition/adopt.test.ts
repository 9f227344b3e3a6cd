import { aFlow } from "@sluice/core/testing";
import { type AttemptOutcome, type InventoryEntry, OutcomeKind, RefusalReason } from "@sluice/protocol";
import { expect, test } from "vitest";
import type { AgentLink } from "../agents/link.ts";
import { createPort } from "./adopt.ts";
import { epoch, startDispatching } from "./testing.ts";

const seq = 1;
const ref = { seq, attempt: 1, queue: "q0", lane: 0 };

function entry(rest: Partial<InventoryEntry>): InventoryEntry {
  return { ref, outcome: undefined, startedAtMs: 0, instanceId: "", recovered: false, ...rest };
}

function outcome(kind: OutcomeKind): AttemptOutcome {
  const nothing = Buffer.alloc(0);
  return { kind, result: nothing, errorType: "", errorMessage: "", errorBody: nothing, retryAfterMs: 0, endedAtMs: 0 };
}

function aLink(agentId: string): AgentLink {
  return {
    agentId,
    incarnation: 2,
    used: 0,
    usedOfRevision: new Map(),
    confirm: () => undefined,
  } as unknown as AgentLink;
}

/** A partition that an earlier owner may have dispatched a task of; nobody has answered yet. */
function startAdopting(agents: readonly string[]) {
  const dispatching = startDispatching({ unanswered: agents });
  const port = createPort(dispatching.context, new AbortController().signal);
  dispatching.deliver(1, { stamp: epoch - 1 });
  return {
    ...dispatching,
    async attach(link: AgentLink, ...inventory: InventoryEntry[]) {
      port.onAttached(link, inventory);
      await dispatching.clock.advance(10);
    },
    die: async (agentId: string) => {
      port.onAgentDead(agentId);
      await dispatching.clock.advance(10);
    },
  };
}

const ended = entry({ outcome: outcome(OutcomeKind.SUCCEEDED), recovered: true });
const lost = entry({ outcome: outcome(OutcomeKind.LOST), recovered: true });

test("an end that an agent recovered waits for the agents that may run the same attempt", async () => {
  const { context, attach } = startAdopting(["a1", "a2"]);
  const [back, other] = [aLink("a1"), aLink("a2")];
  await attach(back, ended);
  expect(context.pending.size).toBe(0);
  expect(context.memory.active(seq)?.state).toBe("held");

  await attach(other, entry({}));
  expect(context.pending.size).toBe(0);
  const task = context.memory.active(seq);
  expect(task?.state).toBe("dispatched");
  expect(task?.link).toBe(other);
  expect(task?.witnesses?.has(back)).toBe(true);
});

test("an end that an agent recovered counts when nobody else has the attempt", async () => {
  const { context, attach, die } = startAdopting(["a1", "a2"]);
  await attach(aLink("a1"), ended);
  await die("a2");
  expect(context.pending.take(9).map(({ write }) => write)).toMatchObject([
    { kind: "settle", seq, status: "Succeeded" },
  ]);
});

test("how an attempt ended says more than that it was lost, whoever answers last", async () => {
  const { context, attach } = startAdopting(["a1", "a2"]);
  const [first, last] = [aLink("a1"), aLink("a2")];
  await attach(first, ended);
  await attach(last, lost);
  const [pending] = context.pending.take(9);
  expect(pending?.write).toMatchObject({ kind: "settle", status: "Succeeded" });
  expect(pending?.confirmTo).toBe(first);
  expect(context.memory.active(seq)?.witnesses?.has(last)).toBe(true);
});

test("an attempt that an agent of an older release calls lost waits, too", async () => {
  const { context, attach } = startAdopting(["a1", "a2"]);
  await attach(aLink("a1"), { ...lost, recovered: false });
  expect(context.pending.size).toBe(0);
  expect(context.memory.active(seq)?.state).toBe("held");
});

test("an attempt is not adopted before it is known what became of its row in bulk", async () => {
  const { clock, context, attach } = startAdopting(["a1"]);
  const { memory } = context;
  expect(memory.setAside([seq])).toEqual([seq]);
  await attach(aLink("a1"), entry({}));
  await clock.advance(1_000);
  expect(memory.active(seq)?.state).toBe("leaving");
  expect(context.unanswered.size).toBe(1);

  memory.restore(seq);
  await clock.advance(20);

  expect(memory.active(seq)).toMatchObject({ state: "dispatched", agentId: "a1", origin: { functionName: "echo" } });
  expect(context.unanswered.size).toBe(0);
});

test("an attempt that was sent by older limits holds back its flow for a moment, and nobody else at that agent", async () => {
  const { clock, context, frames, links, deliver } = startDispatching();
  const port = createPort(context, new AbortController().signal);
  const [link] = links as [AgentLink];
  const pauses: number[] = [];
  link.pause = (ms) => void pauses.push(ms);
  const sent = () => frames.flat().map(({ seq }) => seq);
  deliver(1, { flow: aFlow({ function: "limited" }) });
  await clock.advance(1);
  expect(sent()).toEqual([1]);

  port.onRefused(link, [{ ref, reason: RefusalReason.LIMITS }]);
  deliver(1, { flow: aFlow({ function: "other" }) });
  await clock.advance(40);
  expect(pauses).toEqual([]);
  expect(sent()).toEqual([1, 2]);

  await clock.advance(20);
  expect(sent()).toEqual([1, 2, 1]);
});

test("an agent that is full gets nothing of anybody for a moment", async () => {
  const { clock, context, links, deliver } = startDispatching();
  const port = createPort(context, new AbortController().signal);
  const [link] = links as [AgentLink];
  const pauses: number[] = [];
  link.pause = (ms) => void pauses.push(ms);
  deliver(1);
  await clock.advance(1);

  port.onRefused(link, [{ ref, reason: RefusalReason.BUSY }]);

  expect(pauses).toEqual([50]);
});
