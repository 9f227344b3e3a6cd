// Limits that hold in the whole cluster: one lane for a limited flow, and what its owner must know before it starts anything.
import type { Mutation } from "./mutation.ts";

export const limits: readonly Mutation[] = [
  {
    name: "empty-bucket",
    about: "A new owner begins with a full bucket, although the last one may have emptied its own a moment ago.",
    edits: [
      {
        file: "packages/core/src/flow/token-bucket.ts",
        find: "return { tokens: 0, at: now };",
        replace: "return { tokens: Number.MAX_SAFE_INTEGER, at: now };",
      },
    ],
    proof: { breaks: ["I10"], from: 310, focus: ["scheduler hand-off", "scheduler crash"] },
  },
  {
    name: "one-home",
    about: "A task of a limited flow runs wherever it lies, and the owner of each lane counts its own.",
    edits: [
      {
        file: "packages/scheduler/src/partition/plan.ts",
        find: 'return home && (home.queue !== facts.queue || home.lane !== row.lane) ? "move" : "dispatch";',
        replace: 'return home ? "dispatch" : "dispatch";',
      },
      {
        file: "packages/scheduler/src/partition/gates/limits.ts",
        find: "if (!isHere(known) || roomOf(flow, known, facts) <= 0) return false;",
        replace: "if (isHere(known) && roomOf(flow, known, facts) <= 0) return false;",
      },
    ],
    proof: { breaks: ["I10"], from: 7, focus: ["block late"], minutes: 1 },
  },
  {
    name: "running-elsewhere",
    about: "The owner of a flow that has become limited does not ask what runs of it in other lanes.",
    edits: [
      {
        file: "packages/scheduler/src/partition/homes.ts",
        find: "const known = scopes.get(key);",
        replace: "const known = scopes.get(key); if (version.length >= 0) return 0;",
      },
    ],
    proof: { breaks: ["I10"], focus: ["instance hang"], minutes: 1 },
  },
  {
    name: "running-unheard-of",
    about:
      "The owner of a flow that was limited so from the beginning does not ask, if it never heard of a queue of its own.",
    edits: [
      {
        file: "packages/scheduler/src/partition/homes.ts",
        find: "const known = scopes.get(key);",
        replace:
          "const known = scopes.get(key); if (version.length === 0 && (isAccounts || !route.wasRouted) && !known) return 0;",
      },
    ],
    proof: {
      breaks: ["I10"],
      from: 1_359,
      focus: ["coordinator wiped", "scheduler crash", "instance hang"],
      isAlone: true,
      size: { schedulers: 2, agents: 2 },
      minutes: 1,
    },
  },
  {
    name: "reserved",
    about: "What is reserved for the other functions of its account does not count for a flow.",
    edits: [
      {
        file: "packages/scheduler/src/partition/reserved.ts",
        find: "if (key !== flowKey) kept += Math.max(0, own - activeOf(key));",
        replace: "if (key === flowKey) kept += 0 * Math.max(0, own - activeOf(key));",
      },
    ],
    proof: { breaks: ["I10"], focus: ["instance hang"], minutes: 1 },
  },
  {
    name: "limits-barrier",
    about: "A new owner starts attempts of a limited flow before it knows what silent agents still run of it.",
    edits: [
      {
        file: "packages/scheduler/src/partition/partition.ts",
        find: "allAnswered: () => context.unanswered.size === 0 && deps.routes.ageMs() < usableMs,",
        replace: "allAnswered: () => deps.routes.ageMs() < usableMs,",
      },
    ],
    // The question what runs elsewhere waits for the same agents.
    without: ["running-unheard-of"],
    proof: {
      breaks: ["I10"],
      from: 429,
      focus: ["scheduler hand-off", "partition", "instance hang"],
      isAlone: true,
      size: { schedulers: 2, agents: 3 },
      minutes: 1,
    },
  },
];
