// An operator who splits, merges or moves something, at a moment that suits nobody.
import { readMembers, readWishes } from "@sluice/coordination";
import { AppError, parentOf } from "@sluice/core";
import type { PartitionChange } from "@sluice/protocol";
import type { CounterName } from "../counters.ts";
import type { World } from "../world.ts";
import type { StrikeAction } from "./index.ts";

export function operatorStrikes(world: World) {
  const operator = world.operator("operator");
  return {
    "cluster command": async ({ dice }) => {
      const wishes = (await readWishes(world.coordinator)).filter(({ partitions }) => partitions.length > 0);
      const members = await readMembers(world.coordinator);
      if (wishes.length === 0 || members.length === 0) return "there was nothing to command";
      const { partitions, queue } = dice.pick(wishes);
      const { prefix } = dice.pick(partitions);
      const to = dice.pick(members).id;
      type Call = (context: { signal: AbortSignal }) => Promise<PartitionChange>;
      const [kind, call] = dice.pick<[CounterName, Call]>([
        ["partition split", (context) => operator.splitPartition({ queue, prefix }, context)],
        ["partitions merged", (context) => operator.mergePartition({ queue, prefix: parentOf(prefix) ?? "" }, context)],
        ["partition moved", (context) => operator.movePartition({ queue, prefix, to }, context)],
      ]);
      const what = `${kind} ${queue}/${prefix}`;
      world.trace.add(`COMMAND ${what}`);
      try {
        const { changed } = await call({ signal: new AbortController().signal });
        if (changed) world.counters.add(kind);
      } catch (cause) {
        if (!(cause instanceof AppError)) world.onBug(cause);
      }
      return what;
    },
  } as const satisfies Record<string, StrikeAction>;
}
