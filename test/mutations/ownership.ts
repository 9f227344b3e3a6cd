// Who may act for a lane: floors, epochs, the barrier and what it collects.
import type { Mutation } from "./mutation.ts";

/** Calls of the store that time out, and come through all the same: seconds later, when their repetitions have. */
const lateWrites = {
  focus: ["store late", "store ambiguous"],
  isAlone: true,
  size: { schedulers: 1, agents: 1 },
  minutes: 1,
} as const;

export const ownership: readonly Mutation[] = [
  {
    name: "store-floor",
    about: "The store takes what owners below a lane's floor write and read.",
    edits: [
      {
        file: "packages/store/src/fence.ts",
        find: "select from locked where $4::int8 = all (epochs[$2::int4 + 1 : $3::int4])",
        replace: "select from locked where true or $4::int8 = all (epochs[$2::int4 + 1 : $3::int4])",
      },
      {
        file: "packages/store/src/fence.ts",
        find: "where queue = $1::text and $4::int8 = all (epochs[$2::int4 + 1 : $3::int4])",
        replace: "where queue = $1::text and (true or $4::int8 = all (epochs[$2::int4 + 1 : $3::int4]))",
      },
      { file: "test/simulation/store/tables.ts", find: "if (epochs[lane] !== epoch) return false;", replace: "" },
    ],
    proof: { breaks: ["I6"], from: 4, focus: ["scheduler freeze", "lease lost"] },
  },
  {
    name: "agent-floor",
    about: "An agent takes attaches, attempts and confirmations of owners below a lane's floor.",
    edits: [
      {
        file: "packages/agent/src/gate/lanes.ts",
        find: "lanes.some((lane) => lane.floor > epoch || isOlder(epoch, origin, lane))",
        replace: "lanes.some((lane) => isOlder(epoch, origin, lane))",
      },
      {
        file: "packages/agent/src/gate/lanes.ts",
        find: "return state?.epoch === epoch && state.session",
        replace: "return epoch < (state?.epoch ?? 0) || state?.epoch === epoch && state.session",
      },
      {
        file: "packages/agent/src/gate/gate.ts",
        find: "if (frame.epoch < this.#floorFor(attempt, ref)) return [];",
        replace: "",
      },
    ],
    proof: { breaks: ["I3", "I4", "I5", "I6"], focus: ["stream break", "scheduler freeze", "lease lost"] },
  },
  {
    name: "epoch-floor",
    about: "An epoch is the revision of its claim alone: after etcd was wiped nobody gets above the floors.",
    edits: [
      {
        file: "packages/coordination/src/claims.ts",
        find: "return Math.max(claim.createRevision, Math.max(0, ...floors) + 1);",
        replace: "return claim.createRevision + 0 * floors.length;",
      },
    ],
    proof: { breaks: ["I1"], focus: ["coordinator wiped"] },
  },
  {
    name: "barrier",
    about: "A new owner dispatches without waiting for the agents that may be running what it finds.",
    edits: [
      {
        file: "packages/scheduler/src/partition/partition.ts",
        find: "await deps.agents.attach(port, context.unanswered);",
        replace: "await deps.agents.attach(port, new Set());",
      },
    ],
    proof: { breaks: ["I3", "I4"], focus: ["scheduler crash", "partition"] },
  },
  {
    name: "barrier-list",
    about: "The barrier waits for the agents that etcd has a key of, not for those that the store lists.",
    edits: [
      {
        file: "packages/scheduler/src/agents/directory.ts",
        find: "for (const { agentId } of await relist()) unanswered.add(agentId);",
        replace:
          "for (const { agentId } of await relist()) if (await coordinator.get(agentKey(agentId))) unanswered.add(agentId);",
      },
    ],
    proof: { breaks: ["I3", "I4"], focus: ["scheduler crash", "partition", "lease lost"] },
  },
  {
    name: "hold-back",
    about: "Rows that an earlier owner may have dispatched do not wait for the agents that have not answered.",
    edits: [
      {
        file: "packages/scheduler/src/partition/plan.ts",
        find: 'if (mayBeOld(row, facts.epoch) && !facts.allAnswered) return "hold";',
        replace: "",
      },
    ],
    proof: { breaks: ["I3", "I4"], from: 14, focus: ["scheduler crash", "partition"] },
  },
  {
    name: "inventory",
    about: "An owner adopts nothing of what the agents say that they run.",
    edits: [
      {
        file: "packages/scheduler/src/partition/adopt.ts",
        find: "void adopt(link, [...named.values()], adoption);",
        replace: "void adopt(link, [], adoption);",
      },
    ],
    proof: { breaks: ["I3", "I4"], focus: ["scheduler crash"] },
  },
  {
    name: "adoption-read",
    about: "An attempt in an inventory is adopted whatever its row says: it may be settled, or at a later attempt.",
    edits: [
      {
        file: "packages/scheduler/src/partition/adopt.ts",
        find: "if (!row || row.endedAt !== undefined || row.attempt > ref.attempt) {",
        replace: "if (!row) {",
      },
    ],
    without: ["write-attempt"],
    proof: { breaks: ["I2", "I3", "I5"], from: 80, focus: ["scheduler crash", "stream break"], isAlone: true },
  },
  {
    name: "write-attempt",
    about: "A write of an owner takes effect although its row has gone on to another attempt.",
    edits: [
      {
        file: "packages/store/src/write.ts",
        find: "and t.seq = w.seq and t.attempt = w.attempt and t.lane = w.lane",
        replace: "and t.seq = w.seq and t.lane = w.lane",
      },
      {
        file: "test/simulation/store/lane-writes.ts",
        find: "isMine && isOpen && isAsRead && row.attempt === attempt && row.lane === lane",
        replace: "isMine && isOpen && isAsRead && attempt > 0 && row.lane === lane",
      },
    ],
    proof: { breaks: ["I5"], from: 18, focus: ["store late", "store ambiguous"] },
  },
  {
    name: "late-park",
    about:
      "A write that parks a row and keeps its attempt takes effect although the row has been announced again since it was read: it came late, its repetition has parked the row, and that was taken out and started.",
    edits: [
      {
        file: "packages/store/src/write.ts",
        find: "and (w.announced_at is null or t.announced_at = w.announced_at)",
        replace: "",
      },
      {
        file: "test/simulation/store/lane-writes.ts",
        find: "write.announcedAt === undefined || row.announcedAt === write.announcedAt;",
        replace: "write.announcedAt === undefined || row.announcedAt >= 0;",
      },
    ],
    proof: { breaks: ["I3"], from: 360, ...lateWrites },
  },
  {
    name: "lane-check",
    about: "A write takes effect although its row has gone to another lane of the same owner, with its attempt.",
    without: ["late-park"],
    edits: [
      { file: "packages/store/src/write.ts", find: " and t.lane = w.lane and", replace: " and" },
      {
        file: "test/simulation/store/lane-writes.ts",
        find: "row.attempt === attempt && row.lane === lane;",
        replace: "row.attempt === attempt;",
      },
    ],
    proof: { breaks: ["I3"], from: 340, ...lateWrites },
  },
];
