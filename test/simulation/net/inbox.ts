/** What has arrived on one end of a stream and was not read yet. */
export interface Inbox<T> extends AsyncIterable<T> {
  push(value: T): void;
  /** The stream ends after what was pushed. */
  close(): void;
  /** The stream fails after what was pushed. */
  fail(error: unknown): void;
}

/** `onLeave`: called once when the reader stops before the end. */
export function createInbox<T>(onLeave: () => void): Inbox<T> {
  const values: T[] = [];
  let end: { readonly error?: unknown } | undefined;
  let wake: (() => void) | undefined;
  const notify = () => {
    wake?.();
    wake = undefined;
  };
  async function* read(): AsyncGenerator<T> {
    let hasEnded = false;
    try {
      for (;;) {
        while (values.length > 0) yield values.shift() as T;
        if (end) {
          hasEnded = true;
          if ("error" in end) throw end.error;
          return;
        }
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    } finally {
      if (!hasEnded) onLeave();
    }
  }
  return {
    push(value) {
      if (end) return;
      values.push(value);
      notify();
    },
    close() {
      end ??= {};
      notify();
    },
    fail(error) {
      end ??= { error };
      notify();
    },
    [Symbol.asyncIterator]: read,
  };
}
