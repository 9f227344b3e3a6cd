// Scenarios in a cluster in which nothing can be broken: their faults do nothing, and all goes on as before.
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { seededRandom } from "@sluice/core/testing";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import type { Arena, Capability, Link, PacketFault, Part, Stage, Workload } from "../contract.ts";
import { randomFaults, scenarios } from "./index.ts";
import { strikeByChance } from "./random.ts";

/**
 * They ask servers or programs that are not here. Those that kill, freeze or wipe do it by steps that others are checked with;
 * the rest see to it themselves: `stream-deleted` that there was a stream and that a new one stands in its place, `poison` that
 * its task took four agents along, `herd-start` that the herd is there, `herd-frozen` that it is silent.
 */
const elsewhere = [
  ...["nats-wiped", "queue-forgotten", "stream-deleted", "nats-leader-kill", "poison"],
  ...["herd-start", "herd-frozen", "herd-schedulers-kill", "herd-schedulers-freeze", "herd-api-servers-kill"],
];
const checked = scenarios.filter(({ name, mustBreak }) => !elsewhere.includes(name) && mustBreak === undefined);

let metrics: Server;
let address = "";
beforeAll(async () => {
  metrics = createServer((_request, response) => void response.end("# TYPE sluice_agent_fences_total counter\n"));
  await once(metrics.listen(0, "127.0.0.1"), "listening");
  const bound = metrics.address();
  address = `127.0.0.1:${typeof bound === "object" && bound ? bound.port : 0}`;
});
afterAll(() => void metrics.close());

test.each(checked.map((scenario) => [scenario.name, scenario] as const))(
  "%s fails when its fault does nothing, and says what it needs of the host",
  async (_, scenario) => {
    const failure = await hurried(scenario.run(inertStage(scenario.needs), 1));
    expect(failure).toMatch(
      /was not ended|does not stand still|was not blocked|held nothing back|no packets|slowed down|no connection to reset|without owner but|nobody leads but|has not ended|kept a lease|is still \d|goes on answering|was not handed off/,
    );
  },
);

test("faults by chance fail when they do nothing", async () => {
  expect(await hurried(randomFaults(600_000).run(inertStage(), 1))).toMatch(/was not|does not/);
});

test("faults by chance leave out what the host cannot do", async () => {
  expect(await waysOfStrikes([])).not.toContain("scheduler > agent");
  expect(await waysOfStrikes(["pairs"])).toContain("scheduler > agent");
});

/** Links that three hundred strikes ask for, such as `agent > api-server`. */
async function waysOfStrikes(capabilities: readonly Capability[]): Promise<ReadonlySet<string>> {
  const ways = new Set<string>();
  const stage = inertStage(capabilities, (from, to) => ways.add(`${kindOf(from)} > ${kindOf(to)}`));
  const part = () => {
    throw new Error("only links are of interest");
  };
  for (let n = 0; n < 300; n += 1) {
    const random = seededRandom(n);
    const at = { ...stage, arena: { ...stage.arena, part }, random: () => random.next(), sleep: async () => undefined };
    const { parts, run } = await strikeByChance(at);
    // Faults of NATS alone ask a server.
    if (parts.join() !== "nats-0") await run().catch(() => undefined);
  }
  return ways;
}

/** Lets the time of timers fly, and returns why it failed. */
async function hurried(run: Promise<void>): Promise<string> {
  let failure: string | undefined;
  const ended = run.then(
    () => {
      failure = "it passes";
    },
    (cause: unknown) => {
      failure = cause instanceof Error ? cause.message : String(cause);
    },
  );
  while (failure === undefined) {
    await vi.advanceTimersByTimeAsync(500);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await ended;
  return failure;
}

const kindOf = (name: string) => name.replace(/-\d$/, "");

/** On a host that can do this, and throws where a fault needs more. */
function inertStage(
  capabilities: readonly Capability[] = [],
  onLink: (from: string, to: string) => void = () => undefined,
): Stage {
  const names = ["api-server-0", "api-server-1", ...[0, 1, 2].flatMap((n) => [`scheduler-${n}`, `agent-${n}`])];
  const services = names.map((name) => ({ name, kind: kindOf(name), httpAddress: address }));
  const backends = ["etcd", "nats-0", "postgres"].map((name) => ({ name, kind: kindOf(name) }));
  const nothing = async () => undefined;
  const link: Link = { held: 0, cut() {}, delay() {}, limit() {}, reset: () => 0, heal() {} };
  const packets: PacketFault = { dropped: () => 0, cut() {}, heal() {} };
  const partOf = (name: string): Part => ({
    name,
    pid: process.pid,
    ...{ crash: nothing, stop: nothing, start: nothing, wipe: nothing },
    ...{ freeze() {}, thaw() {}, block() {} },
  });
  const schedulers = ["scheduler-0", "scheduler-1", "scheduler-2"];
  const cluster = {
    get: async () => ({
      members: schedulers.map((id) => ({ id, draining: false })),
      queues: [
        { name: "q0", partitions: [{ prefix: "", owner: "scheduler-0", wishedOwner: "scheduler-0", epoch: 1 }] },
      ],
    }),
    ...{ split: nothing, move: nothing, merge: nothing },
  };
  const arena = {
    cluster: { services, backends, service: () => ({ httpAddress: address }) },
    capabilities: new Set(capabilities),
    part: partOf,
    link(from: string, to: string) {
      onLink(from, to);
      if (kindOf(from) === "scheduler" && kindOf(to) === "agent") need("pairs");
      return link;
    },
    packets() {
      need("netns");
      return packets;
    },
    fillDisk: async () => need("tmpfs"),
    freeDisk: nothing,
    leader: async () => "scheduler-0",
    partitions: async () => new Map(schedulers.map((name) => [name, [{ queue: name, prefix: "" }]])),
    connect: () => ({ cluster, [Symbol.asyncDispose]: nothing }),
    leases: async () => new Map(schedulers.map((name) => [`lease of ${name}`, name])),
  } as unknown as Arena;
  const need = (capability: Capability) => {
    if (!capabilities.includes(capability)) throw new Error(`this scenario needs ${capability} and does not say so`);
  };
  const running = names.flatMap((agentId) => [1, 2, 3].map((n) => ({ taskId: `task-${n}`, agentId })));
  const workload = {
    counts: { accepted: 0, rejected: 0, unknown: 0 },
    now: () => 0,
    running: () => running,
    ...{ accepted: nothing, started: nothing },
  } as unknown as Workload;
  let dice = 0;
  return {
    arena,
    workload,
    random: () => {
      dice = (dice + 0.381_966) % 1;
      return dice;
    },
    sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    mark: () => () => undefined,
  };
}

vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
afterAll(() => void vi.useRealTimers());
