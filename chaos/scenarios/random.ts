// Faults by chance, several at once: whatever the named scenarios do one by one.
//
//   every few seconds ──a strike whose parts are free──▶ under way ──its time is over──▶ its parts are free again
import type { Scenario, Stage } from "../contract.ts";
import { deleteStreams } from "./backends.ts";
import { waysOfAgent } from "./cuts.ts";
import { leaderOf, namesOf, partitionsOf } from "./ownership.ts";
import { block, crash, cut, freeze, reset, restart, slow, type Way, wipe } from "./steps.ts";

interface Strike {
  /** Parts that nothing else may strike meanwhile. */
  readonly parts: readonly string[];
  run(): Promise<void>;
}

/** More at once would leave nothing that works, and nothing to see. */
const atOnceMax = 3;
const pauseMsMax = 8_000;
/** Of the default profile, and a little more. */
const leaseMs = 8_000;

/** `ms`: how long faults begin. */
export function randomFaults(ms: number): Scenario {
  return {
    name: "random",
    about: `faults by chance, up to ${atOnceMax} at once, for ${Math.round(ms / 60_000)} min`,
    async run(stage) {
      const endsAt = performance.now() + ms;
      const struck = new Set<string>();
      const under = new Set<Promise<void>>();
      let failure: unknown;
      while (performance.now() < endsAt && failure === undefined) {
        await stage.sleep(1_000 + stage.random() * pauseMsMax);
        if (under.size >= atOnceMax) continue;
        const { parts, run } = await strikeByChance(stage);
        if (parts.some((part) => struck.has(part))) continue;
        for (const part of parts) struck.add(part);
        const strike = run()
          .catch((cause: unknown) => {
            failure ??= cause;
          })
          .finally(() => {
            for (const part of parts) struck.delete(part);
            under.delete(strike);
          });
        under.add(strike);
      }
      await Promise.all(under);
      if (failure !== undefined) throw failure;
    },
  };
}

/** A strike of any kind that the host can do. */
export async function strikeByChance(stage: Stage): Promise<Strike> {
  const { arena } = stage;
  const between = (min: number, max: number) => min + stage.random() * (max - min);
  const pick = <T>(items: readonly T[]) => items[Math.floor(stage.random() * items.length)] as T;
  const scheduler = pick(namesOf(arena, "scheduler"));
  const apiServer = pick(namesOf(arena, "api-server"));
  const agent = pick(namesOf(arena, "agent"));
  const service = pick([scheduler, apiServer, agent]);
  const backend = pick(arena.cluster.backends.map(({ name }) => name));
  const direction = pick(["both", "there", "back"] as const);
  const downMs = between(0, 15_000);
  const cutMs = between(2_000, 30_000);
  // Where nobody can tell which scheduler has opened a connection to an agent, those ways are left alone.
  const hasPairs = arena.capabilities.has("pairs");
  const wayTo: readonly Way[] = [
    [scheduler, backend],
    ...(hasPairs ? [[scheduler, agent] as const] : []),
    [agent, apiServer],
    [apiServer, backend],
  ];
  const cutOff = (): Strike => ({
    parts: [agent],
    run: () => cut(stage, waysOfAgent(stage, agent), { ms: cutMs, direction, mayBeIdle: true }),
  });
  const strikes: readonly (() => Strike | Promise<Strike>)[] = [
    () => ({ parts: [service], run: () => crash(stage, service, { downMs }) }),
    () => ({ parts: [service], run: () => restart(stage, service) }),
    () => ({ parts: [service], run: () => freeze(stage, service, { ms: between(1_000, 30_000) }) }),
    async () => {
      const leader = await leaderOf(stage).catch(() => scheduler);
      return { parts: [leader], run: () => crash(stage, leader, { downMs }) };
    },
    () => ({ parts: [service], run: () => block(stage, service, between(500, 12_000)) }),
    () => ({ parts: [backend], run: () => crash(stage, backend, { downMs: downMs / 2 }) }),
    () => ({ parts: [backend], run: () => freeze(stage, backend, { ms: between(500, 10_000) }) }),
    () => ({ parts: ["etcd"], run: () => wipe(stage, "etcd") }),
    () => ({
      parts: ["nats-0"],
      async run() {
        // The stream may not have been made anew yet, or not answer.
        await deleteStreams(stage).catch(() => 0);
      },
    }),
    async () => {
      const way = pick(wayTo);
      const [from, to] = way;
      // Without etcd its lease ends; the other ways cost it nothing that it owns.
      const partitions = to.startsWith("etcd") && cutMs > leaseMs ? await partitionsOf(stage, from) : undefined;
      return { parts: [...way], run: () => cut(stage, [way], { ms: cutMs, direction, partitions, mayBeIdle: true }) };
    },
    ...(hasPairs ? [cutOff] : []),
    () => {
      const way = pick(wayTo);
      return {
        parts: [...way],
        run: () => slow(stage, [way], { ms: cutMs, delayMs: between(20, 800), mayBeIdle: true }),
      };
    },
    () => ({ parts: [], run: async () => void reset(stage, [pick(wayTo)]) }),
  ];
  return pick(strikes)();
}
