import { assert, type Clock, type Random } from "@sluice/core";
import { leaseGone } from "../errors.ts";
import type { Condition, Coordinator, Entry, Lease, Operation } from "../index.ts";
import type { Change, Comparison, KeyValue, Range, ReadRequest } from "./host.ts";
import type { Link } from "./link.ts";
import type { EtcdMetrics } from "./metrics.ts";
import { watchRange } from "./watch.ts";

/** Conditions, and operations, of one transaction; etcd's default. */
const transactionSizeMax = 128;
/** Entries of one answer. */
const pageSize = 1_000;

export interface EtcdCoordinatorDeps {
  readonly link: Link;
  /** Before every key. */
  readonly namespace: string;
  readonly watchOpenDeadlineMs: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly metrics: EtcdMetrics;
}

export class EtcdCoordinator implements Coordinator {
  readonly #deps: EtcdCoordinatorDeps;
  readonly #closing = new AbortController();
  readonly #watches = new Set<Promise<void>>();

  constructor(deps: EtcdCoordinatorDeps) {
    this.#deps = deps;
  }

  async grant(ttlMs: number): Promise<Lease> {
    assert(ttlMs > 0, "a lease needs time to live");
    // One whose grant is not heard of is nobody's, and expires.
    const { id, ttlSeconds } = await this.#deps.link.ask("grant", (host, deadline) =>
      host.grant(Math.ceil(ttlMs / 1000), deadline),
    );
    return { id, ttlMs: ttlSeconds * 1000 };
  }

  async renew({ id }: Lease): Promise<boolean> {
    return (await this.#deps.link.ask("renew", (host, deadline) => host.renew(id, deadline))) > 0;
  }

  async revoke({ id }: Lease): Promise<void> {
    await this.#deps.link.ask("revoke", (host, deadline) => host.revoke(id, deadline));
  }

  async get(key: string): Promise<Entry | undefined> {
    const request = { key: this.#bytes(key) };
    const { kvs } = await this.#deps.link.ask("get", (host, deadline) => host.read(request, deadline));
    return kvs.map((kv) => this.#entry(kv))[0];
  }

  /** In pages, all of the revision of the first one. */
  async list(prefix: string): Promise<Entry[]> {
    const range = this.#range(prefix);
    const entries: Entry[] = [];
    let request: ReadRequest | undefined = { ...range, limit: pageSize };
    while (request !== undefined) {
      const asked: ReadRequest = request;
      const { kvs, more, revision } = await this.#deps.link.ask("list", (host, deadline) => host.read(asked, deadline));
      for (const kv of kvs) entries.push(this.#entry(kv));
      const last = kvs.at(-1);
      request = more && last ? { ...asked, key: after(last.key), revision: asked.revision ?? revision } : undefined;
    }
    return entries;
  }

  async commit(
    conditions: readonly Condition[],
    operations: readonly Operation[],
  ): Promise<{ succeeded: boolean; revision: number }> {
    assert(conditions.length <= transactionSizeMax, `a transaction has at most ${transactionSizeMax} conditions`);
    assert(operations.length <= transactionSizeMax, `a transaction has at most ${transactionSizeMax} operations`);
    assert(new Set(operations.map(({ key }) => key)).size === operations.length, "a transaction changes a key once");
    const request = {
      compare: conditions.map((condition) => this.#comparison(condition)),
      success: operations.map((operation) => this.#change(operation)),
    };
    const answer = await this.#deps.link.ask("commit", (host, deadline) => host.transact(request, deadline), {
      once: true,
    });
    if (answer === undefined) throw leaseGone(...leasesOf(operations));
    return { succeeded: answer.succeeded, revision: Number(answer.revision) };
  }

  watch(prefix: string, onHint: () => void): () => void {
    const { link, clock, random, metrics, watchOpenDeadlineMs } = this.#deps;
    const stop = new AbortController();
    const watch = watchRange(
      { link, openDeadlineMs: watchOpenDeadlineMs, clock, random, metrics },
      this.#range(prefix),
      { onHint, signal: AbortSignal.any([this.#closing.signal, stop.signal]) },
    ).finally(() => this.#watches.delete(watch));
    this.#watches.add(watch);
    return () => stop.abort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    await Promise.all(this.#watches);
    await this.#deps.link.close();
  }

  #bytes(key: string): Buffer {
    return Buffer.from(this.#deps.namespace + key);
  }

  #range(prefix: string): Range {
    const key = this.#bytes(prefix);
    // etcd takes a zero byte for the first key, and as the end for behind the last one.
    if (key.length === 0) return { key: Buffer.of(0), range_end: Buffer.of(0) };
    const end = Buffer.from(key);
    // The last byte of a text in UTF-8 is never 255.
    end[end.length - 1] = (end.at(-1) ?? 0) + 1;
    return { key, range_end: end };
  }

  #entry({ key, value, create_revision, mod_revision, lease }: KeyValue): Entry {
    return {
      key: key.toString().slice(this.#deps.namespace.length),
      value: value.toString(),
      createRevision: Number(create_revision),
      modRevision: Number(mod_revision),
      leaseId: lease === "0" ? undefined : lease,
    };
  }

  #comparison(condition: Condition): Comparison {
    const key = this.#bytes(condition.key);
    if ("createRevision" in condition) return revisionIs(key, "Create", condition.createRevision);
    if ("modRevision" in condition) return revisionIs(key, "Mod", condition.modRevision);
    const result = condition.is === "absent" ? "Equal" : "Greater";
    return { key, target: "Create", result, create_revision: 0 };
  }

  #change(operation: Operation): Change {
    const key = this.#bytes(operation.key);
    if (operation.op === "delete") return { request_delete_range: { key } };
    const { value, lease } = operation;
    return { request_put: { key, value: Buffer.from(value), ...(lease && { lease: lease.id }) } };
  }
}

function revisionIs(key: Buffer, target: "Create" | "Mod", revision: number): Comparison {
  const expected = target === "Create" ? { create_revision: revision } : { mod_revision: revision };
  return { key, target, result: "Equal", ...expected };
}

/** The smallest key behind it. */
function after(key: Buffer): Buffer {
  return Buffer.concat([key, Buffer.of(0)]);
}

/** etcd does not say which one is gone; all of a transaction are the caller's. */
function leasesOf(operations: readonly Operation[]): [Lease] {
  for (const operation of operations) if (operation.op === "put" && operation.lease) return [operation.lease];
  throw new Error("etcd missed a lease, but no put names one");
}
