import type { FunctionSpec } from "./pool.ts";

export interface HostRoomOptions {
  /** Processes, all functions together. */
  readonly instancesMax: number;
  /** MiB that they may take together, each counted as its function's `memoryMb`; undefined: unbounded. */
  readonly memoryMaxMb?: number;
}

/** What a host has room for: each instance is counted from its start until nothing of it is left. */
export class HostRoom {
  readonly #options: HostRoomOptions;
  #count = 0;
  #memoryMb = 0;

  constructor(options: HostRoomOptions) {
    this.#options = options;
  }

  get count(): number {
    return this.#count;
  }

  /** A function that is larger than the budget gets an instance when nothing else runs. */
  fits({ memoryMb }: FunctionSpec): boolean {
    const { instancesMax, memoryMaxMb = Number.POSITIVE_INFINITY } = this.#options;
    return this.#count === 0 || (this.#count < instancesMax && this.#memoryMb + memoryMb <= memoryMaxMb);
  }

  take({ memoryMb }: FunctionSpec): void {
    this.#count++;
    this.#memoryMb += memoryMb;
  }

  giveBack({ memoryMb }: FunctionSpec): void {
    this.#count--;
    this.#memoryMb -= memoryMb;
  }
}
