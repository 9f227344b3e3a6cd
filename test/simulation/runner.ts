// A process that runs what it is told, one run after the other: beside the one that asks, and without a protection if need be.
//
//   started ──ready──▶ idle ──run──▶ busy ──outcome──▶ idle ──▶ … after so many runs: replaced
import type { ChildProcess } from "node:child_process";
import { type RunSeedsOptions, realTimeMaxMs, seedsPerProcess, startWorker } from "./seeds.ts";
import type { Outcome, SimulateOptions } from "./simulate.ts";

export class Runner implements AsyncDisposable {
  readonly #how: Pick<RunSeedsOptions, "control" | "store">;
  #worker: ChildProcess | undefined;
  #left = 0;

  constructor(how: Pick<RunSeedsOptions, "control" | "store">) {
    this.#how = how;
  }

  /** One at a time. Rejects when the run hangs, or cannot be run. */
  async run(options: SimulateOptions): Promise<Outcome> {
    if (this.#worker === undefined || this.#left === 0) await this.#replace();
    this.#left--;
    this.#worker?.send(options);
    return (await this.#message(`seed ${options.seed}`)) as Outcome;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#worker?.disconnect();
    this.#worker = undefined;
  }

  async #replace(): Promise<void> {
    await this[Symbol.asyncDispose]();
    this.#worker = startWorker(this.#how);
    this.#left = seedsPerProcess;
    await this.#message("the process");
  }

  #message(who: string): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const worker = this.#worker;
      const settle = (work: () => void) => {
        clearTimeout(timeout);
        worker?.off("exit", onExit);
        worker?.off("message", onMessage);
        work();
      };
      const onExit = (code: number | null) => settle(() => reject(new Error(`${who} ended with ${code}`)));
      const onMessage = (message: unknown) => settle(() => resolve(message));
      const timeout = setTimeout(() => {
        settle(() => reject(new Error(`${who} hangs: a loop never waits`)));
        worker?.kill("SIGKILL");
        this.#worker = undefined;
      }, realTimeMaxMs);
      worker?.once("exit", onExit);
      worker?.once("message", onMessage);
    });
  }
}
