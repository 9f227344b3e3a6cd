// Processes and their hosts: crashes, freezes, restarts.
import type { Dice } from "../dice.ts";
import type { Process } from "../process.ts";
import type { World } from "../world.ts";
import type { StrikeAction } from "./index.ts";

const schedulerOf = (world: World, dice: Dice) => world.scheduler(dice.pick(world.names.schedulers));
const agentOf = (world: World, dice: Dice) => world.agent(dice.pick(world.names.agents));
const apiServerOf = (world: World, dice: Dice) => world.apiServer(dice.pick(world.names.apiServers));

/** Around the time to live of a lease for schedulers, and around the life of an agent for agents. */
function freeze(process: Process, dice: Dice, longMs: number): string {
  const ms = dice.pick([dice.between(1, 400), dice.between(400, 6_000), dice.between(6_000, longMs)]);
  process.freeze(ms);
  return `${process.name} for ${ms} ms`;
}

export const processStrikes = {
  "scheduler crash": ({ world, dice }) => {
    world.counters.add("scheduler crashed");
    const process = schedulerOf(world, dice);
    process.crash();
    return process.name;
  },
  "scheduler freeze": ({ world, dice }) => {
    world.counters.add("scheduler frozen");
    return freeze(schedulerOf(world, dice), dice, 18_000);
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
    return freeze(agentOf(world, dice), dice, 40_000);
  },
  "agent restart": ({ world, dice }) => {
    const process = agentOf(world, dice);
    process.stop();
    return process.name;
  },
  "api-server crash": ({ world, dice }) => {
    world.counters.add("api-server crashed");
    const process = apiServerOf(world, dice);
    process.crash();
    return process.name;
  },
} as const satisfies Record<string, StrikeAction>;
