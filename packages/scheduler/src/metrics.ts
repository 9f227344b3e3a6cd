import { Counter, Gauge, Histogram, type Registry } from "prom-client";

/** The gap in which nobody dispatches from a partition that moves is about the sum of both; its target is below a second. */
const movingBuckets = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2];

/** Every metric of the scheduler; `docs/metrics.md` explains them. */
export function schedulerMetrics(registry: Registry) {
  const registers = [registry];
  const counter = <L extends string = never>(name: string, help: string, labelNames: readonly L[] = []) =>
    new Counter<L>({ name: `sluice_scheduler_${name}`, help, labelNames: [...labelNames], registers });
  return {
    partitions: new Gauge({ name: "sluice_scheduler_partitions", help: "Partitions owned now.", registers }),
    waiting: new Gauge({ name: "sluice_scheduler_tasks_in_memory", help: "Task numbers in memory now.", registers }),
    parked: new Gauge({
      name: "sluice_scheduler_parked_overflow_tasks",
      help: "Tasks of its partitions that are parked in the store because memory was full: counted at times, and kept up in between.",
      registers,
    }),
    busyShare: new Gauge({
      name: "sluice_scheduler_busy_ratio",
      help: "Share of the time in which its thread is at work, smoothed, as the load-balancer goes by it; 0: not known.",
      registers,
    }),
    takenOver: counter("takeovers_total", "Partitions taken over."),
    steppedDown: counter("stepdowns_total", "Partitions given up because somebody else owns them."),
    pulled: counter("pulled_blocks_total", "Blocks pulled from the queue."),
    dispatched: counter("dispatched_attempts_total", "Attempts sent to agents."),
    refusedAttempts: counter("refused_attempts_total", "Attempts that an agent did not accept."),
    adopted: counter("adopted_attempts_total", "Attempts adopted from inventories."),
    held: counter("held_tasks_total", "Rows held back because an agent had not answered."),
    ended: counter("ended_attempts_total", "Attempts that ended, by outcome.", ["kind"]),
    settled: counter("settled_writes_total", "Writes that took effect, by status.", ["status"]),
    refusedWrites: counter(
      "refused_writes_total",
      "Writes whose guard did not hold: somebody settled the task already, or announced it again.",
    ),
    staleWrites: counter(
      "stale_writes_total",
      "Writes about single tasks that the store refused because their owner had been replaced; bulk work that it refused shows as a step-down only.",
    ),
    overflown: counter(
      "overflowed_tasks_total",
      "Tasks parked because more of their flow waited than memory holds; the same task may be parked again.",
    ),
    paused: counter("paused_tasks_total", "Tasks parked because they pass the filter of a pause."),
    batches: counter("batch_tasks_total", "Tasks that operations have stopped, deleted or marked.", ["did"]),
    unparked: counter("unparked_tasks_total", "Tasks taken out of their parking."),
    reannounced: counter(
      "reannounced_tasks_total",
      "Tasks announced again by the sweeper; near 0 in a healthy cluster.",
    ),
    takeOverDuration: new Histogram({
      name: "sluice_scheduler_takeover_duration_seconds",
      help: "From the start of a take-over to the ownership; the answers of the agents follow.",
      buckets: movingBuckets,
      registers,
    }),
    handOffDuration: new Histogram({
      name: "sluice_scheduler_handoff_duration_seconds",
      help: "From the decision to hand a partition off until its claim was released.",
      buckets: movingBuckets,
      registers,
    }),
    slotsWanted: new Gauge({
      name: "sluice_agent_slots_wanted",
      help: "Slots of agents that this scheduler could use: attempts that run, and tasks that would if there were slots, as far as limits and adaptive windows let them; smoothed. Sum over the schedulers.",
      registers,
    }),
    slotsTotal: new Gauge({
      name: "sluice_agent_slots_total",
      help: "Slots of all agents that take work, told by the scheduler that leads; 0 at the others.",
      registers,
    }),
    slotsFree: new Gauge({
      name: "sluice_agent_slots_free",
      help: "Those of them that are free, told by the scheduler that leads; 0 at the others.",
      registers,
    }),
    shardChanges: counter(
      "shard_changes_total",
      "Shards of flows that got more agents (grown) or fewer (shrunk), or needed more and got none because the flow had lost agents (withheld).",
      ["kind"],
    ),
    moved: counter(
      "moved_tasks_total",
      "Tasks given to another lane: to the one in which their limited flow lies, or to or from a queue of their flow's own.",
    ),
    flowControlErrors: counter("flow_control_errors_total", "Attempts that ended with a flow-control error."),
    slowedFlows: counter("slowed_flows_total", "Times that a flow was slowed down because too much of it was refused."),
    preempted: counter("preempted_attempts_total", "Attempts that were stopped to make room for urgent tasks."),
    slowedDownFlows: new Gauge({
      name: "sluice_scheduler_slowed_down_flows",
      help: "Flows that are held back now because their downstream refused too much, or asked for a pause.",
      registers,
    }),
    slowedDownRate: new Gauge({
      name: "sluice_scheduler_slowed_down_rate_attempts_per_second",
      help: "Sum of the rates of those flows.",
      registers,
    }),
    fenced: counter("fenced_agents_total", "Agents fenced because they did not answer."),
    settleSize: new Histogram({
      name: "sluice_scheduler_settle_size_tasks",
      help: "Writes per group commit.",
      buckets: [1, 4, 16, 64, 256],
      registers,
    }),
    settleDuration: new Histogram({
      name: "sluice_scheduler_settle_duration_seconds",
      help: "Time of a group commit.",
      buckets: [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3],
      registers,
    }),
  };
}
export type SchedulerMetrics = ReturnType<typeof schedulerMetrics>;
