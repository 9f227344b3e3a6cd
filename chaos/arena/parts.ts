import { writeFileSync } from "node:fs";
import type { ClusterBackend, ClusterService } from "@sluice/cluster";
import { AppError } from "@sluice/core";
import { until } from "@sluice/testbed";
import type { Part } from "../contract.ts";

/** More than any process needs to vanish after its SIGKILL. */
const crashTimeoutMs = 30_000;

/** A part, and what heals it. */
export interface MendablePart extends Part {
  /** Undoes what was done to its process; resolves when it is ready. */
  mend(): Promise<void>;
}

/** @param blockFile tells the process for how long its event loop shall be blocked, as `block.mjs` reads it. */
export function servicePart(service: ClusterService, blockFile: string): MendablePart {
  return new ProcessPart(service, {
    ready: () => service.ready(),
    block(ms) {
      if (service.pid === undefined) throw unfit(`${service.name} does not run`);
      writeFileSync(blockFile, String(ms));
      service.kill("SIGUSR2");
    },
    wipe: () => Promise.reject(unfit(`${service.name} is no backend`)),
  });
}

export function backendPart(backend: ClusterBackend): MendablePart {
  return new ProcessPart(backend, {
    ready: () => Promise.resolve(),
    block() {
      throw unfit(`${backend.name} has no event loop of ours; freeze it`);
    },
    wipe: () => backend.wipe(),
  });
}

interface Abilities {
  ready(): Promise<void>;
  block(ms: number): void;
  wipe(): Promise<void>;
}

class ProcessPart implements MendablePart {
  readonly #process: ClusterService | ClusterBackend;
  readonly #abilities: Abilities;

  constructor(process: ClusterService | ClusterBackend, abilities: Abilities) {
    this.#process = process;
    this.#abilities = abilities;
  }

  get name(): string {
    return this.#process.name;
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  async crash(): Promise<void> {
    this.#process.kill("SIGKILL");
    await until(() => this.pid === undefined, {
      what: `${this.name} survives SIGKILL`,
      timeoutMs: crashTimeoutMs,
      everyMs: 2,
    });
  }

  stop(): Promise<void> {
    return this.#process.stop();
  }

  async start(): Promise<void> {
    await this.#process.start();
    await this.#abilities.ready();
  }

  freeze(): void {
    this.#process.kill("SIGSTOP");
  }

  thaw(): void {
    this.#process.kill("SIGCONT");
  }

  block(ms: number): void {
    this.#abilities.block(ms);
  }

  wipe(): Promise<void> {
    return this.#abilities.wipe();
  }

  async mend(): Promise<void> {
    this.thaw();
    await this.start();
  }
}

function unfit(message: string): AppError {
  return new AppError("precondition", "FAULT_IMPOSSIBLE", message);
}
