// What no rule of the failover protocol says, and is promised all the same: how a task ends, whose turn it is, who sees what.
import type { Mutation } from "./mutation.ts";

export const promises: readonly Mutation[] = [
  {
    name: "right-end",
    about: "Some tasks whose handler has ended well are written down as Stopped.",
    edits: [
      {
        file: "packages/scheduler/src/partition/outcome.ts",
        find: 'return finalWrite(task, "Succeeded", ended, facts.now);',
        replace: 'return finalWrite(task, task.seq % 5 === 0 ? "Stopped" : "Succeeded", ended, facts.now);',
      },
    ],
    proof: { breaks: ["I2"], focus: [] },
  },
  {
    name: "leave-adopted",
    about: "A new owner stops everything that it adopts: it runs again as the next attempt, and nobody counts that.",
    edits: [
      {
        file: "packages/scheduler/src/partition/adopt.ts",
        find: "else if (row.stopRequested) task.stopSent = link.stop(port, [ref]);",
        replace: "else task.stopSent = link.stop(port, [ref]);",
      },
    ],
    proof: { breaks: ["I9"], focus: ["scheduler crash", "scheduler hand-off"] },
  },
  {
    name: "one-claim",
    about: "A scheduler claims a partition although another one holds it, or lanes of it.",
    edits: [
      {
        file: "packages/coordination/src/claims.ts",
        find: '...overlapping(prefix).map((other) => ({ key: claimKey({ queue, prefix: other }), is: "absent" as const })),',
        replace: "...overlapping(prefix).slice(0, 0).map(() => ({ key, modRevision: 0 })),",
      },
    ],
    proof: { breaks: ["I7"], focus: ["scheduler hand-off", "lease late"] },
  },
  {
    name: "own-token",
    about: "A client that repeats a submission, because it heard no answer, is told that the id is taken.",
    edits: [
      {
        file: "packages/store/src/insert.ts",
        find: 'const isRepeated = task.submissionToken !== "" && task.submissionToken === row.submission_token;',
        replace: 'const isRepeated = task.submissionToken === "" && task.submissionToken === row.submission_token;',
      },
      {
        file: "test/simulation/store/task-records.ts",
        find: 'const isRepeated = token !== "" && token === existing.submissionToken;',
        replace: 'const isRepeated = token === "" && token === existing.submissionToken;',
      },
    ],
    proof: { breaks: ["I11"], focus: ["store ambiguous", "call lost"] },
  },
  {
    name: "own-account",
    about: "Whoever has a key is taken for the account of the key that was used before it.",
    edits: [
      {
        file: "packages/api-server/src/accounts/authenticate.ts",
        find: "return async ({ accountId, headers }) => {",
        replace: "let before; return async ({ accountId, headers }) => {",
      },
      {
        file: "packages/api-server/src/accounts/authenticate.ts",
        find: "return key.accountId;",
        replace: "const own = key.accountId; const taken = before ?? own; before = own; return taken;",
      },
    ],
    proof: { breaks: ["I13"], focus: [] },
  },
  {
    name: "confirmation",
    about:
      "No owner tells an agent that the end of an attempt is in the store, and the agent does not ask: it keeps it for ever.",
    edits: [
      {
        file: "packages/scheduler/src/partition/settle.ts",
        find: "for (const [link, refs] of confirmed) link.confirm(port, refs);",
        replace: "for (const [link, refs] of confirmed) link.confirm(port, refs.slice(0, 0));",
      },
      {
        file: "packages/agent/src/forget-settled.ts",
        find: "if (attempts.length === 0) continue;",
        replace: "if (attempts.length >= 0) continue;",
      },
    ],
    proof: { breaks: ["I14"], focus: [] },
  },
  {
    name: "urgency",
    about: "Of the tasks of a flow the least urgent one has its turn first.",
    edits: [
      {
        file: "packages/scheduler/src/partition/context.ts",
        find: "context.order.add(origin, urgency(origin), waiting, seqs.length);",
        replace: "context.order.add(origin, -urgency(origin), waiting, seqs.length);",
      },
    ],
    proof: { breaks: ["I15"], focus: [], rush: true },
  },
];
