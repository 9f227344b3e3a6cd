// Functions ask for queues of their own, and ask no more, while everything fails; operators give and take them as well.
import { readRoutes, writeRoute } from "@sluice/coordination";
import { AccountId, AppError, dedicatedQueueOf, FunctionName, flowKey } from "@sluice/core";
import { functionTopic } from "@sluice/queue";
import type { Dice } from "./dice.ts";
import type { World } from "./world.ts";

export interface AskChangesOptions {
  readonly world: World;
  readonly dice: Dice;
  readonly functions: readonly { readonly account: string; readonly function: string }[];
  readonly untilMs: number;
}

/** Resolves when the last change was made. */
export async function changeAsks({ world, dice, functions, untilMs }: AskChangesOptions): Promise<void> {
  const { clock } = world;
  for (;;) {
    await clock.sleep(dice.between(1_000, dice.pick([4_000, 12_000])));
    if (clock.monotonic() >= untilMs) return;
    const { account, function: name } = dice.pick(functions);
    const flow = { accountId: AccountId(account), functionName: FunctionName(name) };
    if (dice.chance(0.3)) await command(world, flow);
    else await ask(world, flow, dice);
  }
}

type NamedFlow = { readonly accountId: AccountId; readonly functionName: FunctionName };

async function ask(world: World, flow: NamedFlow, dice: Dice): Promise<void> {
  const dedicatedQueue = dice.chance(0.6);
  const update = () => world.server.store.functions.update(flow, { dedicatedQueue }, undefined);
  await world.server.exclusive(update, () => undefined);
  world.trace.add(`ASKS ${flowKey(flow)} ${dedicatedQueue ? "for a queue" : "no more"}`);
  world.counters.add("queue asked for");
  if (dice.chance(0.7)) world.signals.send(functionTopic, flowKey(flow));
}

/** Gives it a queue, or takes it. */
async function command(world: World, flow: NamedFlow): Promise<void> {
  const routes = await readRoutes(world.coordinator);
  const known = routes.find((route) => flowKey(route) === flowKey(flow));
  const state = known === undefined || known.state === "folding" ? "opening" : "folding";
  const written = {
    ...flow,
    queue: dedicatedQueueOf(flow),
    state,
    reason: "command",
    changedAt: world.clock.now(),
  } as const;
  try {
    if (!(await writeRoute(world.coordinator, { ...written, modRevision: known?.modRevision ?? 0 }))) return;
  } catch (cause) {
    if (cause instanceof AppError) return;
    throw cause;
  }
  world.trace.add(`ROUTE ${flowKey(flow)} ${state} on command`);
  world.counters.add("route commanded");
}
