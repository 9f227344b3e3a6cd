// One way of one connection.
//
//   from ──data, end, reset──▶ pieces, in order ──due, not cut, and the other side has room──▶ to
//
// While the way is cut, one piece is read, so that it is known that something waits, and nothing more: what was sent waits in
// the buffers of the system and arrives late, as what TCP sends again does after a real partition. Ends and resets wait with it.
import type { Socket } from "node:net";
import type { Faults, Way } from "./faults.ts";

export interface PipeOptions {
  readonly from: Socket;
  readonly to: Socket;
  readonly way: Way;
  readonly faults: Faults;
}

interface Piece {
  /** When it came, by the clock of `performance`. */
  readonly at: number;
  readonly what: Buffer | "end" | "reset";
}

/** Bytes that are on their way; more are not read. */
const heldBytesMax = 1024 * 1024;

export class Pipe {
  readonly #options: PipeOptions;
  readonly #pieces: Piece[] = [];
  #heldBytes = 0;
  #hasEnded = false;
  /** The other side takes no more at the moment. */
  #isFull = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: PipeOptions) {
    this.#options = options;
    const { from, to } = options;
    from.on("data", (bytes) => this.#take(bytes));
    from.on("end", () => this.#take("end"));
    from.on("close", () => this.#take("reset"));
    to.on("drain", () => {
      this.#isFull = false;
      this.flush();
    });
    to.on("close", () => this.flush());
    this.flush();
  }

  /** Passes on what may be passed on now. */
  flush(): void {
    const { from, to, way, faults } = this.#options;
    clearTimeout(this.#timer);
    // Nobody is there to hear it.
    if (to.destroyed) this.#drop();
    while (!this.#isFull && !faults.isCut(way)) {
      const [piece] = this.#pieces;
      if (piece === undefined) break;
      const waitMs = faults.dueAt(way, piece.at) - performance.now();
      if (waitMs > 0) {
        this.#timer = setTimeout(() => this.flush(), Math.ceil(waitMs));
        break;
      }
      this.#pass(piece);
    }
    const holds = faults.isCut(way) && this.#pieces.length > 0;
    const mustWait = !to.destroyed && (holds || this.#heldBytes >= heldBytesMax);
    if (mustWait) from.pause();
    else from.resume();
  }

  #take(what: Piece["what"]): void {
    if (this.#hasEnded) return;
    this.#hasEnded = typeof what === "string";
    const { way, faults } = this.#options;
    const at = performance.now();
    if (faults.isCut(way) || faults.dueAt(way, at) > at) faults.hold();
    this.#pieces.push({ at, what });
    if (typeof what !== "string") this.#heldBytes += what.length;
    this.flush();
  }

  #pass({ at, what }: Piece): void {
    const { to, way, faults } = this.#options;
    this.#pieces.shift();
    if (what === "end") to.end();
    else if (what === "reset") to.resetAndDestroy();
    else {
      const size = faults.take(way, what.length);
      if (size < what.length) {
        faults.hold();
        this.#pieces.unshift({ at, what: what.subarray(size) });
      }
      this.#heldBytes -= size;
      this.#isFull = !to.write(what.subarray(0, size));
    }
  }

  #drop(): void {
    this.#pieces.length = 0;
    this.#heldBytes = 0;
    this.#isFull = false;
  }
}
