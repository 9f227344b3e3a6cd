// A process that runs what it is told, one run after the other: beside the one that asks, and without a protection if need be.
//
//   started ──ready──▶ idle ──run──▶ busy ──outcome──▶ idle ──▶ … after so many runs: replaced
import type { ChildProcess } from "node:child_process";
import { brokenRun, type RunSeedsOptions, realTimeMaxMs, seedsPerProcess, startWorker } from "./seeds.ts";
import type { Outcome, SimulateOptions } from "./simulate.ts";

export class Runner implements AsyncDisposable {
  readonly #how: Pick<RunSeedsOptions, "control" | "store">;
  #worker: ChildProcess | undefined;
  #left = 0;

  constructor(how: Pick<RunSeedsOptions, "control" | "store">) {
    this.#how = how;
  }

  /** One at a time. One that hangs or ends its process has broken something. Rejects when no process starts. */
  async run(options: SimulateOptions): Promise<Outcome> {
    if (this.#worker === undefined || this.#left === 0) await this.#replace();
    this.#left--;
    this.#worker?.send(options);
    try {
      return (await this.#message()) as Outcome;
    } catch (cause) {
      return brokenRun(options, (cause as Error).message);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#worker?.disconnect();
    this.#worker = undefined;
  }

  async #replace(): Promise<void> {
    await this[Symbol.asyncDispose]();
    this.#worker = startWorker(this.#how);
    this.#left = seedsPerProcess;
    await this.#message();
  }

  #message(): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const worker = this.#worker;
      const settle = (work: () => void) => {
        clearTimeout(timeout);
        worker?.off("exit", onExit);
        worker?.off("message", onMessage);
        work();
      };
      const fail = (message: string) => {
        this.#worker = undefined;
        settle(() => reject(new Error(message)));
      };
      const onExit = (code: number | null) => fail(`its process ended with ${code}`);
      const onMessage = (message: unknown) => settle(() => resolve(message));
      const timeout = setTimeout(() => {
        fail("it hangs: a loop never waits");
        worker?.kill("SIGKILL");
      }, realTimeMaxMs);
      worker?.once("exit", onExit);
      worker?.once("message", onMessage);
    });
  }
}
