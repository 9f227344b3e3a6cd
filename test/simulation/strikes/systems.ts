// The external systems: what their servers do to everybody. What is known of them: `packages/queue/README.md`, `docs/versions.md`.
import type { StrikeAction, StrikeContext } from "./index.ts";

export const systemStrikes = {
  /** `kill -9` and a new start: acks that were not on disk yet are forgotten. */
  "queue restart": (context) => {
    const { world, dice } = context;
    const downMs = dice.pick([dice.between(50, 2_000), dice.between(2_000, 10_000)]);
    const undoneMs = dice.pick([dice.between(0, 100), dice.between(100, 2_000), dice.between(2_000, 8_000)]);
    const undone = world.queue.undoAcks(undoneMs);
    world.counters.add("queue restarted");
    world.counters.add("ack came back", undone);
    restartQueue(context, { downMs, isNoticed: undone === 0 || dice.chance(0.6) });
    return `for ${downMs} ms, ${undone} acks undone`;
  },
  /** A power loss: the end of the stream is gone, and consumers know more than it does. */
  "queue tail lost": (context) => {
    const { world, dice } = context;
    const { queue, counters } = world;
    const count = dice.between(1, 8);
    const lost = queue.loseTail(count);
    const ahead = queue.consumers.filter((consumer) => queue.isAhead(consumer)).length;
    counters.add("tail lost");
    counters.add("block lost with the tail", lost.length);
    counters.add("consumer ahead of its stream", ahead);
    for (const { block } of lost) world.trace.add(`BLOCK LOST ${block.seqs.join(" ")}`);
    restartQueue(context, { downMs: dice.between(50, 3_000), isNoticed: dice.chance(0.3) });
    return `${count} messages, ${lost.length} of them not acked, ${ahead} consumers ahead`;
  },
  /** By somebody who should not. Publishers create it anew at once; owners of consumers when they notice. */
  "stream deleted": ({ world, dice }) => {
    const { size } = world.queue;
    world.counters.add("stream deleted");
    world.queue.deleteStream();
    world.queue.recreateConsumers(() => dice.pick([dice.between(10, 300), dice.between(300, 6_000)]));
    return `with ${size} messages`;
  },
  /** After a change of leaders a consumer may send nothing; its driver asks anew, or creates it anew. */
  "consumer stall": (context) => {
    const { world, dice } = context;
    const { consumers } = world.queue;
    if (consumers.length === 0) return "there was none";
    const consumer = dice.pick(consumers);
    const ms = dice.between(1_000, 15_000);
    const resume = consumer.stall();
    const isRecreated = dice.chance(0.5);
    world.counters.add("consumer stalled");
    context.cureAfter(ms, () => {
      resume();
      if (isRecreated) world.queue.system.whenUp(() => consumer.recreate());
    });
    const { queue, prefix, priority, epoch } = consumer.share;
    return `${queue}/${prefix}/${priority}@${epoch} for ${ms} ms`;
  },
  /** As a stale leader of etcd does it: the lease ends before its time. */
  "lease lost": ({ world, dice }) => {
    const leases = world.coordinator.leasesInUse;
    if (leases.length === 0) return "there was none";
    const { id, key } = dice.pick(leases);
    world.counters.add("lease lost early");
    world.trace.add(`LEASE LOST ${key}`);
    world.coordinator.endLeaseEarly(id);
    return key;
  },
  "coordinator without quorum": (context) => {
    const { world, dice } = context;
    const ms = dice.pick([dice.between(300, 3_000), dice.between(3_000, 15_000), dice.between(15_000, 60_000)]);
    world.counters.add("quorum lost");
    context.cureAfter(ms, world.coordinator.loseQuorum());
    return `for ${ms} ms`;
  },
  "coordinator wiped": (context) => {
    const { world, dice } = context;
    const ms = dice.between(1, 5_000);
    world.counters.add("coordinator wiped");
    world.coordinator.wipe();
    context.cureAfter(ms, world.coordinator.system.fail("down"));
    return `back after ${ms} ms`;
  },
  /** A half-open connection, or a member without a leader. */
  "watch silent": (context) => {
    const { world, dice } = context;
    const host = dice.pick([...world.names.schedulers, ...world.names.apiServers]);
    const ms = dice.pick([dice.between(100, 3_000), dice.between(3_000, 20_000)]);
    const hint = dice.chance(0.5);
    const resume = world.coordinator.silence(host);
    world.counters.add(hint ? "watch silent, then opened anew" : "watch silent, and nothing said of it");
    context.cureAfter(ms, () => resume({ hint }));
    return `${host} for ${ms} ms, ${hint ? "then a hint" : "no hint"}`;
  },
  /**
   * A watch was behind, and what it had not sent yet is compacted: the server ends it, and nobody ever hears of those changes.
   * The driver opens it anew after its pause, from then on, and hints.
   */
  "watch compacted": (context) => {
    const { world, dice } = context;
    const host = dice.pick([...world.names.schedulers, ...world.names.apiServers]);
    const behindMs = dice.between(1, 10_000);
    const pauseMs = dice.between(0, 2_000);
    const resume = world.coordinator.silence(host);
    world.counters.add("watch compacted");
    context.cureAfter(behindMs + pauseMs, () => resume({ hint: true }));
    return `${host} was ${behindMs} ms behind, opened anew ${pauseMs} ms later`;
  },
  "store restart": (context) => {
    const { world, dice } = context;
    const ms = dice.pick([dice.between(50, 2_000), dice.between(2_000, 20_000)]);
    world.counters.add("store restarted");
    context.cureAfter(ms, world.server.system.fail("down"));
    return `for ${ms} ms`;
  },
  /** What was under way may be done or not; nobody is told. */
  "store connections cut": ({ world }) => {
    world.counters.add("store connections cut");
    world.server.system.cutConnections();
    return "all";
  },
  "store slow for a while": (context) => {
    const { world, dice } = context;
    const ms = dice.between(500, 8_000);
    const slowMs = dice.pick([dice.between(50, 500), dice.between(500, 4_000)]);
    world.counters.add("store slow for a while");
    context.cureAfter(ms, world.server.system.slow(slowMs));
    return `up to ${slowMs} ms, for ${ms} ms`;
  },
} as const satisfies Record<string, StrikeAction>;

/**
 * Connections are refused meanwhile. Drivers examine their consumers afterwards: against one server they create them anew;
 * where another server has taken over, what is wrong is found only later (`isNoticed`: false).
 */
function restartQueue(
  { world, dice, cureAfter }: StrikeContext,
  { downMs, isNoticed }: { readonly downMs: number; readonly isNoticed: boolean },
): void {
  const { queue, counters } = world;
  const recover = queue.system.fail("down");
  if (isNoticed) queue.doubtAll();
  else counters.add("consumer trusted wrongly");
  cureAfter(downMs, () => {
    recover();
    queue.serveAll();
    queue.recreateConsumers(() => (isNoticed ? dice.between(20, 2_000) : dice.between(5_000, 30_000)));
  });
}
