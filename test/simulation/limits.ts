// Limits of functions and accounts, and what is reserved of those of accounts: some are there from the beginning, some are set,
// changed and taken away while everything fails. What is set last holds until the end, and lets everything finish in time.
import type { LimitSet } from "@sluice/checkers";
import { AccountId, FunctionName, flowKey } from "@sluice/core";
import { accountTopic, functionTopic } from "@sluice/queue";
import type { Dice } from "./dice.ts";
import type { World } from "./world.ts";

type Limits = Pick<LimitSet, "concurrencyMax" | "rateMax" | "rateBurst" | "concurrencyReserved">;
type Target = Pick<LimitSet, "account" | "function">;

const none: Limits = { concurrencyMax: 0, rateMax: 0, rateBurst: 0 };

/** Of a function that is limited from the beginning. */
export function drawLimits(dice: Dice): Limits {
  return dice.pick([
    { ...none, concurrencyMax: 1 },
    { ...none, concurrencyMax: 3 },
    { ...none, rateMax: 2, rateBurst: 4 },
    { concurrencyMax: 2, rateMax: 1, rateBurst: 6 },
  ]);
}

export interface LimitChangesOptions {
  readonly world: World;
  readonly dice: Dice;
  readonly targets: readonly Target[];
  readonly untilMs: number;
  readonly record: LimitSet[];
}

/** Limits the account of a function, and keeps a part of that for it, more or less of it as time goes on. */
export async function reserve(
  options: Omit<LimitChangesOptions, "targets"> & { readonly target: Target },
): Promise<void> {
  const { world, dice, target, untilMs, record } = options;
  const { clock } = world;
  const account = { account: target.account, function: undefined };
  await set(world, { ...account, ...none, concurrencyMax: 3 }, dice, record);
  await set(world, { ...target, ...none, concurrencyReserved: 1 }, dice, record);
  for (;;) {
    await clock.sleep(dice.between(10_000, 40_000));
    if (clock.monotonic() >= untilMs) break;
    await set(world, { ...target, ...none, concurrencyReserved: dice.pick([0, 1, 1, 2]) }, dice, record);
  }
  await set(world, { ...account, ...none, concurrencyMax: 4 }, dice, record);
}

/** Resolves when the last change was made. */
export async function changeLimits({ world, dice, targets, untilMs, record }: LimitChangesOptions): Promise<void> {
  const { clock } = world;
  const changed = new Set<Target>();
  for (;;) {
    await clock.sleep(dice.between(1_000, dice.pick([4_000, 20_000])));
    if (clock.monotonic() >= untilMs) break;
    const target = dice.pick(targets);
    changed.add(target);
    await set(world, { ...target, ...(dice.chance(0.2) ? none : drawLimits(dice)) }, dice, record);
  }
  for (const target of changed) await set(world, { ...target, ...none, concurrencyMax: 4 }, dice, record);
}

async function set(world: World, limit: Omit<LimitSet, "at">, dice: Dice, record: LimitSet[]): Promise<void> {
  const { account, function: name, concurrencyReserved, ...limits } = limit;
  const accountId = AccountId(account);
  const { store } = world.server;
  const flow = name === undefined ? undefined : { accountId, functionName: FunctionName(name) };
  const update = async () => {
    const reserved = concurrencyReserved === undefined ? {} : { concurrencyReserved };
    if (flow) await store.functions.update(flow, { ...limits, ...reserved }, undefined);
    else await store.accounts.update(accountId, limits);
  };
  await world.server.exclusive(update, () => undefined);
  record.push({ at: world.clock.monotonic(), ...limit });
  const { concurrencyMax, rateMax } = limits;
  const kept = concurrencyReserved === undefined ? "" : ` reserved ${concurrencyReserved}`;
  world.trace.add(`LIMIT ${account}/${name ?? "*"} concurrency ${concurrencyMax} rate ${rateMax}${kept}`);
  world.counters.add(kept === "" ? "limit changed" : "reservation changed");
  if (dice.chance(0.3)) return;
  if (flow) world.signals.send(functionTopic, flowKey(flow));
  else world.signals.send(accountTopic, accountId);
}
