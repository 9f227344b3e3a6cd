/**
 * Calls back when a signal aborts, with one listener per signal however many wait for it: a listener of its own for each
 * of thousands of submissions would cost the square of their number, because adding one looks at all the others.
 */
export class Aborts {
  readonly #waiting = new WeakMap<AbortSignal, Set<() => void>>();

  /** The returned function takes the call-back back. */
  on(signal: AbortSignal, callback: () => void): () => void {
    const callbacks = this.#waiting.get(signal) ?? this.#listen(signal);
    callbacks.add(callback);
    return () => void callbacks.delete(callback);
  }

  #listen(signal: AbortSignal): Set<() => void> {
    const callbacks = new Set<() => void>();
    this.#waiting.set(signal, callbacks);
    signal.addEventListener(
      "abort",
      () => {
        for (const callback of callbacks) callback();
        callbacks.clear();
      },
      { once: true },
    );
    return callbacks;
  }
}
