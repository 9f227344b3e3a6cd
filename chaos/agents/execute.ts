// What the handler of the workload does (`workload/handler/index.cjs`), without a process of its own: takes its time, and
// writes the same lines into the same ledger.
import { openSync, writeSync } from "node:fs";
import type { FunctionSpec, Invocation, Outcome } from "@sluice/agent";
import type { HandlerInput } from "../workload/plan.ts";

const tickMs = 100;

/** Executes the attempts of one incarnation of an agent. */
export class Executor {
  readonly #agentId: string;
  readonly #instanceId: string;
  #ledger: number | undefined;
  #count = 0;
  #running = 0;
  #ticks: NodeJS.Timeout | undefined;

  /** `instanceId`: unique among all incarnations of all agents. */
  constructor(agentId: string, instanceId: string) {
    this.#agentId = agentId;
    this.#instanceId = instanceId;
  }

  /** Resolves without a line in the ledger when it is killed, as a process would end. */
  async execute(spec: FunctionSpec, invocation: Invocation, killed: AbortSignal): Promise<Outcome> {
    const { taskId, attempt, requestId, fenceToken } = invocation;
    const { ms, failures, crashes } = JSON.parse(Buffer.from(invocation.payload).toString()) as HandlerInput;
    const seq = Number.parseInt(requestId.slice(-24, -8), 16);
    const epoch = Number(fenceToken.split("-")[1]);
    const number = ++this.#count;
    this.#ledger ??= ledgerOf(spec);
    this.#write(
      "start",
      spec.accountId,
      taskId,
      seq,
      attempt,
      epoch,
      this.#agentId,
      this.#instanceId,
      number,
      process.pid,
    );
    this.#running += 1;
    this.#ticks ??= setInterval(() => this.#write("tick", this.#instanceId), tickMs);
    await pause(ms, killed);
    this.#running -= 1;
    if (this.#running === 0) {
      clearInterval(this.#ticks);
      this.#ticks = undefined;
    }
    if (killed.aborted) {
      this.#write("end", this.#instanceId, number, "stopped");
      return failed("the signal of the agent");
    }
    if (attempt <= failures + crashes) {
      this.#write("end", this.#instanceId, number, attempt <= failures ? "failed" : "crashed");
      return failed("fails as it was told to");
    }
    this.#write("end", this.#instanceId, number, "ok");
    // As a handler of Node returns a text.
    return { kind: "succeeded", result: Buffer.from(`${seq}#${attempt}`) };
  }

  #write(...words: readonly (string | number)[]): void {
    if (this.#ledger !== undefined) writeSync(this.#ledger, `${words.join(" ")} ${process.hrtime.bigint()}\n`);
  }
}

const ledgers = new Map<string, number>();

/** One for the whole process. */
function ledgerOf({ environment }: FunctionSpec): number {
  const path = environment["LEDGER"];
  if (path === undefined) throw new Error("the function has no ledger");
  const known = ledgers.get(path) ?? openSync(path, "a");
  ledgers.set(path, known);
  return known;
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end);
  });
}

function failed(message: string): Outcome {
  return {
    kind: "failed",
    errorType: "UnhandledInvocationError",
    message,
    body: Buffer.from("{}"),
    class: "retryable",
  };
}
