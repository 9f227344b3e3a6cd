// The `sometimes` counters: they prove that rare branches were reached. A run that never takes over a running task proves
// nothing about take-overs.

export const counterNames = [
  "submitted",
  "accepted",
  "outcome of a submission unknown",
  "duplicate answered by token",
  "taken id refused",
  "task listed",
  "foreign task asked for",
  "ambiguous commit",
  "ambiguous commit resolved",
  "write rejected without effect",
  "write arrived late",
  "stale write refused",
  "take-over",
  "take-over while running",
  "adopted",
  "held",
  "re-announced",
  "unparked",
  "overflowed",
  "overflow taken back",
  "repeated dispatch answered",
  "stale frame refused",
  "stream broken",
  "late frame of an old stream",
  "frame repeated",
  "agent crashed",
  "agent frozen",
  "self-fenced",
  "fenced by an owner",
  "killed by the watchdog",
  "lost with agent",
  "lost attempt recovered from the journal",
  "scheduler crashed",
  "scheduler frozen",
  "scheduler handed off",
  "api-server crashed",
  "lease lost early",
  "system outage",
  "partition split",
  "partitions merged",
  "partition moved",
  "split or merged by the rule",
  "busy owner relieved",
  "block lost",
  "block repeated",
  "block late",
  "ack lost",
  "hint lost",
  "call lost",
  "call late",
  "call repeated",
  "refused by a system that is down",
  "connection cut during a call",
  "done after an outage",
  "slow answer of a system",
  "hint lost in a silent watch",
  "lease ended late",
  "delivery lost",
  "delivery repeated",
  "delivery late",
  "queue restarted",
  "ack came back",
  "tail lost",
  "block lost with the tail",
  "consumer ahead of its stream",
  "consumer trusted wrongly",
  "stream deleted",
  "consumer stalled",
  "quorum lost",
  "coordinator wiped",
  "watch silent, then opened anew",
  "watch silent, and nothing said of it",
  "store restarted",
  "store connections cut",
  "store slow for a while",
  "agent restarted",
  "agent away",
  "registration storm",
  "api-server frozen",
  "event loop blocked",
  "clock stepped forward",
  "clock stepped back",
  "stream to a frozen process given up",
  "instance crashed",
  "instance out of memory",
  "agent killed with its instance",
  "instance hung",
  "instance killed by force",
  "partition cut",
  "one-way partition cut",
  "cut from a system",
  "stopped while running",
  "stopped while waiting",
  "paused",
  "parked by a pause",
  "resumed from its parking",
  "stopped in bulk",
  "deleted in bulk",
  "deleted when it had ended",
  "operation finished",
  "expired",
  "retried",
  "timed out",
  "limit changed",
  "reservation changed",
  "queue asked for",
  "route commanded",
  "row moved to a queue of its flow",
  "row moved back to a shared queue",
  "moved to its home",
  "asked what runs elsewhere",
] as const;
export type CounterName = (typeof counterNames)[number];

/** What the seeds of `simulation.test.ts` do not reach, and where it is reached instead. */
export const reachedElsewhere: Readonly<Partial<Record<CounterName, string>>> = {
  "frame repeated": "controls.test.ts, without dedupe: only in focus, as no connection repeats a frame",
  "repeated dispatch answered":
    "packages/agent/src/attach.test.ts: takes a frame that is repeated after the attempt's end",
};

export interface Counters {
  add(name: CounterName, count?: number): void;
  addAll(counts: Readonly<Record<CounterName, number>>): void;
  /** In the order of `counterNames`; 0 where nothing happened. */
  readonly values: Readonly<Record<CounterName, number>>;
}

export function createCounters(): Counters {
  const values = Object.fromEntries(counterNames.map((name) => [name, 0])) as Record<CounterName, number>;
  return {
    add(name, count = 1) {
      values[name] += count;
    },
    addAll(counts) {
      for (const name of counterNames) values[name] += counts[name];
    },
    values,
  };
}
