// What an owner does with the rows of its lanes.
import type { Mutation } from "./mutation.ts";

export const rows: readonly Mutation[] = [
  {
    name: "pull-marks",
    about:
      "A number is in nobody's memory between its pull and the reading of its row: a repeat is read, and dispatched, beside it.",
    edits: [
      {
        file: "packages/scheduler/src/partition/memory.ts",
        find: "if (before === undefined) fresh.push(seq);\n      else if (before === noBlock)",
        replace:
          'const state = active.get(seq)?.state ?? "reading";\n      if (before === undefined || state === "reading") fresh.push(seq);\n      else if (before === noBlock)',
      },
      {
        file: "packages/scheduler/src/partition/memory.ts",
        find: "const same = sameBlock(brought);",
        replace: "const same = undefined as OpenBlock | undefined;",
      },
      {
        file: "packages/scheduler/src/partition/pick.ts",
        find: "if (hasNoTurn(memory, seq)) {",
        replace: 'if (!memory.has(seq) || (memory.active(seq)?.state ?? "reading") !== "reading") {',
      },
      {
        file: "packages/scheduler/src/partition/dispatch.ts",
        find: 'return task.state === "reading" && context.memory.active(task.seq) === task;',
        replace: 'return task.state === "reading" && context !== undefined;',
      },
    ],
    proof: { breaks: ["I3", "I4"], focus: ["block repeated"] },
  },
  {
    name: "stop-answer",
    about:
      "An attempt that an agent has is settled as Stopped as soon as somebody wants it, before its agent has answered.",
    edits: [
      {
        file: "packages/scheduler/src/partition/upkeep.ts",
        find: "known.stopSent = known.link.stop(port, [ref]);",
        replace: `known.stopSent = known.link.stop(port, [ref]);
    known.link.used--;
    known.link = undefined;
    known.state = "settling";
    pushWrite(context, { write: refusedWrite(known, "Stopped", undefined, context.clock.now()), confirmTo: undefined });`,
      },
    ],
    proof: { breaks: ["I3", "I8"], focus: [] },
  },
  {
    name: "held-rows",
    about: "A row that waits for an agent that does not answer is stopped all the same.",
    edits: [
      {
        file: "packages/scheduler/src/partition/upkeep.ts",
        find: "if (known) {",
        replace: 'if (known && known.state !== "held") {',
      },
      {
        file: "packages/scheduler/src/partition/upkeep.ts",
        find: "if (!isParked && mayBeOld(row, context.owner.epoch) && context.unanswered.size > 0) return;",
        replace: "if (isParked && mayBeOld(row, context.owner.epoch) && false) return;",
      },
    ],
    proof: { breaks: ["I3", "I8"], from: 3, focus: ["scheduler crash", "agent freeze"] },
  },
  {
    name: "expiry",
    about: "Neither an owner nor an agent looks whether a task has expired when its turn has come.",
    edits: [
      {
        file: "packages/scheduler/src/partition/plan.ts",
        find: 'if (row.expiresAt !== undefined && row.expiresAt <= facts.now) return "expire";',
        replace: "",
      },
      {
        file: "packages/agent/src/gate/gate.ts",
        find: "if (order.expiresAtMs > 0 && now >= order.expiresAtMs) return { refusal: RefusalReason.EXPIRED };",
        replace: "",
      },
      {
        file: "packages/agent/src/run.ts",
        find: "if (order.expiresAtMs > 0) this.startBefore = clock.monotonic() + order.expiresAtMs - time.now();",
        replace: "",
      },
    ],
    proof: { breaks: ["I8"], focus: ["scheduler crash", "coordinator without quorum"] },
  },
  {
    name: "pauses",
    about: "What is paused is sent.",
    edits: [
      {
        file: "packages/scheduler/src/partition/gates/paused.ts",
        find: "room: ({ origin }) => (control.isUsable() && !control.holds(origin, queue) ? Number.POSITIVE_INFINITY : 0),",
        replace: "room: () => Number.POSITIVE_INFINITY,",
      },
      {
        file: "packages/scheduler/src/partition/gates/paused.ts",
        find: "admits: ({ origin }) => control.isUsable() && !control.holds(origin, queue),",
        replace: "admits: () => true,",
      },
    ],
    proof: { breaks: ["I8"], focus: [] },
  },
  {
    name: "sweeper",
    about: "Nobody looks for rows that lost their message.",
    edits: [
      {
        file: "packages/scheduler/src/partition/sweep.ts",
        find: "const lost = page.seqs.filter((seq) => !context.memory.has(seq));",
        replace: "const lost = page.seqs.filter((seq) => !context.memory.has(seq) && false);",
      },
    ],
    proof: { breaks: ["I1"], focus: ["block lost"] },
  },
  {
    name: "sweeper-running",
    about: "The sweeper passes over rows that are Running: one whose agent and message are both gone is never found.",
    edits: [
      {
        file: "packages/store/src/sweep.ts",
        find: "t.priority = $5::int2 and t.ended_at is null and t.due_at is null\n    and (t.announced_at, t.seq) > ($6",
        replace:
          "t.priority = $5::int2 and t.ended_at is null and t.due_at is null and t.status <> 1\n    and (t.announced_at, t.seq) > ($6",
      },
      {
        file: "test/simulation/store/lane-records.ts",
        find: "row.priority === priority && row.dueAt === undefined && row.announcedAt",
        replace: 'row.priority === priority && row.status !== "Running" && row.dueAt === undefined && row.announcedAt',
      },
    ],
    proof: { breaks: ["I1"], from: 29, focus: ["stream deleted", "agent freeze", "scheduler crash"] },
  },
];
