// What a round changes. Pure, so that hours of rounds can be tested in a second.

import { type Plan, plan } from "./plan.ts";
import { groupsOf, type Reshape, type ReshapeConfig, type ReshapeInput, reshape } from "./reshape.ts";

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
export function decide(input: DecideInput, config: ReshapeConfig): Decision {
  const { queues, members, wishes, mayMove } = input;
  const groups = groupsOf(input, config);
  const planned = plan({ queues, members, wishes, groups, now: input.now.wall, restMs: config.restMs, mayMove });
  const isSettled = planned.wishes.length === 0 && mayMove;
  return { ...planned, reshape: isSettled ? reshape(input, config) : undefined };
}
