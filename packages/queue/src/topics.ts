// Every topic of `Signals`, and what its payload is.
import type { Seq } from "@sluice/core";

/** Rows of a queue were marked; payload: their numbers and lanes. */
export const markedTopic = (queue: string): string => `marked.${queue}`;
export interface Marked {
  readonly lane: number;
  readonly seq: Seq;
}

/** Rows changed their status; payload: their numbers, separated by commas. */
export const changedTopic = "changed";

/** A function changed or was deleted; payload: `account/function`. */
export const functionTopic = "function";

/** The settings of an account changed; payload: its id. */
export const accountTopic = "account";

/** Something was paused or resumed, or an operation was started, ended, or got further; payload: empty. */
export const controlTopic = "control";

/** An agent registered, deregistered or died; payload: its id. */
export const agentsTopic = "agents";
