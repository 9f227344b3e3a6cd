// Modelled instances behind the agent's `InstancePool`: one process per attempt, which lives on its host and not in the
// agent. It writes the ledger.
import type { FunctionSpec, InstancePool, Invocation, Outcome, StopSignal } from "@sluice/agent";
import type { Execution } from "@sluice/checkers";
import { resultOf } from "@sluice/checkers";
import type { Network } from "../net/network.ts";
import type { SimNode } from "../net/node.ts";
import { type RunStep, stepOf } from "./behaviour.ts";
import type { Host, Instance } from "./host.ts";
import type { Ledger } from "./ledger.ts";

export interface PoolOptions {
  readonly host: Host;
  readonly node: SimNode;
  /** Its dice say what happens to instances. */
  readonly network: Network;
  readonly ledger: Ledger;
  readonly agentId: string;
  readonly incarnation: () => number;
  /** The host had no memory left, and the kernel chose the agent. */
  readonly onAgentKilled: () => void;
}

const coldStartMsMax = 150;
const graceMs = 3_000;

export function createModelledPool(options: PoolOptions): InstancePool {
  return new ModelledPool(options);
}

class ModelledPool implements InstancePool {
  readonly #options: PoolOptions;
  readonly #own = new Set<Process>();
  readonly #warm = new Set<number>();
  #isClosed = false;

  constructor(options: PoolOptions) {
    this.#options = options;
  }

  get instanceCount(): number {
    return this.#own.size;
  }

  hasWarm(revision: number): boolean {
    return this.#warm.has(revision);
  }

  run(spec: FunctionSpec, invocation: Invocation, signal: StopSignal): Promise<Outcome> {
    if (this.#isClosed) return Promise.resolve(failed("InstanceUnavailable", "retryable"));
    if (signal.aborted) return Promise.resolve({ kind: "stopped" });
    return new Promise((resolve) => {
      const { host, node } = this.#options;
      const coldMs = this.#warm.has(spec.revision) ? 0 : host.dice.between(1, coldStartMsMax);
      this.#warm.add(spec.revision);
      const process = new Process(this.#options, { spec, invocation, coldMs }, (outcome) => {
        this.#own.delete(process);
        host.instances.delete(process);
        node.enter(() => {
          signal.removeEventListener("abort", stop);
          resolve(outcome);
        });
      });
      const stop = () => void process.kill("stopped");
      signal.addEventListener("abort", stop);
      this.#own.add(process);
      host.instances.add(process);
      process.start();
    });
  }

  async killAll(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#own].map((process) => process.kill()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.killAll();
  }
}

interface Work {
  readonly spec: FunctionSpec;
  readonly invocation: Invocation;
  readonly coldMs: number;
}

/**
 * starting ──cold start──▶ running ──its time, or it dies──▶ gone
 *                             └──its time-out, a stop, the watchdog: SIGTERM──▶ ending ──its will, or SIGKILL──▶ gone
 */
class Process implements Instance {
  readonly #options: PoolOptions;
  readonly #work: Work;
  readonly #onGone: (outcome: Outcome) => void;
  readonly #step: RunStep;
  #termMs: number;
  #execution: Execution | undefined;
  #cancelTimer = () => {};
  #isGone = false;
  readonly #waiters: (() => void)[] = [];
  #isTerminating = false;

  constructor(options: PoolOptions, work: Work, onGone: (outcome: Outcome) => void) {
    this.#options = options;
    this.#work = work;
    this.#onGone = onGone;
    const { step, termMs } = stepOf(work.invocation.payload, work.invocation.attempt);
    this.#step = step;
    this.#termMs = Math.min(termMs, graceMs);
  }

  start(): void {
    if (this.#work.coldMs === 0) this.#begin();
    else this.#cancelTimer = this.#options.host.clock.timer(this.#work.coldMs, () => this.#begin());
  }

  kill(why: "stopped" | "killed" = "killed"): Promise<void> {
    return new Promise((resolve) => {
      if (this.#isGone) {
        resolve();
        return;
      }
      this.#waiters.push(resolve);
      this.#terminate(why === "stopped" ? { kind: "stopped" } : failed("InstanceUnavailable", "retryable"), why);
    });
  }

  /** The verdict is told only when nothing of it runs any more. */
  #terminate(outcome: Outcome, how: NonNullable<Execution["how"]>): void {
    if (this.#isTerminating || this.#isGone) return;
    this.#isTerminating = true;
    this.#cancelTimer();
    const end = () => this.#end(outcome, how);
    if (this.#execution === undefined) end();
    else this.#cancelTimer = this.#options.host.clock.timer(this.#termMs, end);
  }

  #begin(): void {
    const { ledger, agentId, incarnation, node, host } = this.#options;
    const { invocation, spec } = this.#work;
    this.#execution = ledger.start({
      ...identify(invocation),
      attempt: invocation.attempt,
      agentId,
      incarnation: incarnation(),
    });
    node.enter(() => invocation.onStarted(`${agentId}-${spec.revision}`));
    if (host.dice.chance(0.05))
      node.enter(() => invocation.onLog("stdout", Buffer.from(`attempt ${invocation.attempt}\n`)));
    const ms = this.#hangs() ? Number.POSITIVE_INFINITY : this.#step.ms;
    const timesOut = ms >= spec.timeoutMs;
    const lastsMs = Math.max(1, Math.min(ms, spec.timeoutMs));
    if (this.#diesWithin(lastsMs)) return;
    this.#cancelTimer = host.clock.timer(lastsMs, () => {
      if (timesOut) this.#terminate(failed("FunctionTimeout", "retryable"), "failed");
      else this.#end(outcomeOf(this.#step, invocation), endOf(this.#step));
    });
  }

  #hangs(): boolean {
    const { network } = this.#options;
    if (network.happens("instance deaf")) {
      network.counters.add("instance killed by force");
      this.#termMs = graceMs;
    }
    if (!network.happens("instance hang")) return this.#step.kind === "hang";
    network.counters.add("instance hung");
    return true;
  }

  /** Without an answer, at a moment of the dice. */
  #diesWithin(ms: number): boolean {
    const { network, host, onAgentKilled } = this.#options;
    const isOutOfMemory = network.happens("instance oom");
    if (!isOutOfMemory && !network.happens("instance crash")) return false;
    const dice = network.diceOf(isOutOfMemory ? "instance oom" : "instance crash");
    const takesAgent = isOutOfMemory && dice.chance(0.1);
    this.#cancelTimer = host.clock.timer(dice.between(1, Math.ceil(ms)), () => {
      network.counters.add(isOutOfMemory ? "instance out of memory" : "instance crashed");
      this.#end(failed("UnhandledInvocationError", "retryable"), "failed");
      if (!takesAgent) return;
      network.counters.add("agent killed with its instance");
      onAgentKilled();
    });
    return true;
  }

  #end(outcome: Outcome, how: NonNullable<Execution["how"]>): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.#cancelTimer();
    if (this.#execution) this.#options.ledger.end(this.#execution, how);
    this.#onGone(outcome);
    for (const resolve of this.#waiters) resolve();
  }
}

/** The pool is told neither number nor epoch; both are in what it is told. */
function identify({ requestId, fenceToken }: Invocation): { seq: number; epoch: number } {
  const seq = Number.parseInt(requestId.split("-")[2]?.slice(0, 16) ?? "", 16);
  const epoch = Number.parseInt(fenceToken.split("-")[1] ?? "", 10);
  return { seq, epoch };
}

function endOf({ kind }: RunStep): "ok" | "failed" | "throttled" {
  if (kind === "flow") return "throttled";
  return kind === "ok" ? "ok" : "failed";
}

function outcomeOf({ kind }: RunStep, invocation: Invocation): Outcome {
  switch (kind) {
    case "ok":
      return { kind: "succeeded", result: Buffer.from(resultOf(identify(invocation).seq, invocation.attempt)) };
    case "fatal":
      return failed("HandledInvocationError", "fatal");
    case "flow":
      return failed("FlowControlError", "flow_control");
    default:
      return failed("UnhandledInvocationError", "retryable");
  }
}

function failed(
  errorType:
    | "HandledInvocationError"
    | "UnhandledInvocationError"
    | "FlowControlError"
    | "FunctionTimeout"
    | "InstanceUnavailable",
  errorClass: "fatal" | "retryable" | "flow_control",
): Outcome {
  return { kind: "failed", errorType, message: errorType, body: Buffer.from("{}"), class: errorClass };
}
