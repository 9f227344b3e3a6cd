// The part of JetStream's JSON API that the driver needs, for one connection. Own requests instead of the library's
// manager: they fail at once when the connection is lost, and share one inbox.
import { AppError, type EpochMs } from "@sluice/core";
import { unavailable } from "./failures.ts";
import { hasNoResponders, type Replies } from "./replies.ts";
import { Shared } from "./shared.ts";
import { streamName } from "./subjects.ts";

/** Codes of errors that mean something to us. */
export const apiCode = {
  consumerNotFound: 10014,
  noMessage: 10037,
  streamNotFound: 10059,
  /** "maximum messages exceeded" and "maximum bytes exceeded": a publish that was not stored. */
  storeFailed: 10077,
} as const;

/** JetStream answered that it will not. */
export class ApiError extends AppError {
  override readonly name = "ApiError";
  readonly apiCode: number;

  constructor(what: string, { err_code = 0, description = "unknown error" }: ErrorAnswer) {
    super("unavailable", "QUEUE_UNAVAILABLE", `${what}: ${description} (${err_code})`);
    this.apiCode = err_code;
  }
}

export function isApiError(error: unknown, ...codes: readonly number[]): error is ApiError {
  return error instanceof ApiError && codes.includes(error.apiCode);
}

export interface ErrorAnswer {
  readonly err_code?: number;
  readonly description?: string;
}

export interface StreamConfig {
  readonly name: string;
  readonly subjects: readonly string[];
  readonly retention: string;
  readonly storage: string;
  readonly discard: string;
  readonly num_replicas: number;
  readonly max_msgs?: number;
  readonly max_bytes?: number;
  readonly max_msg_size?: number;
}

export interface StreamInfo {
  readonly config: StreamConfig;
  readonly state: {
    readonly messages: number;
    readonly bytes: number;
    readonly last_seq: number;
    /** Messages by subject, of the subjects that were asked for. */
    readonly subjects?: Readonly<Record<string, number>>;
  };
}

export interface ConsumerConfig {
  readonly durable_name: string;
  readonly filter_subject: string;
  readonly deliver_policy: "all";
  readonly ack_policy: "explicit";
  readonly replay_policy: "instant";
  /** Nanoseconds. */
  readonly ack_wait: number;
  readonly max_deliver: number;
  readonly max_ack_pending: number;
}

export interface ConsumerInfo {
  readonly delivered: { readonly consumer_seq: number; readonly stream_seq: number };
  readonly num_ack_pending: number;
  readonly num_pending: number;
}

/** While a cluster elects a leader nobody answers; who asks again soon learns soon that it has one. */
const deadlineMs = 3_000;

export class JetStreamApi {
  readonly #replies: Replies;
  readonly #names: Shared<readonly string[]>;
  readonly #stream: Shared<StreamInfo>;

  constructor(replies: Replies) {
    this.#replies = replies;
    this.#names = new Shared(() => this.#listConsumers());
    this.#stream = new Shared(() => this.#ask(`STREAM.INFO.${streamName}`));
  }

  /** As it is after this call; shared with others who ask. */
  stream(): Promise<StreamInfo> {
    return this.#stream.run();
  }

  /** Messages whose subjects the filter selects. */
  async count(filter: string): Promise<number> {
    const { state } = await this.#ask<StreamInfo>(`STREAM.INFO.${streamName}`, { subjects_filter: filter });
    return Object.values(state.subjects ?? {}).reduce((sum, count) => sum + count, 0);
  }

  /** Subjects that have messages and that the filter selects. */
  async subjects(filter: string): Promise<readonly string[]> {
    const { state } = await this.#ask<StreamInfo>(`STREAM.INFO.${streamName}`, { subjects_filter: filter });
    return Object.keys(state.subjects ?? {});
  }

  /** Deletes the messages whose subjects the filter selects. */
  async purge(filter: string): Promise<void> {
    await this.#ask(`STREAM.PURGE.${streamName}`, { filter });
  }

  createStream(config: StreamConfig): Promise<StreamInfo> {
    return this.#ask(`STREAM.CREATE.${streamName}`, config);
  }

  updateStream(config: StreamConfig): Promise<StreamInfo> {
    return this.#ask(`STREAM.UPDATE.${streamName}`, config);
  }

  /** Names of all consumers that exist after this call; shared with others who ask. */
  consumerNames(): Promise<readonly string[]> {
    return this.#names.run();
  }

  createConsumer(config: ConsumerConfig): Promise<ConsumerInfo> {
    const body = { stream_name: streamName, config };
    return this.#ask(`CONSUMER.DURABLE.CREATE.${streamName}.${config.durable_name}`, body);
  }

  consumer(name: string): Promise<ConsumerInfo> {
    return this.#ask(`CONSUMER.INFO.${streamName}.${name}`);
  }

  /** Also when it does not exist. */
  async deleteConsumer(name: string): Promise<void> {
    try {
      await this.#ask(`CONSUMER.DELETE.${streamName}.${name}`);
    } catch (error) {
      if (!isApiError(error, apiCode.consumerNotFound, apiCode.streamNotFound)) throw error;
    }
  }

  /** When the first message from `seq` on was stored that the filter selects; undefined: there is none. */
  async storedAt(filter: string, seq: number): Promise<EpochMs | undefined> {
    try {
      const { message } = await this.#ask<{ readonly message: { readonly time: string } }>(
        `STREAM.MSG.GET.${streamName}`,
        { seq, next_by_subj: filter },
      );
      return Date.parse(message.time);
    } catch (error) {
      if (isApiError(error, apiCode.noMessage)) return undefined;
      throw error;
    }
  }

  async #listConsumers(): Promise<readonly string[]> {
    const names: string[] = [];
    for (;;) {
      const page = await this.#ask<{ readonly consumers: readonly string[] | null; readonly total: number }>(
        `CONSUMER.NAMES.${streamName}`,
        { offset: names.length },
      );
      names.push(...(page.consumers ?? []));
      if (names.length >= page.total || (page.consumers ?? []).length === 0) return names;
    }
  }

  async #ask<T>(what: string, body?: object): Promise<T> {
    const message = await this.#replies.request({
      subject: `$JS.API.${what}`,
      ...(body === undefined ? {} : { payload: JSON.stringify(body) }),
      deadlineMs,
    });
    if (hasNoResponders(message)) throw unavailable("JetStream is not running on the server");
    const answer = message.json<T & { readonly error?: ErrorAnswer }>();
    if (answer.error !== undefined) throw new ApiError(what, answer.error);
    return answer;
  }
}
