import type { AppError } from "@sluice/core";
import type { PostgresMetrics } from "../metrics.ts";
import type { PostgresConnection } from "./connection.ts";

/** The connections of a pool: those that somebody uses, and the idle ones. */
export class Connections {
  readonly #all = new Set<PostgresConnection>();
  /** The last one was used last, so that a quiet pool uses few. */
  #idle: PostgresConnection[] = [];
  readonly #gauges: { readonly idle: Gauge; readonly busy: Gauge };

  constructor({ connections }: PostgresMetrics) {
    this.#gauges = { idle: connections.labels("idle"), busy: connections.labels("busy") };
  }

  get count(): number {
    return this.#all.size;
  }

  /** When something arrived on one of them for the last time; monotonic. */
  get heardAt(): number {
    return Math.max(...[...this.#all].map((connection) => connection.heardAt));
  }

  /** Is busy until it is put back. */
  add(connection: PostgresConnection): void {
    this.#all.add(connection);
    this.#measure();
  }

  takeIdle(): PostgresConnection | undefined {
    const connection = this.#idle.pop();
    this.#measure();
    return connection;
  }

  putBack(connection: PostgresConnection): void {
    this.#idle.push(connection);
    this.#measure();
  }

  /** False: it was none of them. */
  remove(connection: PostgresConnection): boolean {
    const isRemoved = this.#all.delete(connection);
    if (isRemoved) this.#idle = this.#idle.filter((each) => each !== connection);
    this.#measure();
    return isRemoved;
  }

  /** A copy, which may be walked while they break. */
  all(): readonly PostgresConnection[] {
    return [...this.#all];
  }

  breakAll(cause: AppError): void {
    for (const connection of this.all()) connection.break(cause);
  }

  #measure(): void {
    this.#gauges.idle.set(this.#idle.length);
    this.#gauges.busy.set(this.#all.size - this.#idle.length);
  }
}

interface Gauge {
  set(value: number): void;
}
