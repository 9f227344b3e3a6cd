import type { Explained } from "./mutation.ts";

/** Protections of the protocol's model without a mutation that breaks something, and why. */
export const explained: readonly Explained[] = [
  {
    name: "re-reading the row of an attempt that is missing after a re-attach",
    about:
      "There is nothing to take out: the dispatch loop knows no other way. A number that is put back has no row any more, and every dispatch reads it in the same breath.",
  },
  {
    name: "reading rows after the barrier, fenced by the floor",
    about:
      "It takes an agent that dies for good, without a successor, while a replaced owner reads, and another one that its successor has not reached yet: the agents' floors refuse everything else that was read too late. What is left has a test beside the code (`dispatch.test.ts`: a row that was read before the last agent had answered is read again).",
  },
  {
    name: "lane check",
    about: "Nothing moves a row to another lane yet. The plan of a row and the guard of a write have tests for it.",
  },
  {
    name: "held rows are neither parked nor moved",
    about: "Only their stop is implemented, and has a mutation (`held-rows`); overflow is not parked yet.",
  },
  {
    name: "exit after a self-fence, and the reset of the journal",
    about:
      "An incarnation is one object, so only the journal could carry a fenced one's table into the next. Without its reset (150 seeds found nothing) the next incarnation calls its attempts lost, as after a crash, and that is believed only once every other agent has answered. A test of the agent holds it (`lifeline.test.ts`).",
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
    name: "the owner's own lease deadline",
    about:
      "Saves useless work: what a replaced owner still does is refused by the floors of the store and of the agents.",
  },
];
