// What a handler does, written in its payload, so that a task behaves alike wherever and whenever it runs.

export interface RunStep {
  /** `hang` ends only when it is stopped, killed or timed out; `crash` takes its instance with it. */
  readonly kind: "ok" | "retryable" | "fatal" | "flow" | "crash" | "hang";
  readonly ms: number;
}

export interface Behaviour {
  /** One step per attempt; the last one counts for all further ones. */
  readonly steps: readonly RunStep[];
  /** Milliseconds that its instance goes on after SIGTERM, at most the grace. */
  readonly termMs: number;
}

export function encodeBehaviour(behaviour: Behaviour): Buffer {
  return Buffer.from(JSON.stringify(behaviour));
}

export function stepOf(payload: Uint8Array, attempt: number): { readonly step: RunStep; readonly termMs: number } {
  const behaviour = JSON.parse(Buffer.from(payload).toString()) as Behaviour;
  const step = behaviour.steps[Math.min(attempt, behaviour.steps.length) - 1] as RunStep;
  return { step, termMs: behaviour.termMs };
}
