// Writes that wait for the one that is in flight. They are bounded: results may be large, and a store may be slower than the
// agents. While they are full nothing more is dispatched; what runs already may still end.
import type { TaskWrite } from "@sluice/store";
import type { AgentLink } from "../agents/link.ts";

/** A write on its way to the store, and whom to tell once it is committed. */
export interface PendingWrite {
  readonly write: TaskWrite;
  /** Has a result of this attempt that it may forget. */
  readonly confirmTo: AgentLink | undefined;
}

const countMax = 2_048;
const bytesMax = 16 * 1024 * 1024;
/** Of one statement; a larger result goes alone. */
const groupBytesMax = 4 * 1024 * 1024;

export class PendingWrites {
  #writes: PendingWrite[] = [];
  #bytes = 0;

  get size(): number {
    return this.#writes.length;
  }

  get isFull(): boolean {
    return this.#writes.length >= countMax || this.#bytes >= bytesMax;
  }

  push(pending: PendingWrite): void {
    this.#writes.push(pending);
    this.#bytes += bytesOf(pending);
  }

  /** Up to `max` of the oldest. */
  take(max: number): PendingWrite[] {
    let count = 0;
    let bytes = 0;
    for (const pending of this.#writes) {
      const more = bytesOf(pending);
      if (count === max || (count > 0 && bytes + more > groupBytesMax)) break;
      count += 1;
      bytes += more;
    }
    this.#bytes -= bytes;
    return this.#writes.splice(0, count);
  }

  /** Those that were taken first and not written. */
  putBack(group: readonly PendingWrite[]): void {
    this.#writes = [...group, ...this.#writes];
    for (const pending of group) this.#bytes += bytesOf(pending);
  }
}

function bytesOf({ write }: PendingWrite): number {
  const result = write.kind === "settle" ? write.result.byteLength : 0;
  const body = write.kind === "running" ? 0 : (write.error?.body.length ?? 0);
  return result + body;
}
