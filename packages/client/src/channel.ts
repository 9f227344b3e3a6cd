/** Values that one side pushes and the other iterates over, once. The pusher bounds what is in it. */
export class Channel<T> implements AsyncIterable<T> {
  readonly #values: T[] = [];
  #isClosed = false;
  #wake: (() => void) | undefined;

  push(value: T): void {
    if (this.#isClosed) return;
    this.#values.push(value);
    this.#wake?.();
  }

  /** Ends the iteration; what was not taken is dropped. */
  close(): void {
    this.#isClosed = true;
    this.#values.length = 0;
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for (;;) {
      for (const value of this.#values.splice(0)) {
        if (this.#isClosed) return;
        yield value;
      }
      if (this.#isClosed) return;
      if (this.#values.length > 0) continue;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
  }
}
