// Partitions: what is sent on a link vanishes, in both directions or in one, while both ends live.
import type { Direction, Scenario, Stage } from "../contract.ts";
import { fencing, fencingNobody, losingLease, refusingWrites } from "./effects.ts";
import { namesOf, partitionsOf, untilOwned, untilSpread } from "./ownership.ts";
import { cut, dropPackets, slow, type Way } from "./steps.ts";
import { tasksRun, tasksRunOn } from "./workloads.ts";

/** The lease of the default profile and 5 s more. */
const longerThanLeaseMs = 11_000;

const directions = { "": "both", "-there": "there", "-back": "back" } as const;
const inWords = { both: "in both directions", there: "towards the latter", back: "towards the former" } as const;

export const cuts: readonly Scenario[] = [
  ...inEveryDirection("cut-agent-scheduler", "the link of the schedulers to an agent for 11 s: nobody is fenced", {
    ways: ({ arena }) => schedulersTo(namesOf(arena, "scheduler"), "agent-0"),
    needs: ["pairs"],
  }),
  ...inEveryDirection(
    "cut-scheduler-etcd",
    "the link of a scheduler to etcd: its partitions go to others after a lease",
    {
      ways: () => [["scheduler-0", "etcd"]],
      loses: "scheduler-0",
    },
  ),
  ...inEveryDirection("cut-scheduler-nats", "the link of a scheduler to NATS: its tasks wait, and go on afterwards", {
    ways: () => [["scheduler-0", "nats-0"]],
  }),
  ...inEveryDirection("cut-scheduler-postgres", "the link of a scheduler to PostgreSQL: results wait at their agents", {
    ways: () => [["scheduler-0", "postgres"]],
  }),
  ...inEveryDirection(
    "cut-agent-api-server",
    "the links of an agent to all api-servers for 35 s: it stops itself by 25 s",
    {
      ways: ({ arena }) => namesOf(arena, "api-server").map((name): Way => ["agent-0", name]),
      ms: 35_000,
      fences: "agent-0",
    },
  ),
  {
    name: "cut-agent",
    needs: ["pairs"],
    about: "an agent is cut off from everybody for 45 s: it stops itself before its tasks run elsewhere",
    async run(stage) {
      await tasksRunOn(stage, "agent-0");
      await untilSpread(stage);
      await fencing(stage, "agent-0", (meanwhile) =>
        cut(stage, waysOfAgent(stage, "agent-0"), { ms: 45_000, meanwhile }),
      );
      await stage.workload.started(100);
    },
  },
  {
    name: "cut-agent-scheduler-long",
    needs: ["pairs"],
    about:
      "the schedulers do not reach an agent for 40 s, which proves its life all the while: it is fenced and waited out",
    async run(stage) {
      await tasksRunOn(stage, "agent-0");
      await untilSpread(stage);
      const ways = schedulersTo(namesOf(stage.arena, "scheduler"), "agent-0");
      await fencing(stage, "agent-0", (meanwhile) => cut(stage, ways, { ms: 40_000, meanwhile }));
      await stage.workload.started(100);
    },
  },
  {
    name: "scheduler-late-writes",
    about:
      "writes of a scheduler are on their way to PostgreSQL when others take its partitions over: the floor refuses them",
    repeats: true,
    async run(stage, repeat) {
      for (let n = 0; n < repeat; n += 1) {
        await refusingWrites(stage, async () => {
          await untilSpread(stage);
          await tasksRun(stage);
          await replacedWhileWriting(stage, `scheduler-${n % 3}`);
        });
        await stage.workload.started(40);
      }
    },
  },
  ...packetsInEveryDirection("packets-agent", 11_000, "nobody is fenced", { fences: false }),
  ...packetsInEveryDirection("packets-agent-long", 45_000, "it stops itself before its tasks run elsewhere", {
    fences: true,
  }),
];

interface CutPlan {
  readonly ways: (stage: Stage) => readonly Way[];
  readonly ms?: number;
  /** A scheduler whose partitions go to others by this. */
  readonly loses?: string;
  readonly needs?: Scenario["needs"];
  /** An agent whose lifeline is shorter than this lasts. */
  readonly fences?: string;
}

function inEveryDirection(
  name: string,
  about: string,
  { ways, ms = longerThanLeaseMs, loses, needs = [], fences }: CutPlan,
): Scenario[] {
  return Object.entries(directions).map(([suffix, direction]: [string, Direction]) => ({
    name: `${name}${suffix}`,
    about: `nothing passes ${inWords[direction]} on ${about}`,
    needs,
    async run(stage) {
      await untilSpread(stage);
      await tasksRun(stage);
      const partitions = loses === undefined ? undefined : await partitionsOf(stage, loses);
      const strike = (meanwhile?: () => Promise<void>) =>
        cut(stage, ways(stage), { ms, direction, partitions, meanwhile });
      if (fences !== undefined) await fencing(stage, fences, strike);
      else await fencingNobody(stage, () => (loses === undefined ? strike() : losing(stage, loses, strike)));
      await stage.workload.started(100);
    },
  }));
}

/** Dropped below TCP, as a cable would. */
function packetsInEveryDirection(
  name: string,
  ms: number,
  then: string,
  { fences }: { readonly fences: boolean },
): Scenario[] {
  const inWords = { both: "sent and received", there: "sent", back: "received" } as const;
  return Object.entries(directions).map(([suffix, direction]: [string, Direction]) => ({
    name: `${name}${suffix}`,
    about: `every packet ${inWords[direction]} by an agent is dropped for ${ms / 1_000} s: ${then}`,
    needs: ["netns"],
    arena: { isolated: ["agent-0"] },
    async run(stage) {
      await tasksRunOn(stage, "agent-0");
      const strike = () => dropPackets(stage, "agent-0", { ms, direction });
      // Nobody can ask it meanwhile.
      await (fences ? fencing(stage, "agent-0", strike) : fencingNobody(stage, strike));
      await stage.workload.started(100);
    },
  }));
}

/** It is cut off from etcd, and what it writes takes so long that some of it was sent before its successor came. */
async function replacedWhileWriting(stage: Stage, victim: string): Promise<void> {
  const partitions = await partitionsOf(stage, victim);
  await losing(stage, victim, (replaced) => {
    const meanwhile = () => replaced().then(() => stage.workload.started(20));
    const cutOff = () => cut(stage, [[victim, "etcd"]], { ms: 0, partitions, meanwhile });
    return slow(stage, [[victim, "postgres"]], { ms: 0, delayMs: 400, meanwhile: cutOff });
  });
}

/** Its lease must end, and others must own everything, while it is cut off. */
function losing(stage: Stage, name: string, strike: (meanwhile: () => Promise<void>) => Promise<void>): Promise<void> {
  return losingLease(stage, [name], (lost) =>
    strike(async () => {
      await lost();
      await untilOwned(stage, { except: name });
    }),
  );
}

function schedulersTo(schedulers: readonly string[], agent: string): Way[] {
  return schedulers.map((scheduler) => [scheduler, agent]);
}

export function waysOfAgent({ arena }: Stage, agent: string): Way[] {
  return [
    ...schedulersTo(namesOf(arena, "scheduler"), agent),
    ...namesOf(arena, "api-server").map((name): Way => [agent, name]),
  ];
}
