import type { Direction, Link } from "../../contract.ts";

/** Of bytes: from the one who opened the connection, or towards them. */
export type Way = "there" | "back";

/** A connection that suffers from them. */
export interface Sufferer {
  /** Something has changed: looks again at what it may pass on. */
  onChange(): void;
  reset(): void;
}

/** What is wrong with one link, for all of its connections. */
export class Faults implements Link {
  readonly #isCut: Record<Way, boolean> = { there: false, back: false };
  /** When the last byte that was passed on has left, by the clock of `performance`. */
  readonly #busyUntil: Record<Way, number> = { there: 0, back: 0 };
  readonly #sufferers = new Set<Sufferer>();
  #delayMs = 0;
  #bytesPerSecond = Number.POSITIVE_INFINITY;
  #held = 0;

  /** Open connections. */
  get size(): number {
    return this.#sufferers.size;
  }

  get held(): number {
    return this.#held;
  }

  /** A piece of data or a new connection must wait. */
  hold(): void {
    this.#held += 1;
  }

  add(connection: Sufferer): void {
    this.#sufferers.add(connection);
  }

  delete(connection: Sufferer): void {
    this.#sufferers.delete(connection);
  }

  isCut(way: Way): boolean {
    return this.#isCut[way];
  }

  /** When a piece of data that came at `at` may be passed on. */
  dueAt(way: Way, at: number): number {
    return Math.max(at + this.#delayMs, this.#busyUntil[way]);
  }

  /** How many of so many bytes may be passed on now, at least one; to be called when they are due, and then passed on. */
  take(way: Way, bytes: number): number {
    if (this.#bytesPerSecond === Number.POSITIVE_INFINITY) return bytes;
    const taken = Math.min(bytes, Math.max(1, Math.floor(this.#bytesPerSecond / piecesPerSecond)));
    this.#busyUntil[way] = Math.max(this.#busyUntil[way], performance.now()) + (taken / this.#bytesPerSecond) * 1_000;
    return taken;
  }

  cut(direction: Direction = "both"): void {
    if (direction !== "back") this.#isCut.there = true;
    if (direction !== "there") this.#isCut.back = true;
    this.#tell();
  }

  delay(ms: number): void {
    this.#delayMs = ms;
    this.#tell();
  }

  limit(bytesPerSecond: number): void {
    this.#bytesPerSecond = bytesPerSecond;
    this.#tell();
  }

  reset(): number {
    const connections = [...this.#sufferers];
    for (const connection of connections) connection.reset();
    return connections.length;
  }

  heal(): void {
    this.#isCut.there = this.#isCut.back = false;
    this.#busyUntil.there = this.#busyUntil.back = 0;
    this.#delayMs = 0;
    this.#bytesPerSecond = Number.POSITIVE_INFINITY;
    this.#tell();
  }

  #tell(): void {
    for (const connection of [...this.#sufferers]) connection.onChange();
  }
}

/** A narrow link passes small pieces often rather than large ones seldom. */
const piecesPerSecond = 20;
