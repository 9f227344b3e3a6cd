// Hints as plain messages on `s.<topic>`: whoever listens now hears them. One that cannot be sent now is lost.
import type { Logger } from "@sluice/runtime";
import type { Msg, Subscription } from "nats";
import type { Signals } from "../index.ts";
import type { Connection, Session } from "./connection.ts";
import type { NatsMetrics } from "./metrics.ts";

export interface NatsSignalsOptions {
  readonly connection: Connection;
  readonly log: Logger;
  readonly metrics: NatsMetrics;
}

/** One topic that somebody here listens to. */
interface Topic {
  readonly listeners: Set<(payload: string) => void>;
  subscription: Subscription | undefined;
}

export class NatsSignals implements Signals {
  readonly #options: NatsSignalsOptions;
  readonly #topics = new Map<string, Topic>();
  readonly #stopWatching: () => void;

  constructor(options: NatsSignalsOptions) {
    this.#options = options;
    this.#stopWatching = options.connection.watch(() => this.#subscribeAll());
  }

  send(topic: string, payload: string): void {
    const { connection, metrics } = this.#options;
    const { session } = connection;
    if (session === undefined || session.connection.isClosed()) {
      metrics.droppedHints.inc({ cause: "away" });
    } else if (Buffer.byteLength(payload) > session.payloadBytesMax) {
      metrics.droppedHints.inc({ cause: "too_long" });
    } else {
      session.connection.publish(subjectOf(topic), payload);
    }
  }

  listen(name: string, hear: (payload: string) => void): () => void {
    // Of its own, so that one function may listen twice.
    const listener = (payload: string) => hear(payload);
    let topic = this.#topics.get(name);
    if (topic === undefined) {
      topic = { listeners: new Set(), subscription: undefined };
      this.#topics.set(name, topic);
      topic.subscription = this.#subscribe(name, this.#options.connection.session);
    }
    const { listeners } = topic;
    listeners.add(listener);
    return () => {
      if (!listeners.delete(listener) || listeners.size > 0) return;
      this.#topics.get(name)?.subscription?.unsubscribe();
      this.#topics.delete(name);
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopWatching();
    for (const { listeners, subscription } of this.#topics.values()) {
      listeners.clear();
      subscription?.unsubscribe();
    }
    this.#topics.clear();
  }

  #subscribeAll(): void {
    const { session } = this.#options.connection;
    for (const [name, topic] of this.#topics) topic.subscription = this.#subscribe(name, session);
  }

  #subscribe(name: string, session: Session | undefined): Subscription | undefined {
    if (session === undefined || session.connection.isClosed()) return undefined;
    return session.connection.subscribe(subjectOf(name), {
      callback: (error, message) => {
        if (error === null) this.#tell(name, message);
      },
    });
  }

  /** Must not throw: it runs inside the library's reader. */
  #tell(name: string, message: Msg): void {
    const payload = message.string();
    const listeners = this.#topics.get(name)?.listeners ?? new Set();
    for (const listener of [...listeners]) {
      if (!listeners.has(listener)) continue;
      try {
        listener(payload);
      } catch (cause) {
        this.#options.log.error("a listener failed at a hint", { topic: name, cause });
      }
    }
  }
}

function subjectOf(topic: string): string {
  return `s.${topic}`;
}
