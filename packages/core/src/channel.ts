/** A bounded queue between one or more writers and one reader, read as an async iterable. */
export interface Channel<T> extends AsyncIterable<T> {
  /** False: the channel is closed or full, and the value was not taken. */
  push(value: T): boolean;
  /** Ends the iteration after what was pushed. */
  close(): void;
  readonly size: number;
}

/** @param capacity values that may wait; a full channel refuses more. */
export function createChannel<T>(capacity: number): Channel<T> {
  let values: T[] = [];
  let head = 0;
  let closed = false;
  let wake: (() => void) | undefined;
  const size = () => values.length - head;
  function notify(): void {
    wake?.();
    wake = undefined;
  }
  async function* read(): AsyncGenerator<T> {
    for (;;) {
      while (head < values.length) {
        const value = values[head] as T;
        head++;
        if (head === values.length) {
          values = [];
          head = 0;
        }
        yield value;
      }
      if (closed) return;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  }
  return {
    push(value) {
      if (closed || size() >= capacity) return false;
      values.push(value);
      notify();
      return true;
    },
    close() {
      closed = true;
      notify();
    },
    get size() {
      return size();
    },
    [Symbol.asyncIterator]: read,
  };
}
