// What a round changes. Pure, so that hours of rounds can be tested in a second.

import type { OwnerLoadConfig } from "./owner-loads.ts";
import { type Plan, plan } from "./plan.ts";
import { groupsOf, heldIn, type Reshape, type ReshapeConfig, type ReshapeInput, reshape } from "./reshape.ts";
import { unburden } from "./unburden.ts";

export interface DecideInput extends ReshapeInput {
  /** Queues that must have a wish. */
  readonly queues: readonly string[];
  /** False: only what is without an owner is given one. */
  readonly mayMove: boolean;
}

export interface Decision extends Plan {
  readonly reshape: Reshape | undefined;
}

/** Shapes change only while everything has the owner that it should have. */
export function decide(input: DecideInput, config: ReshapeConfig & OwnerLoadConfig): Decision {
  const { queues, members, wishes, mayMove, ownerLoads = new Map() } = input;
  const groups = groupsOf(input, config);
  const held = heldIn(input, config);
  const planned = plan({ queues, members, wishes, groups, held, now: input.now.wall, restMs: config.restMs, mayMove });
  const isSettled = planned.wishes.length === 0 && mayMove;
  const change = isSettled ? (reshape(input, config) ?? unburden({ ...input, ownerLoads }, config)) : undefined;
  return { ...planned, reshape: change };
}
