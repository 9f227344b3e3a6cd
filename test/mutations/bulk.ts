// Rows that go to another queue, or that are parked or ended in bulk: nobody reads them before, so nobody sees what became of them.
import type { Mutation } from "./mutation.ts";

/** An owner that comes at once, before an agent that runs what the last one sent has said so, or knows what its row says. */
const unheard = {
  focus: ["scheduler hand-off", "agent freeze", "instance hang", "stream deleted"],
  isAlone: true,
  size: { schedulers: 2, agents: 2 },
  minutes: 1,
} as const;

/** Much waits for one agent. */
const crowded = { isAlone: true, size: { schedulers: 1, agents: 1 }, minutes: 1 } as const;

export const bulk: readonly Mutation[] = [
  {
    name: "move-barrier",
    about: "What waits of a flow is given to another queue although an agent may be running it for an earlier owner.",
    edits: [
      {
        file: "packages/scheduler/src/partition/move.ts",
        find: "if (context.unanswered.size > 0) return undefined;",
        replace: "",
      },
      {
        file: "packages/scheduler/src/partition/move.ts",
        find: "!context.isTrusted() || context.unanswered.size > 0) return moved;",
        replace: "!context.isTrusted()) return moved;",
      },
      {
        file: "packages/scheduler/src/partition/move.ts",
        find: "context.draining || context.unanswered.size > 0) break;",
        replace: "context.draining) break;",
      },
    ],
    proof: { breaks: ["I3", "I4"], from: 10, ...unheard },
  },
  {
    name: "move-active",
    about: "What its owner is at work on is given to another queue: a row does not say at once that it runs.",
    edits: [
      {
        file: "packages/scheduler/src/partition/move.ts",
        find: "if (context.memory.active(row.seq) || context.suspects.has(row.seq)) continue;",
        replace: "",
      },
    ],
    proof: { breaks: ["I3", "I4"], from: 7, focus: [] },
  },
  {
    name: "overflow-barrier",
    about: "What does not fit into memory is parked although an agent may be running it for an earlier owner.",
    edits: [
      {
        file: "packages/scheduler/src/partition/overflow.ts",
        find: "if (context.unanswered.size > 0) return undefined;",
        replace: "",
      },
    ],
    proof: { breaks: ["I3", "I4"], from: 266, ...unheard },
  },
  {
    name: "expiry-barrier",
    about: "What has expired is ended in bulk although an agent may be running it for an earlier owner.",
    edits: [
      {
        file: "packages/scheduler/src/partition/expire.ts",
        find: "const stampMin = context.unanswered.size > 0 ? owner.epoch : 0;",
        replace: "const stampMin = 0;",
      },
    ],
    proof: { breaks: ["I3", "I8"], from: 455, ...unheard },
  },
  {
    name: "set-aside",
    about: "What is being parked or ended in bulk has its turn all the same.",
    edits: [
      {
        file: "packages/scheduler/src/partition/turn.ts",
        find: "return !memory.has(seq) || memory.active(seq) !== undefined;",
        replace: 'return !memory.has(seq) || (memory.active(seq)?.state ?? "leaving") !== "leaving";',
      },
    ],
    proof: { breaks: ["I3", "I8"], from: 1_240, ...crowded, focus: ["store slow", "store slow for a while"] },
  },
];
