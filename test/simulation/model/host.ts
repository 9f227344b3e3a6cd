// A host of agents: the journal, the lock and the instances outlive the agent process; the watchdog and the instances go on
// while it is frozen.
//
//   free ──boot──▶ locked (watchdog guards) ──process gone, or deadline passed──▶ killing ──all gone──▶ free
import { createMemoryJournal, type Journal, type WatchdogPort } from "@sluice/agent";
import type { ClockView } from "@sluice/core/testing";
import type { Dice } from "../dice.ts";
import type { SimNode } from "../net/node.ts";

/** A process of an instance, as its host sees it. */
export interface Instance {
  /** SIGTERM; it is gone when the promise resolves. */
  kill(): Promise<void>;
}

export interface HostOptions {
  readonly name: string;
  /** The host's own clock: it runs at the rate of the agent's, and never stands still. */
  readonly clock: ClockView;
  readonly dice: Dice;
}

const firstDeadlineMs = 20_000;

export class Host {
  readonly name: string;
  readonly clock: ClockView;
  readonly dice: Dice;
  readonly journal: Journal = createMemoryJournal();
  readonly instances = new Set<Instance>();
  #lock: Promise<void> = Promise.resolve();

  constructor({ name, clock, dice }: HostOptions) {
    this.name = name;
    this.clock = clock;
    this.dice = dice;
  }

  /** Resolves when the watchdog of the last agent is gone, and everything that it guarded. */
  get unlocked(): Promise<void> {
    return this.#lock;
  }

  /** Starts a watchdog for an agent process; the host must be unlocked. */
  guard(node: SimNode): WatchdogPort {
    let cancelDeadline = () => {};
    let isKilling = false;
    let release = () => {};
    const gone = new Promise<void>((resolve) => {
      release = resolve;
    });
    this.#lock = gone;
    const killAll = async () => {
      if (isKilling) return;
      isKilling = true;
      cancelDeadline();
      await Promise.all([...this.instances].map((instance) => instance.kill()));
      release();
    };
    const extend = (ms: number) => {
      if (isKilling) return;
      cancelDeadline();
      cancelDeadline = this.clock.timer(ms, () => void killAll());
    };
    extend(firstDeadlineMs);
    // The pipe closes with the process.
    node.onDown(() => this.clock.timer(1, () => void killAll()));
    const exited = new Promise<void>((resolve) => {
      void gone.then(() => node.enter(resolve));
    });
    return { extend, exited };
  }
}
