// Processes and their hosts: crashes, freezes, restarts, and clocks that jump.
import type { Dice } from "../dice.ts";
import type { Process } from "../process.ts";
import type { World } from "../world.ts";
import type { StrikeAction } from "./index.ts";

const schedulerOf = (world: World, dice: Dice) => world.scheduler(dice.pick(world.names.schedulers));
const agentOf = (world: World, dice: Dice) => world.agent(dice.pick(world.names.agents));
const apiServerOf = (world: World, dice: Dice) => world.apiServer(dice.pick(world.names.apiServers));

export const processStrikes = {
  "scheduler crash": ({ world, dice }) => {
    world.counters.add("scheduler crashed");
    const process = schedulerOf(world, dice);
    process.crash();
    return process.name;
  },
  "scheduler freeze": ({ world, dice }) => {
    world.counters.add("scheduler frozen");
    return freeze(schedulerOf(world, dice), dice);
  },
  "scheduler hand-off": ({ world, dice }) => {
    world.counters.add("scheduler handed off");
    const process = schedulerOf(world, dice);
    process.stop();
    return process.name;
  },
  "agent crash": ({ world, dice }) => {
    world.counters.add("agent crashed");
    const process = agentOf(world, dice);
    process.crash();
    return process.name;
  },
  "agent freeze": ({ world, dice }) => {
    world.counters.add("agent frozen");
    return freeze(agentOf(world, dice), dice);
  },
  "agent restart": ({ world, dice }) => {
    world.counters.add("agent restarted");
    const process = agentOf(world, dice);
    process.stop();
    return process.name;
  },
  /** Its host is away, or cannot start it. */
  "agent away": ({ world, dice, cureAfter }) => {
    const process = agentOf(world, dice);
    const ms = dice.between(10_000, 60_000);
    world.counters.add("agent away");
    cureAfter(ms, process.keepDown());
    return `${process.name} for ${ms} ms`;
  },
  /** All agents register at once. */
  "registration storm": ({ world, dice }) => {
    const isOrderly = dice.chance(0.5);
    world.counters.add("registration storm");
    for (const name of world.names.agents) {
      if (isOrderly) world.agent(name).stop();
      else world.agent(name).crash();
    }
    return isOrderly ? "after a stop" : "after a crash";
  },
  "api-server crash": ({ world, dice }) => {
    world.counters.add("api-server crashed");
    const process = apiServerOf(world, dice);
    process.crash();
    return process.name;
  },
  "api-server freeze": ({ world, dice }) => {
    world.counters.add("api-server frozen");
    return freeze(apiServerOf(world, dice), dice);
  },
  /** To its code, and to everybody else, it looks like a freeze. */
  "event loop blocked": ({ world, dice }) => {
    const process = dice.pick(world.processes);
    const ms = dice.between(1_000, 15_000);
    world.counters.add("event loop blocked");
    process.freeze(ms);
    return `${process.name} for ${ms} ms`;
  },
  /** Of the wall clock of one host; somebody sets it right later. */
  "clock step": ({ world, dice, cureAfter }) => {
    const process = dice.pick(world.processes);
    const size = dice.pick([dice.between(100, 10_000), dice.between(10_000, 3_600_000)]);
    const ms = dice.chance(0.5) ? size : -size;
    world.counters.add(ms > 0 ? "clock stepped forward" : "clock stepped back");
    process.stepClock(ms);
    cureAfter(dice.between(500, 30_000), () => process.stepClock(-ms));
    return `${process.name} by ${ms} ms`;
  },
} as const satisfies Record<string, StrikeAction>;

/** Around the times to live of leases and agents, and far beyond them. */
function freeze(process: Process, dice: Dice): string {
  const ms = dice.pick([
    dice.between(1, 400),
    dice.between(400, 6_000),
    dice.between(6_000, 30_000),
    dice.between(20_000, 120_000),
  ]);
  process.freeze(ms);
  return `${process.name} for ${ms} ms`;
}
