// What an agent promises: that it runs what it was given once, and that it does not outlive its word.
import type { Mutation } from "./mutation.ts";

export const agents: readonly Mutation[] = [
  {
    name: "registration-floors",
    about: "A new agent is not handed the floors: it takes an owner that was replaced before it came.",
    edits: [
      {
        file: "packages/api-server/src/gateway/registrations.ts",
        find: "const floors = await store.lanes.allFloors();",
        replace: "const floors = new Map<string, readonly number[]>();",
      },
    ],
    proof: { breaks: ["I6"], from: 58, focus: ["agent restart", "cut from a system", "watch silent", "lease lost"] },
  },
  {
    name: "registration-order",
    about:
      "The floors are read before the row of a new agent is committed: a take-over in between knows nothing of it.",
    edits: [
      {
        file: "packages/api-server/src/gateway/registrations.ts",
        find: "const floors = await store.lanes.allFloors();",
        replace: "",
      },
      {
        file: "packages/api-server/src/gateway/registrations.ts",
        find: "const registered = await store.agents.register(agent);",
        replace:
          "const floors = await store.lanes.allFloors();\n      const registered = await store.agents.register(agent);",
      },
    ],
    proof: {
      breaks: ["I6"],
      focus: ["registration storm", "agent restart", "cut from a system", "store slow", "store slow for a while"],
      minutes: 1,
      from: 300,
    },
  },
  {
    name: "watchdog",
    about: "Nobody kills the instances of an agent that has crashed or stands still.",
    edits: [
      {
        file: "test/simulation/model/host.ts",
        find: "await Promise.all([...this.instances].map((instance) => instance.kill()));",
        replace: "",
      },
    ],
    proof: { breaks: ["I3"], from: 6, focus: ["agent crash"] },
  },
  {
    name: "self-fence",
    about:
      "An agent goes on when nobody has told it for long that it lives, or when it was marked dead; so does its watchdog.",
    without: ["watchdog"],
    edits: [
      {
        file: "packages/agent/src/lifeline/lifeline.ts",
        find: 'if (!this.#fenced && this.#provenAt && this.#leftMs(this.#provenAt) <= 0) this.fence("SILENCE");',
        replace: "",
      },
      {
        file: "packages/agent/src/lifeline/lifeline.ts",
        find: 'if (dead) this.fence("DEAD");',
        replace: "if (dead) return;",
      },
    ],
    proof: {
      breaks: ["I3", "I5", "I8"],
      from: 3,
      // Crashes would show that the watchdog is gone.
      focus: ["agent freeze", "message slow"],
      isAlone: true,
      minutes: 1,
    },
  },
  {
    name: "incarnation",
    about: "An agent takes what was meant for its last incarnation.",
    edits: [
      {
        file: "packages/agent/src/gate/gate.ts",
        find: "return incarnation === this.#incarnation && (",
        replace: "return incarnation >= 0 && (",
      },
      {
        file: "packages/scheduler/src/agents/link.ts",
        find: "if (attached.incarnation !== this.incarnation) return;",
        replace: "",
      },
    ],
    proof: {
      breaks: ["I3", "I4", "I5"],
      focus: ["partition", "hint lost", "store slow"],
      size: { apiServers: 1, agents: 2 },
      minutes: 1,
      from: 65,
    },
  },
  {
    name: "sessions",
    about: "An agent takes what an older stream of the same owner still delivers.",
    edits: [
      {
        file: "packages/agent/src/gate/lanes.ts",
        find: "return state?.epoch === epoch && state.session === origin.session && state.streamId === origin.streamId;",
        replace: "return state?.epoch === epoch && (true || state.session === origin.session);",
      },
    ],
    proof: { breaks: ["I3", "I4"], from: 6, focus: ["stream break"] },
  },
  {
    name: "dedupe",
    about: "An agent does not recognise an attempt that it was given before.",
    edits: [
      { file: "packages/agent/src/gate/gate.ts", find: "return { known };", replace: "" },
      {
        file: "packages/agent/src/gate/gate.ts",
        find: "if (this.#table.isOutdated(order.seq, order.attempt)) return { refusal: RefusalReason.STALE };",
        replace: "",
      },
      {
        file: "packages/agent/src/gate/gate.ts",
        find: "if (this.#table.isRunning(order.seq)) return { refusal: RefusalReason.BUSY };",
        replace: "",
      },
      {
        file: "packages/agent/src/gate/dedupe-table.ts",
        find: 'assert(!this.find(seq, attempt.ref.attempt), "an attempt is in the dedupe table once");',
        replace: "",
      },
    ],
    proof: { breaks: ["I4"], focus: ["frame repeated"] },
  },
];
