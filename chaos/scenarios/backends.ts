// etcd, NATS and PostgreSQL die, forget, and stand still.

import { until } from "@sluice/testbed";
import { connect } from "nats";
import type { Arena, Scenario, Stage } from "../contract.ts";
import { defaultMix } from "../workload/plan.ts";
import { counted, losingLease, untilCounted } from "./effects.ts";
import { namesOf, ownedQueues, untilOwned } from "./ownership.ts";
import { crash, freeze, freezeAll, restart, wipe } from "./steps.ts";
import { tasksRun } from "./workloads.ts";

export const backends: readonly Scenario[] = [
  {
    name: "nats-kill",
    about:
      "kill -9 of nats-server and a new start: submissions go on, what was acked in vain comes again and runs once",
    isFast: true,
    repeats: true,
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
      await crash(stage, "nats-0", { downMs: 30_000, meanwhile: () => stage.workload.accepted(300) });
      await stage.workload.started(100);
    },
  },
  {
    name: "nats-freeze",
    about: "nats-server stands still for 20 s: submissions go on, and what was sent to it meanwhile runs once",
    async run(stage) {
      await tasksRun(stage);
      await freeze(stage, "nats-0", { ms: 20_000, meanwhile: () => stage.workload.accepted(300) });
      await stage.workload.started(100);
    },
  },
  {
    name: "nats-wiped",
    about: "nats-server comes back without its data: every waiting task is announced again",
    async run(stage) {
      await tasksRun(stage);
      // Owners know what they have pulled. What is submitted while they stand still lies in NATS alone.
      const meanwhile = async () => {
        await stage.workload.accepted(60);
        await wipe(stage, "nats-0");
      };
      await announcingAgain(stage, () => freezeAll(stage, namesOf(stage.arena, "scheduler"), { ms: 1_000, meanwhile }));
      await stage.workload.started(100);
    },
  },
  {
    name: "queue-forgotten",
    about: "NATS comes back empty, all schedulers are killed, and hundreds wait: only rows know of them, and all run",
    // Too few slots for the load, so that tasks wait; but enough for the long ones to leave room for others.
    arena: { environment: { agent: { SLUICE_AGENT_SLOTS: "6" } } },
    workload: { mix: { ...defaultMix, long: 0.2 } },
    async run(stage) {
      await tasksRun(stage);
      await stage.workload.accepted(600);
      await announcingAgain(stage, async () => {
        await Promise.all([
          wipe(stage, "nats-0"),
          ...namesOf(stage.arena, "scheduler").map((name) => crash(stage, name, { downMs: 1_000 })),
        ]);
      });
      await stage.workload.started(100);
    },
  },
  {
    name: "stream-deleted",
    about: "the stream is deleted under load: it is made anew, and every task runs",
    async run(stage) {
      await tasksRun(stage);
      await makingStreamsAnew(stage, async () => {
        if ((await deleteStreams(stage)) === 0) throw new Error("there was no stream to delete");
      });
      await stage.workload.started(100);
    },
  },
  {
    name: "nats-leader-kill",
    about: "kill -9 of the server that leads the stream, of a NATS cluster of three: the others go on",
    arena: { nats: 3 },
    repeats: true,
    async run(stage, repeat) {
      for (let n = 0; n < repeat; n += 1) {
        await tasksRun(stage);
        const old = await streamLeader(stage.arena);
        await crash(stage, old, { downMs: 10_000, meanwhile: () => untilStreamLedByAnother(stage.arena, old) });
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
    async run(stage) {
      await tasksRun(stage);
      const queues = await ownedQueues(stage);
      await losingLease(stage, namesOf(stage.arena, "scheduler"), () => wipe(stage, "etcd"));
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
      await freezeAll(stage, ["etcd-0", "etcd-1"], { ms: 60_000, meanwhile: () => untilNobodyKnows(stage.arena) });
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
    isFast: true,
    repeats: true,
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

/** Returns how many there were; it is no fault when there was none. */
export async function deleteStreams(stage: Stage): Promise<number> {
  await using nats = await openNats(stage.arena);
  const { streams } = await nats.connection.jetstreamManager();
  let count = 0;
  for await (const { config } of streams.list()) if (await streams.delete(config.name)) count += 1;
  if (count > 0) stage.mark("delete-stream", "nats-0")();
  return count;
}

/** Waits, after the work, until a new stream stands in the place of each. */
async function makingStreamsAnew(stage: Stage, work: () => Promise<void>): Promise<void> {
  const before = await streamsOf(stage.arena);
  if (before.length === 0) throw new Error("there is no stream to lose");
  await work();
  const areNew = async () => {
    const now = await streamsOf(stage.arena).catch((): string[] => []);
    return now.length >= before.length && before.every((stream) => !now.includes(stream));
  };
  await until(areNew, { what: "the streams are not made anew", timeoutMs: 60_000, everyMs: 250 });
}

/** And until tasks were announced again: of what their owners have in memory nothing is. */
async function announcingAgain(stage: Stage, work: () => Promise<void>): Promise<void> {
  const reannounced = "sluice_scheduler_reannounced_tasks_total";
  const lives = () =>
    namesOf(stage.arena, "scheduler")
      .map((name) => stage.arena.part(name).pid)
      .join();
  const [than, livesBefore] = [await counted(stage, "scheduler", reannounced), lives()];
  await makingStreamsAnew(stage, work);
  await untilCounted(stage, "scheduler", reannounced, { than: lives() === livesBefore ? than : 0, timeoutMs: 120_000 });
}

/** Each stream, told from another of its name. */
async function streamsOf(arena: Arena): Promise<string[]> {
  await using nats = await openNats(arena);
  const { streams } = await nats.connection.jetstreamManager();
  const found: string[] = [];
  for await (const { config, created } of streams.list()) found.push(`${config.name} of ${created}`);
  return found;
}

async function untilStreamLedByAnother(arena: Arena, old: string): Promise<void> {
  const isAnother = async () => (await streamLeader(arena).catch(() => old)) !== old;
  await until(isAnother, { what: `no stream is led by another than ${old}`, timeoutMs: 60_000, everyMs: 250 });
}

/** Waits until etcd answers nobody. */
async function untilNobodyKnows(arena: Arena): Promise<void> {
  const isSilent = () =>
    arena.leader().then(
      () => false,
      () => true,
    );
  await until(isSilent, { what: "etcd goes on answering", timeoutMs: 60_000, everyMs: 250 });
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
