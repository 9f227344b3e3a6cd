// One node's way to an external system: latency, cuts, and answers that do not tell what happened.
//
//   sent ──▶ took effect ──▶ answered
//     ├──▶ refused (no effect)
//     ├──▶ took effect ──▶ the answer was lost: refused
//     └──▶ refused ──▶ takes effect later
import { AppError } from "@sluice/core";
import type { Network } from "../net/network.ts";
import type { SimNode } from "../net/node.ts";

export type SystemName = "store" | "coordinator" | "queue";

export interface PortOptions {
  readonly network: Network;
  readonly node: SimNode;
  readonly host: SystemName;
  /** Reason of its typed error. */
  readonly reason: string;
  readonly onBug: (cause: unknown) => void;
}

export class Port {
  readonly network: Network;
  readonly node: SimNode;
  readonly #options: PortOptions;

  constructor(options: PortOptions) {
    this.network = options.network;
    this.node = options.node;
    this.#options = options;
  }

  unavailable(why: string): AppError {
    return new AppError("unavailable", this.#options.reason, why);
  }

  /** `effect` runs at the system, whatever becomes of the caller meanwhile. */
  call<T>(name: string, effect: () => Promise<T>): Promise<T> {
    const { network, node } = this;
    const { host } = this.#options;
    return new Promise((resolve, reject) => {
      const refuse = (ms: number, why: string) => {
        network.after(ms, () => node.enter(() => reject(this.unavailable(`${name}: ${why}`))));
      };
      const run = async (isHeard: boolean) => {
        let answer: () => void;
        try {
          const result = await effect();
          answer = () => resolve(result);
        } catch (cause) {
          if (!(cause instanceof AppError)) this.#options.onBug(cause);
          answer = () => reject(cause as Error);
        }
        if (!isHeard) return;
        if (network.isCut(host, node.host)) refuse(network.dice.between(500, 5_000), "no answer");
        else network.after(network.latency(), () => node.enter(answer));
      };
      const send = () => {
        const { dice, counters } = network;
        if (network.isCut(node.host, host)) {
          refuse(dice.between(500, 5_000), "no route");
        } else if (network.happens(`${host} rejected`)) {
          counters.add("write rejected without effect");
          refuse(dice.between(1, 300), "rejected");
        } else if (network.happens(`${host} ambiguous`)) {
          counters.add("ambiguous commit");
          refuse(dice.between(5, 1_000), "the answer was lost");
          network.after(network.latency(), () => void run(false));
        } else if (network.happens(`${host} late`)) {
          counters.add("write arrived late");
          refuse(dice.between(1, 100), "the connection broke");
          network.after(dice.between(100, 8_000), () => void run(false));
        } else network.after(network.latency(), () => void run(true));
      };
      node.enter(send);
    });
  }
}
