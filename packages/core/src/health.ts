/** Whether another system answers, as last seen by the client that talks to it. */
export interface HealthSignal {
  readonly isUp: boolean;
  /** Calls `listener` after every change; returns how to stop. */
  watch(listener: (isUp: boolean) => void): () => void;
}

export interface SettableHealthSignal extends HealthSignal {
  set(isUp: boolean): void;
}

/** Down until it is set. */
export function createHealthSignal(): SettableHealthSignal {
  const listeners = new Set<(isUp: boolean) => void>();
  let current = false;
  return {
    get isUp() {
      return current;
    },
    watch(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    set(isUp) {
      if (isUp === current) return;
      current = isUp;
      for (const listener of listeners) listener(isUp);
    },
  };
}
