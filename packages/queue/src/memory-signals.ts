import type { Signals } from "./index.ts";

/**
 * Signals within one process. A hint arrives after the sender's turn, never inside `send`, so that a listener cannot run
 * in the middle of what the sender is doing.
 */
export function createMemorySignals(): Signals {
  const listenersByTopic = new Map<string, Set<Listener>>();
  return {
    send(topic, payload) {
      for (const listener of listenersByTopic.get(topic) ?? []) {
        queueMicrotask(() => {
          if (listener.isListening) listener.hear(payload);
        });
      }
    },
    listen(topic, hear) {
      const listener: Listener = { hear, isListening: true };
      const listeners = listenersByTopic.get(topic) ?? new Set();
      listenersByTopic.set(topic, listeners.add(listener));
      return () => {
        listener.isListening = false;
        listeners.delete(listener);
        if (listeners.size === 0 && listenersByTopic.get(topic) === listeners) listenersByTopic.delete(topic);
      };
    },
    async [Symbol.asyncDispose]() {
      for (const listeners of listenersByTopic.values()) {
        for (const listener of listeners) listener.isListening = false;
      }
      listenersByTopic.clear();
    },
  };
}

interface Listener {
  readonly hear: (payload: string) => void;
  isListening: boolean;
}
