// One node's way to an external system: latency, cuts, and answers that do not tell what happened.
//
//   sent ──▶ took effect ──▶ answered
//     ├──▶ refused (no effect)
//     ├──▶ took effect ──▶ the answer was lost: refused
//     └──▶ refused ──▶ takes effect later
import { AppError } from "@sluice/core";
import type { SystemState } from "../model/system.ts";
import type { Network } from "../net/network.ts";
import type { SimNode } from "../net/node.ts";

export type SystemName = "store" | "coordinator" | "queue";

export interface PortOptions {
  readonly network: Network;
  readonly node: SimNode;
  readonly host: SystemName;
  readonly system: SystemState;
  /** Reason of its typed error. */
  readonly reason: string;
  readonly onBug: (cause: unknown) => void;
}

export class Port {
  readonly network: Network;
  readonly node: SimNode;
  readonly system: SystemState;
  readonly #options: PortOptions;

  constructor(options: PortOptions) {
    this.network = options.network;
    this.node = options.node;
    this.system = options.system;
    this.#options = options;
  }

  /** Whether a message of this node would arrive now, and its answer as well. */
  get isOpen(): boolean {
    const { network, node } = this;
    const { host } = this.#options;
    return this.system.isUp && !network.isCut(node.host, host) && !network.isCut(host, node.host);
  }

  unavailable(why: string): AppError {
    return new AppError("unavailable", this.#options.reason, why);
  }

  /** `effect` runs at the system, whatever becomes of the caller meanwhile. */
  call<T>(name: string, effect: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => new Call(this.#options, name, effect, { resolve, reject }).send());
  }
}

interface Answer<T> {
  resolve(value: T): void;
  reject(error: unknown): void;
}

class Call<T> {
  readonly #options: PortOptions;
  readonly #name: string;
  readonly #effect: () => Promise<T>;
  readonly #answer: Answer<T>;
  readonly #livesAtStart: number;

  constructor(options: PortOptions, name: string, effect: () => Promise<T>, answer: Answer<T>) {
    this.#options = options;
    this.#name = name;
    this.#effect = effect;
    this.#answer = answer;
    this.#livesAtStart = options.system.lives;
  }

  send(): void {
    this.#options.node.enter(() => this.#send());
  }

  #send(): void {
    const { network, node, host, system } = this.#options;
    const { dice, counters } = network;
    if (network.isCut(node.host, host)) {
      this.#refuse(dice.between(500, 5_000), "no route");
    } else if (system.isDown) {
      counters.add("refused by a system that is down");
      this.#refuse(dice.between(1, 50), "connection refused");
    } else if (network.happens(`${host} rejected`)) {
      counters.add(`call rejected by the ${host}`);
      this.#refuse(network.diceOf(`${host} rejected`).between(1, 300), "rejected");
    } else if (network.happens(`${host} ambiguous`)) {
      counters.add(`ambiguous call of the ${host}`);
      this.#refuse(network.diceOf(`${host} ambiguous`).between(5, 1_000), "the answer was lost");
      this.#arriveIn(network.latency(), { isHeard: false });
    } else if (network.happens(`${host} late`)) {
      counters.add(`late call of the ${host}`);
      this.#refuse(network.diceOf(`${host} late`).between(1, 100), "the connection broke");
      this.#arriveIn(network.diceOf(`${host} late`).between(100, 8_000), { isHeard: false });
    } else this.#arriveIn(network.latency() + this.#slowness(), { isHeard: true });
  }

  /** On both ways: the system does it late, or did it long before it says so. */
  #slowness(): number {
    const { network, host, system } = this.#options;
    const slowMs = Math.max(system.slowMs, network.happens(`${host} slow`) ? 3_000 : 0);
    if (slowMs === 0) return 0;
    network.counters.add("slow answer of a system");
    return network.diceOf(`${host} slow`).between(1, slowMs);
  }

  #arriveIn(ms: number, { isHeard }: { readonly isHeard: boolean }): void {
    this.#options.network.after(ms, () => this.#arrive({ isHeard }));
  }

  #arrive({ isHeard }: { readonly isHeard: boolean }): void {
    const { network, system } = this.#options;
    const { dice, counters } = network;
    if (system.isUp) {
      void this.#run({ isHeard });
      return;
    }
    if (system.isDown) {
      if (isHeard) this.#refuse(dice.between(1, 50), "connection reset");
      return;
    }
    // It sits in a log that is not committed, or with a server that hangs: it may still be done, or be forgotten.
    if (isHeard) this.#refuse(dice.between(500, 3_000), "no answer");
    if (!dice.chance(0.3)) return;
    counters.add("done after an outage");
    system.whenUp(() => void this.#run({ isHeard: false }));
  }

  async #run({ isHeard }: { readonly isHeard: boolean }): Promise<void> {
    const { network, node, host, system, onBug } = this.#options;
    let answer: () => void;
    try {
      const result = await this.#effect();
      answer = () => this.#answer.resolve(result);
    } catch (cause) {
      if (!(cause instanceof AppError)) onBug(cause);
      answer = () => this.#answer.reject(cause);
    }
    if (!isHeard) return;
    network.after(network.latency() + this.#slowness(), () => {
      if (network.isCut(host, node.host)) this.#refuse(network.dice.between(500, 5_000), "no answer");
      else if (system.lives !== this.#livesAtStart) {
        network.counters.add("connection cut during a call");
        this.#refuse(1, "connection reset");
      } else node.enter(answer);
    });
  }

  #refuse(ms: number, why: string): void {
    const { network, node, reason } = this.#options;
    const error = () => new AppError("unavailable", reason, `${this.#name}: ${why}`);
    network.after(ms, () => node.enter(() => this.#answer.reject(error())));
  }
}
