// The network: links that are cut, one way or both, and streams that break.
import type { StrikeAction, StrikeContext } from "./index.ts";

export const linkStrikes = {
  partition: (context) => partition(context, { isOneWay: false }),
  "one-way partition": (context) => partition(context, { isOneWay: true }),
  "cut from a system": (context) => {
    const { world, dice } = context;
    const host = dice.pick([...world.names.schedulers, ...world.names.apiServers]);
    const system = dice.pick(systems);
    const ms = dice.pick([dice.between(50, 3_000), dice.between(3_000, 20_000)]);
    const both = [[host, system] as const, [system, host] as const];
    world.counters.add("cut from a system");
    return cutFor(context, ms, dice.chance(0.6) ? both : [dice.pick(both)]);
  },
  /** Nobody reaches it. */
  "system outage": (context) => {
    const { world, dice } = context;
    const system = dice.pick(systems);
    const ms = dice.pick([dice.between(100, 4_000), dice.between(4_000, 28_000)]);
    const hosts = [...world.names.schedulers, ...world.names.apiServers];
    world.counters.add("system outage");
    cutFor(
      context,
      ms,
      hosts.flatMap((host) => [[host, system] as const, [system, host] as const]),
    );
    return `${system} for ${ms} ms`;
  },
  "stream break": ({ world, dice }) => {
    const open = [...world.connections];
    if (open.length === 0) return "none was open";
    const connection = dice.pick(open);
    const inFlight = dice.chance(0.5) ? "late" : "lost";
    world.counters.add("stream broken");
    connection.break(inFlight);
    const what = `${connection.fromHost}>${connection.toHost} ${inFlight}`;
    world.trace.add(`BREAK ${what}`);
    return what;
  },
} as const satisfies Record<string, StrikeAction>;

const systems = ["store", "queue", "coordinator"] as const;

function cutFor(context: StrikeContext, ms: number, pairs: readonly (readonly [string, string])[]): string {
  const heals = pairs.map(([from, to]) => context.world.network.cut(from, to));
  context.cureAfter(ms, () => {
    for (const heal of heals) heal();
  });
  return `${pairs.map(([from, to]) => `${from}>${to}`).join(" ")} for ${ms} ms`;
}

function partition(context: StrikeContext, { isOneWay }: { isOneWay: boolean }): string {
  const { world, dice } = context;
  const { schedulers, agents, apiServers } = world.names;
  const [one, other] = dice.pick([
    [dice.pick(schedulers), dice.pick(agents)] as const,
    [dice.pick(agents), dice.pick(apiServers)] as const,
  ]);
  const ms = dice.pick([dice.between(50, 3_000), dice.between(3_000, 30_000)]);
  const direction = dice.chance(0.5) ? ([one, other] as const) : ([other, one] as const);
  const pairs = isOneWay ? [direction] : [[one, other] as const, [other, one] as const];
  world.counters.add(isOneWay ? "one-way partition cut" : "partition cut");
  return cutFor(context, ms, pairs);
}
