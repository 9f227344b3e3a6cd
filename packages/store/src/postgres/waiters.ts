import type { AppError, Clock } from "@sluice/core";
import { StoreUnavailable } from "../failures.ts";
import type { PostgresMetrics } from "../metrics.ts";
import type { PostgresConnection } from "./connection.ts";

export interface WaitersOptions {
  readonly clock: Clock;
  readonly metrics: PostgresMetrics;
  /** More are refused at once. */
  readonly countMax: number;
  /** Each waits so long. */
  readonly deadlineMs: number;
}

interface Waiter {
  resolve(connection: PostgresConnection): void;
  reject(error: AppError): void;
}

/** Calls that wait for a connection, first come, first served. */
export class Waiters {
  readonly #options: WaitersOptions;
  readonly #waiting = new Set<Waiter>();

  constructor(options: WaitersOptions) {
    this.#options = options;
  }

  get count(): number {
    return this.#waiting.size;
  }

  join(): Promise<PostgresConnection> {
    const { clock, metrics, countMax, deadlineMs } = this.#options;
    return new Promise((resolve, reject) => {
      if (this.#waiting.size >= countMax) {
        reject(new StoreUnavailable("no_connection", new Error(`${countMax} calls wait already`)));
        return;
      }
      const since = clock.monotonic();
      const cancelTimer = clock.timer(deadlineMs, () =>
        waiter.reject(new StoreUnavailable("no_connection", new Error(`waited ${deadlineMs} ms`))),
      );
      const leave = () => {
        cancelTimer();
        this.#waiting.delete(waiter);
        metrics.waiting.set(this.#waiting.size);
        metrics.waitSeconds.observe((clock.monotonic() - since) / 1000);
      };
      const waiter: Waiter = {
        resolve(connection) {
          leave();
          resolve(connection);
        },
        reject(error) {
          leave();
          reject(error);
        },
      };
      this.#waiting.add(waiter);
      metrics.waiting.set(this.#waiting.size);
    });
  }

  /** Hands the connection to the first one; false: nobody waits. */
  serve(connection: PostgresConnection): boolean {
    const [first] = this.#waiting;
    first?.resolve(connection);
    return first !== undefined;
  }

  rejectAll(error: AppError): void {
    for (const waiter of [...this.#waiting]) waiter.reject(error);
  }
}
