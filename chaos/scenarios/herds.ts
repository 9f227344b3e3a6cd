// Three hundred agents, which speak the protocol and run nothing, lose everything at once and come back together.
import { until } from "@sluice/testbed";
import { type Herd, type HerdStatus, startHerd } from "../agents/herd.ts";
import type { Arena, Scenario, Stage } from "../contract.ts";
import { namesOf } from "./ownership.ts";
import { crash, freezeAll } from "./steps.ts";
import { tasksRun } from "./workloads.ts";

const count = 300;
/** So many that the workload reaches all of them, and not one. */
const slots = 4;
const startWithinMs = 120_000;
/** From the moment when those that they need are there again. */
const backWithinMs = 20_000;

/** Heartbeats come every 2 s. */
const heartbeatAgeMaxMs = 4_000;

export const herds: readonly Scenario[] = [
  {
    ...scenario(
      "herd-start",
      `${count} agents start at the same moment: all take work in the end, and nothing runs twice`,
      () => Promise.resolve(),
    ),
    prepare: (arena) => prepareHerd(arena, true),
  },
  scenario(
    "herd-frozen",
    `${count} agents stand still for 8 s and go on together: all are back within 20 s, none is fenced`,
    async (stage, herd) => {
      const over = stage.mark("freeze", `${count} agents`);
      herd.kill("SIGSTOP");
      // Longer than schedulers wait for a sign of life, so that every stream is made anew; they fence after 15 s.
      const silent = herdIsSilent(herd, 7_000);
      await Promise.all([stage.sleep(8_000), silent]);
      herd.kill("SIGCONT");
      over();
    },
  ),
  scenario(
    "herd-schedulers-kill",
    `kill -9 of all schedulers: ${count} agents are attached to their successors within 20 s, none is fenced`,
    (stage) => crashAll(stage, "scheduler", 5_000),
  ),
  scenario(
    "herd-schedulers-freeze",
    `all schedulers stand still for 12 s: ${count} agents are attached again within 20 s, none is fenced`,
    (stage) => freezeAll(stage, namesOf(stage.arena, "scheduler"), { ms: 12_000 }),
  ),
  scenario(
    "herd-api-servers-kill",
    `kill -9 of all api-servers for 3 s: the heartbeats of ${count} agents are back within 20 s, none is fenced`,
    // They need some seconds to start; agents end themselves after 20.
    (stage) => crashAll(stage, "api-server", 3_000),
  ),
];

const herdOf = new WeakMap<Arena, Herd>();

function scenario(name: string, about: string, strike: (stage: Stage, herd: Herd) => Promise<void>): Scenario {
  return {
    name,
    about,
    // A scheduler is ready when it has an agent; this one takes next to nothing of the herd's work.
    arena: { agents: 1, environment: { agent: { SLUICE_AGENT_SLOTS: "1" } } },
    prepare: (arena) => prepareHerd(arena, false),
    async run(stage) {
      const herd = herdOf.get(stage.arena);
      if (!herd) throw new Error("there is no herd");
      await tasksRun(stage);
      const { fences } = await untilBack(stage, herd, startWithinMs);
      await strike(stage, herd);
      const over = stage.mark("return", `${count} agents`);
      const back = await untilBack(stage, herd, backWithinMs);
      over();
      if (back.fences > fences) throw new Error(`${back.fences - fences} agents were fenced`);
      await stage.workload.started(100);
    },
  };
}

async function prepareHerd(arena: Arena, isAtOnce: boolean): Promise<Herd> {
  const herd = await startHerd(arena.cluster, { count, slots, isAtOnce });
  herdOf.set(arena, herd);
  return herd;
}

/** Waits until each agent was heard of lately, and has a stream of every scheduler that owns something. */
async function untilBack({ arena }: Stage, herd: Herd, timeoutMs: number): Promise<HerdStatus> {
  let last: HerdStatus | undefined;
  let seen = "nothing was seen of them";
  const isBack = async () => {
    // A process that is busy with three hundred agents answers late.
    const [status, partitions] = await Promise.all([herd.status().catch(() => undefined), arena.partitions()]);
    if (!status) return false;
    last = status;
    const owners = [...partitions.values()].filter(({ length }) => length > 0).length;
    const attached = status.streams.filter((streams) => streams >= owners).length;
    const { ready, heartbeatAgeMs, fences } = status;
    seen = `${ready} are ready, ${attached} attached to all ${owners} owners, the oldest heartbeat is of ${Math.round(heartbeatAgeMs)} ms ago, ${fences} were fenced`;
    return owners > 0 && attached === count && ready === count && heartbeatAgeMs < heartbeatAgeMaxMs;
  };
  await until(isBack, { what: "not all agents are back", timeoutMs, everyMs: 100 }).catch((cause) => {
    throw new Error(`${cause.message}: ${seen}`, { cause });
  });
  return last as HerdStatus;
}

/** Throws when it answers meanwhile. */
async function herdIsSilent(herd: Herd, ms: number): Promise<void> {
  const beganAt = performance.now();
  while (performance.now() - beganAt < ms) {
    const answers = await herd.status().then(
      () => true,
      () => false,
    );
    if (answers) throw new Error("the herd does not stand still: it answers");
  }
}

async function crashAll(stage: Stage, kind: "scheduler" | "api-server", downMs: number): Promise<void> {
  await Promise.all(namesOf(stage.arena, kind).map((name) => crash(stage, name, { downMs })));
}
