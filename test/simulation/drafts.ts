// Submissions as the seed wants them; the payload says who submitted it, and what its handler does.
import { Priority, type TaskSubmission } from "@sluice/protocol";
import type { Dice } from "./dice.ts";
import { type Behaviour, encodeBehaviour, type RunStep } from "./model/behaviour.ts";

export interface DraftOptions {
  readonly account: string;
  readonly function: string;
  readonly taskId: string;
  readonly token: string;
}

export function draftTask({ account, function: name, taskId, token }: DraftOptions, dice: Dice): TaskSubmission {
  return {
    function: name,
    taskId,
    payload: signed(encodeBehaviour(draftBehaviour(dice)), account),
    priority: dice.pick([Priority.URGENT, Priority.HIGH, Priority.NORMAL, Priority.NORMAL, Priority.LOW]),
    delayMs: dice.chance(0.15) ? dice.between(1, 12_000) : 0,
    expiresAfterMs: dice.chance(0.1) ? dice.between(500, 20_000) : 0,
    submissionToken: token,
    tags: dice.chance(0.3) ? [dice.pick(["blue", "green"])] : [],
  };
}

/** One of many that are there at once: of any priority, short, and without anything that goes wrong. */
export function draftOfRush(options: DraftOptions, dice: Dice): TaskSubmission {
  return draftOfMany(options, [{ kind: "ok", ms: dice.between(200, 800) }], dice);
}

/**
 * One of many of which their downstream refuses some once, however fast they come. Were it more, the flow would become slower and
 * slower, as after an outage, and not finish in time.
 */
export function draftOfRefusal(options: DraftOptions, dice: Dice): TaskSubmission {
  const refused: RunStep[] = dice.chance(0.2) ? [{ kind: "flow", ms: dice.between(1, 60) }] : [];
  return draftOfMany(options, [...refused, { kind: "ok", ms: dice.between(50, 400) }], dice);
}

function draftOfMany(options: DraftOptions, steps: readonly RunStep[], dice: Dice): TaskSubmission {
  const behaviour: Behaviour = { steps, termMs: 0 };
  const payload = signed(encodeBehaviour(behaviour), options.account);
  return { ...draftTask(options, dice), payload, delayMs: 0, expiresAfterMs: 0, tags: [] };
}

/** The account that submitted a payload. */
export function submitterOf(payload: Uint8Array): string {
  return (JSON.parse(Buffer.from(payload).toString()) as { readonly account: string }).account;
}

function signed(payload: Buffer, account: string): Buffer {
  return Buffer.from(JSON.stringify({ ...(JSON.parse(payload.toString()) as object), account }));
}

function draftBehaviour(dice: Dice): Behaviour {
  const ms = () => dice.pick([dice.between(1, 60), dice.between(100, 1_500), dice.between(1_500, 5_500)]);
  const bad = (): RunStep => ({
    kind: dice.pick(["retryable", "retryable", "fatal", "flow", "crash", "hang"]),
    ms: ms(),
  });
  const last: RunStep = dice.chance(0.08) ? bad() : { kind: "ok", ms: ms() };
  // A task that meets flow control for ever would never end; one that hangs in every attempt ends a minute after the others.
  const isLong = last.kind === "flow" || last.kind === "hang";
  const end: RunStep = isLong ? { kind: "fatal", ms: last.ms } : last;
  const steps = dice.chance(0.25) ? [bad(), end] : [end];
  return { steps, termMs: dice.pick([0, 50, 2_900]) };
}
