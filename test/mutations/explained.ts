import type { Explained } from "./mutation.ts";

/** Protections of the protocol's model without a mutation that breaks something, and why. */
export const explained: readonly Explained[] = [
  {
    name: "re-reading the row of an attempt that is missing after a re-attach",
    about:
      "There is nothing to take out: the dispatch loop knows no other way. A number that is put back has no row any more, and every dispatch reads it in the same breath.",
  },
  {
    name: "row-before-barrier",
    about:
      "It takes an agent that dies for good, without a successor, while a replaced owner reads, and another one that its successor has not reached yet: the agents' floors refuse everything else that was read too late. What is left has a test beside the code (`dispatch.test.ts`: a row that was read before the last agent had answered is read again). Taken out alone (`allAnswered` looked up after the read), 2,000 seeds of freezes, partitions and a slow store found nothing; with the agents' floors out as well, four of 342 seeds broke I3, I4 or I8, and each of them breaks the same with only the floors out.",
    takenOut: {
      edits: [
        {
          file: "packages/scheduler/src/partition/dispatch.ts",
          find: "{ rows: new Map(rows.map((row) => [row.seq, row])), functions, allAnswered });",
          replace:
            "{ rows: new Map(rows.map((row) => [row.seq, row])), functions, allAnswered: context.unanswered.size === 0 });",
        },
      ],
      focus: ["agent freeze", "partition", "scheduler freeze", "store slow"],
    },
  },
  {
    name: "recovered-waits",
    about:
      "It takes an attempt in the journal of an agent that was found dead, an owner that came after that and gave the same attempt to another agent, and a third owner that hears the first agent, back again, before the other one. Taken out of the adoption, 400 seeds found nothing: 200 with agents that stay away, crashes and partitions, 100 with a lost quorum and commands, 100 of two minutes with only agents that stay away, commands, lost hints and handlers that hang. Tests beside the code hold it (`adopt.test.ts`).",
    takenOut: {
      edits: [
        {
          file: "packages/scheduler/src/partition/adopt.ts",
          find: "if (isRecovered && [...context.unanswered].some(",
          replace: "if (false && [...context.unanswered].some(",
        },
      ],
      focus: ["agent away", "agent crash", "scheduler crash", "partition"],
    },
  },
  {
    name: "moved-attempt",
    about:
      "It takes a row that is moved while only the journal of a dead agent knows of its attempt, and the same agent, back again, that is sent it again. Without it, one of some 1,700 seeds broke I1 (the task waited for ever); since agents register in another order that seed goes another way, and a quarter of an hour from there on found nothing. A test beside the code holds it (`gate.confirm.test.ts`).",
    takenOut: {
      edits: [
        {
          file: "packages/agent/src/gate/gate.ts",
          find: "if (!isSameLane(known.ref, order)) Object.assign(known, { left: known.ref, ref: newAttempt(order).ref });",
          replace: "",
        },
      ],
      focus: [],
      minutes: 1,
    },
  },
  {
    name: "lost-route",
    about:
      "It takes etcd wiped between the moment at which a limited flow's attempt is sent from its own queue and the one at which its next one is from a shared queue. Without it, one of some 1,700 seeds broke I10; since agents register in another order that seed goes another way, and a quarter of an hour from there on found nothing. A test beside the code holds it (`known-routes.test.ts`).",
    takenOut: {
      edits: [
        {
          file: "packages/scheduler/src/known-routes.ts",
          find: "? follower.hasChanged(flow) : true;",
          replace: "? false : true;",
        },
      ],
      focus: ["coordinator wiped"],
      minutes: 1,
    },
  },
  {
    name: "until-known",
    about:
      "It takes a call of an operation or of the overflow that comes late, and a row of it that was started in between, within the second before its agent says so: what runs by its row is neither parked nor ended. With the first failure believed, and the rows given their turn again, 150 seeds found nothing: 60 half minutes of late and ambiguous calls of the store among others, and with these alone, much waiting and one scheduler, 62 minutes with one agent and 28 with two. Tests beside the code hold it (`overflow.test.ts`, `expire.test.ts`, `operations.test.ts`: while the outcome is not known, nobody acts on the rows).",
    takenOut: {
      edits: [
        {
          file: "packages/scheduler/src/partition/bulk.ts",
          find: "await clock.sleep(retryMs, signal);",
          replace: "if (!signal.aborted) return [] as T;",
        },
      ],
      focus: ["store late", "store ambiguous"],
      isAlone: true,
      size: { schedulers: 1, agents: 1 },
      rush: true,
      minutes: 1,
    },
  },
  {
    name: "late-overflow",
    about:
      "It takes a call that comes late, its repetition, the row taken back from that, and its attempt started, in eight seconds: what was parked is the least urgent, and its turn is rarely so soon. With neither in the statement nor in the model, 88 half minutes of late and ambiguous calls of the store among others found nothing, nor did 8 minutes of these alone with much waiting for one agent. Tests of the store's contract hold both (`conformance/overflow.ts`: what has been taken out again since is not parked by a call that comes late; what runs is not parked).",
    takenOut: {
      edits: [
        {
          file: "packages/store/src/overflow.ts",
          find: " and t.announced_at <= $8::int8",
          replace: " and $8::int8 >= 0",
        },
        {
          file: "test/simulation/store/lane-records.ts",
          find: "row.dueAt === undefined && hasNotStarted(row) && row.announcedAt <= announcedUntil,",
          replace: "row.dueAt === undefined && announcedUntil >= 0,",
        },
      ],
      focus: ["store late", "store ambiguous"],
      isAlone: true,
      size: { schedulers: 1, agents: 1 },
      rush: true,
    },
  },
  {
    name: "leaving-waits",
    about:
      "It takes an owner that ends what has expired in bulk, and the agent that runs some of it for an earlier owner and answers during that call: its attempt would count for no flow, and be written in no lane. Before there was this wait, one of 150 seeds of two minutes with two schedulers and three agents broke I10 so. Without it 11 half minutes of crashes, partitions and a slow store among others found nothing, nor did 77 minutes of two schedulers and two agents with hand-offs, handlers that hang and a slow store alone: 45 with partitions, 32 with agents that freeze. A test beside the code holds it (`adopt.test.ts`: an attempt is not adopted before it is known what became of its row in bulk).",
    takenOut: {
      edits: [
        {
          file: "packages/scheduler/src/partition/adopt.ts",
          find: "if (read && entries.some(isLeaving)) {",
          replace: "if (false) {",
        },
      ],
      focus: ["partition", "scheduler hand-off", "store slow", "instance hang"],
      size: { schedulers: 2, agents: 2 },
      minutes: 1,
    },
  },
  {
    name: "suspects-expire",
    about:
      "No invariant speaks of it: nobody runs it, and what is lost is how it has ended, which its agent has recovered and another one could still have contradicted. 2,000 seeds found nothing. Tests beside the code hold it for the expiry and for moves (`expire.test.ts`, `move.test.ts`).",
    takenOut: {
      edits: [
        {
          file: "packages/scheduler/src/partition/expire.ts",
          find: "memory.setAside(seqs.filter((seq) => !suspects.has(seq)));",
          replace: "memory.setAside(seqs);",
        },
      ],
      focus: ["agent crash", "scheduler crash"],
    },
  },
  {
    name: "journal-reset",
    about:
      "An incarnation is one object, so only the journal could carry a fenced one's table into the next. Without its reset (150 seeds found nothing, nor did 78 in which a loss is believed at once) the next incarnation calls its attempts lost, as after a crash, and that is believed only once every other agent has answered. A test of the agent holds it (`lifeline.test.ts`).",
    takenOut: {
      edits: [{ file: "packages/agent/src/agent.ts", find: "journal.reset();", replace: "" }],
      focus: ["agent freeze", "partition"],
    },
  },
  {
    name: "the agent's journal",
    about:
      "Without it an attempt may be executed again under the same number when its agent and the owner that knew of it die together, which I4 allows. It matters where both are one process (standalone).",
  },
  {
    name: "ack after commit",
    about: "Buys time: a block that was acked too early and is lost is announced again by the sweeper.",
  },
  {
    name: "consumers named by epoch",
    about: "Buys time: blocks in the hands of a replaced owner come back at once, not after `ack_wait`.",
  },
  {
    name: "lease-deadline",
    about:
      "Saves useless work: what a replaced owner still does is refused by the floors of the store and of the agents.",
    takenOut: {
      edits: [
        {
          file: "packages/scheduler/src/scheduler.ts",
          find: "const isTrusted = () => membership.isTrusted();",
          replace: "const isTrusted = () => true;",
        },
      ],
      focus: ["scheduler freeze", "cut from a system"],
    },
  },
];
