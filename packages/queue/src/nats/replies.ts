// Answers to what one connection asked. All arrive in one inbox; the last token of their subject says whose they are. Not
// the library's own requests: those cost a promise, a timer and a subject for every message, this one for every batch.
import type { AppError, Clock } from "@sluice/core";
import type { Msg, NatsConnection } from "nats";
import { late, unavailable } from "./failures.ts";

export interface Listener {
  /** Must not throw: it runs inside the library's reader. */
  hear(message: Msg): void;
  fail(error: AppError): void;
}

export interface Expectation {
  /** Where the answers must be sent. */
  readonly subject: string;
  /** Hears nothing more. */
  cancel(): void;
}

export interface RequestOptions {
  readonly subject: string;
  readonly payload?: Uint8Array | string;
  readonly deadlineMs: number;
}

export class Replies {
  readonly #connection: NatsConnection;
  readonly #clock: Clock;
  readonly #inbox: string;
  readonly #listeners = new Map<string, Listener>();
  #count = 0;
  #endedBy: AppError | undefined;

  constructor(options: { connection: NatsConnection; clock: Clock; inbox: string }) {
    this.#connection = options.connection;
    this.#clock = options.clock;
    this.#inbox = options.inbox;
    this.#connection.subscribe(`${this.#inbox}.*`, {
      callback: (error, message) => {
        if (error === null) this.#listeners.get(message.subject.slice(this.#inbox.length + 1))?.hear(message);
      },
    });
  }

  /** Fails with `QUEUE_UNAVAILABLE` when the connection ends or nothing has cancelled it within `deadlineMs`. */
  expect(listener: Listener, deadlineMs: number): Expectation {
    const token = (this.#count++).toString(36);
    const cancel = () => {
      cancelTimer();
      this.#listeners.delete(token);
    };
    const fail = (error: AppError) => {
      cancel();
      listener.fail(error);
    };
    const cancelTimer = this.#clock.timer(deadlineMs, () => fail(late(deadlineMs)));
    this.#listeners.set(token, { hear: (message) => listener.hear(message), fail });
    if (this.#endedBy !== undefined) fail(this.#endedBy);
    return { subject: `${this.#inbox}.${token}`, cancel };
  }

  /** One message, one answer; an answer that says "no responders" is one, too. */
  request({ subject, payload, deadlineMs }: RequestOptions): Promise<Msg> {
    return new Promise((resolve, reject) => {
      const expected = this.expect(
        {
          hear(message) {
            expected.cancel();
            resolve(message);
          },
          fail: reject,
        },
        deadlineMs,
      );
      try {
        this.#connection.publish(subject, payload, { reply: expected.subject });
      } catch (cause) {
        expected.cancel();
        reject(unavailable("the connection to NATS is closed", cause));
      }
    });
  }

  /** The connection is lost: nothing that was asked will be answered. */
  end(error: AppError): void {
    this.#endedBy = error;
    for (const listener of [...this.#listeners.values()]) listener.fail(error);
  }
}

/** What the server answers when nobody listens to a subject. */
export function hasNoResponders({ data, headers }: Msg): boolean {
  return data.length === 0 && headers?.code === 503;
}
