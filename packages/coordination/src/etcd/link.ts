// The way to etcd: every call goes to one host, until that host fails.
//
//   current host ──a call or the opening of a watch fails──▶ the next host is the current one
//
// The library would pick a host by chance for each call, so that with one dead host of three every third call fails.
import {
  type Clock,
  createHealthSignal,
  type EpochMs,
  type HealthSignal,
  type Random,
  type SettableHealthSignal,
} from "@sluice/core";
import type { Logger } from "@sluice/runtime";
import { coordinatorUnavailable } from "../errors.ts";
import type { EtcdHost } from "./host.ts";
import type { EtcdMetrics } from "./metrics.ts";

export type CallName = "grant" | "renew" | "revoke" | "get" | "list" | "commit";

/** What a call does on one host; it rejects when the outcome is not known. */
export type Call<T> = (host: EtcdHost, deadline: EpochMs) => Promise<T>;

/** A host for as long as it is the current one. */
export interface CurrentHost {
  readonly host: EtcdHost;
  /** Aborts when the host is given up: whatever hangs on its connection must be opened anew. */
  readonly givenUp: AbortSignal;
}

export interface LinkDeps {
  readonly hosts: readonly EtcdHost[];
  readonly callDeadlineMs: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly metrics: EtcdMetrics;
}

export class Link {
  readonly #deps: LinkDeps;
  readonly #health: SettableHealthSignal = createHealthSignal();
  readonly #pending = new Set<Promise<unknown>>();
  readonly #closing = new AbortController();
  #index: number;
  #giveUp = new AbortController();
  #answeredAt = Number.NEGATIVE_INFINITY;

  constructor(deps: LinkDeps) {
    this.#deps = deps;
    // Many processes spread over the hosts.
    this.#index = Math.floor(deps.random.next() * deps.hosts.length);
  }

  get health(): HealthSignal {
    return this.#health;
  }

  /** Aborts when the link is closed. */
  get closing(): AbortSignal {
    return this.#closing.signal;
  }

  /** Monotonic time of the last answer. */
  get answeredAt(): number {
    return this.#answeredAt;
  }

  get current(): CurrentHost {
    const host = this.#deps.hosts[this.#index];
    if (host === undefined) throw new Error("etcd needs at least one host");
    return { host, givenUp: this.#giveUp.signal };
  }

  /**
   * Asks etcd, within the deadline for calls. What may be repeated is tried on the other hosts too, or on a new connection
   * to the same; `once` is not, since its outcome may be unknown. Rejects with `COORDINATOR_UNAVAILABLE`, never otherwise.
   */
  async ask<T>(name: CallName, call: Call<T>, { once = false }: { readonly once?: boolean } = {}): Promise<T> {
    if (this.closing.aborted) throw coordinatorUnavailable("the coordinator is closed");
    const { clock, metrics } = this.#deps;
    const sentAt = clock.monotonic();
    const answer = once ? this.#try(call, this.#deps.callDeadlineMs) : this.#tryEverywhere(call);
    this.#pending.add(answer);
    try {
      const value = await answer;
      this.#answered();
      metrics.calls.inc({ call: name, outcome: "answered" });
      return value;
    } catch (cause) {
      this.#failed(sentAt, cause);
      metrics.calls.inc({ call: name, outcome: "unknown" });
      throw coordinatorUnavailable(`etcd did not answer to ${name}`, { cause });
    } finally {
      metrics.callDuration.observe({ call: name }, (clock.monotonic() - sentAt) / 1000);
      this.#pending.delete(answer);
    }
  }

  /** Makes the next host the current one, unless that has happened already. */
  giveUp({ host, givenUp }: CurrentHost, cause: unknown): void {
    if (givenUp.aborted || this.closing.aborted) return;
    const { hosts, log, metrics } = this.#deps;
    this.#index = (this.#index + 1) % hosts.length;
    metrics.hostChanges.inc();
    log.debug("gave up a connection to etcd", { host: host.address, cause: String(cause) });
    const controller = this.#giveUp;
    this.#giveUp = new AbortController();
    controller.abort();
  }

  /** Waits for the calls on their way; later ones are refused. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#giveUp.abort();
    await Promise.allSettled(this.#pending);
    for (const host of this.#deps.hosts) host.close();
  }

  /** Each try but the last has half of the time that is left, so that a host that hangs does not take all of it. */
  async #tryEverywhere<T>(call: Call<T>): Promise<T> {
    const { clock, hosts, callDeadlineMs } = this.#deps;
    const endsAt = clock.monotonic() + callDeadlineMs;
    for (let triesLeft = Math.max(2, hosts.length); ; triesLeft--) {
      const leftMs = endsAt - clock.monotonic();
      try {
        return await this.#try(call, triesLeft > 1 ? leftMs / 2 : leftMs);
      } catch (error) {
        if (triesLeft === 1 || this.closing.aborted || clock.monotonic() >= endsAt) throw error;
      }
    }
  }

  async #try<T>(call: Call<T>, deadlineMs: number): Promise<T> {
    const current = this.current;
    try {
      return await call(current.host, this.#deps.clock.now() + deadlineMs);
    } catch (error) {
      this.giveUp(current, error);
      throw error;
    }
  }

  #answered(): void {
    this.#answeredAt = this.#deps.clock.monotonic();
    if (!this.#health.isUp) this.#deps.log.info("etcd answers");
    this.#setUp(true);
  }

  #failed(sentAt: number, cause: unknown): void {
    // Another call was answered meanwhile.
    if (this.#answeredAt >= sentAt || !this.#health.isUp) return;
    this.#deps.log.warn("etcd does not answer", { cause: String(cause) });
    this.#setUp(false);
  }

  #setUp(isUp: boolean): void {
    this.#health.set(isUp);
    this.#deps.metrics.up.set(isUp ? 1 : 0);
  }
}
