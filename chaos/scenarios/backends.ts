// etcd, NATS and PostgreSQL die, forget, and stand still.
import { connect } from "nats";
import type { Arena, Scenario } from "../contract.ts";
import { namesOf, ownedQueues, untilOwned } from "./ownership.ts";
import { crash, freezeAll, restart, wipe } from "./steps.ts";
import { brisk, tasksRun } from "./workloads.ts";

export const backends: readonly Scenario[] = [
  {
    name: "nats-kill",
    about:
      "kill -9 of nats-server and a new start: submissions go on, what was acked in vain comes again and runs once",
    isFast: true,
    workload: brisk,
    async run(stage, repeat) {
      for (let n = 0; n < repeat; n += 1) {
        await tasksRun(stage);
        await crash(stage, "nats-0");
        await stage.workload.started(100);
      }
    },
  },
  {
    name: "nats-gone",
    about: "nats-server is away for 30 s: submissions go on, and what waited runs when it is back",
    async run(stage) {
      await tasksRun(stage);
      await crash(stage, "nats-0", { downMs: 30_000 });
      await stage.workload.started(100);
    },
  },
  {
    name: "nats-wiped",
    about: "nats-server comes back without its data: every waiting task is announced again",
    async run(stage) {
      await tasksRun(stage);
      await wipe(stage, "nats-0");
      await stage.workload.started(100);
    },
  },
  {
    name: "queue-forgotten",
    about: "NATS comes back empty, all schedulers are killed, and hundreds wait: only rows know of them, and all run",
    // Too few slots for the load, so that tasks wait.
    arena: { environment: { agent: { SLUICE_AGENT_SLOTS: "6" } } },
    workload: brisk,
    async run(stage) {
      await tasksRun(stage);
      await stage.workload.accepted(600);
      await Promise.all([
        wipe(stage, "nats-0"),
        ...namesOf(stage.arena, "scheduler").map((name) => crash(stage, name, { downMs: 1_000 })),
      ]);
      await stage.workload.started(100);
    },
  },
  {
    name: "stream-deleted",
    about: "the stream is deleted under load: it is made anew, and every waiting task is announced again",
    async run(stage) {
      await tasksRun(stage);
      const over = stage.mark("delete-stream", "nats-0");
      await deleteStreams(stage.arena);
      over();
      await stage.workload.started(100);
    },
  },
  {
    name: "nats-leader-kill",
    about: "kill -9 of the server that leads the stream, of a NATS cluster of three: the others go on",
    arena: { nats: 3 },
    async run(stage, repeat) {
      for (let n = 0; n < repeat; n += 1) {
        await tasksRun(stage);
        await crash(stage, await streamLeader(stage.arena), { downMs: 10_000 });
        await stage.workload.started(100);
      }
    },
  },
  {
    name: "etcd-restart",
    about: "kill -9 of etcd and a new start: leases live on, and nobody loses a partition for long",
    async run(stage) {
      await tasksRun(stage);
      await crash(stage, "etcd");
      await stage.workload.started(100);
    },
  },
  {
    name: "etcd-wiped",
    about: "etcd comes back empty: members, wishes and claims are written anew, epochs go on above the floors",
    isFast: true,
    workload: brisk,
    async run(stage) {
      await tasksRun(stage);
      const queues = await ownedQueues(stage);
      await wipe(stage, "etcd");
      await untilOwned(stage, { queues });
      await stage.workload.started(100);
    },
  },
  {
    name: "etcd-quorum-lost",
    about: "two of three members of etcd stand still for 60 s: running tasks go on and are settled, dispatch resumes",
    arena: { etcd: 3 },
    async run(stage) {
      await tasksRun(stage);
      await freezeAll(stage, ["etcd-0", "etcd-1"], 60_000);
      await stage.workload.started(100);
    },
  },
  {
    name: "etcd-member-kill",
    about: "kill -9 of one member of etcd after the other, of three: nothing is to be seen",
    arena: { etcd: 3 },
    async run(stage) {
      for (const name of ["etcd-0", "etcd-1", "etcd-2"]) {
        await tasksRun(stage);
        await crash(stage, name, { downMs: 5_000 });
      }
      await stage.workload.started(100);
    },
  },
  {
    name: "postgres-restart",
    about: "PostgreSQL is restarted in order: nothing is answered that is not recorded, nothing runs again",
    workload: brisk,
    isFast: true,
    async run(stage, repeat) {
      for (let n = 0; n < repeat; n += 1) {
        await tasksRun(stage);
        await restart(stage, "postgres");
        await stage.workload.started(100);
      }
    },
  },
  {
    name: "postgres-kill",
    about:
      "kill -9 of PostgreSQL, which is away for 15 s: results wait at their agents, commits that broke off are found out",
    async run(stage) {
      await tasksRun(stage);
      await crash(stage, "postgres", { downMs: 15_000 });
      await stage.workload.started(100);
    },
  },
  {
    name: "backends-kill",
    about: "kill -9 of etcd, NATS and PostgreSQL at once",
    async run(stage) {
      await tasksRun(stage);
      const queues = await ownedQueues(stage);
      await Promise.all(["etcd", "nats-0", "postgres"].map((name) => crash(stage, name, { downMs: 3_000 })));
      await untilOwned(stage, { queues });
      await stage.workload.started(100);
    },
  },
];

export async function deleteStreams(arena: Arena): Promise<void> {
  await using nats = await openNats(arena);
  const { streams } = await nats.connection.jetstreamManager();
  for await (const { config } of streams.list()) await streams.delete(config.name);
}

/** Name of the server that leads the first stream. */
async function streamLeader(arena: Arena): Promise<string> {
  await using nats = await openNats(arena);
  const { streams } = await nats.connection.jetstreamManager();
  for await (const { cluster } of streams.list()) if (cluster?.leader) return cluster.leader;
  throw new Error("no stream has a leader");
}

async function openNats({ cluster }: Arena) {
  const connection = await connect({
    servers: cluster.backends.filter(({ kind }) => kind === "nats").map(({ address }) => address),
  });
  return { connection, [Symbol.asyncDispose]: () => connection.close() };
}
