// The seam to the library `etcd3`, and the only file that knows it. The library is frozen upstream, so only its plumbing is
// used: the connection to one host and the plain calls. Its leases, locks, elections and watchers are not, since they tell of
// a loss too late or lose events; neither are its retries (also of writes) and its circuit breaker (5 s of refusals).
import type { EpochMs, TlsFiles } from "@sluice/core";
import {
  Etcd3,
  EtcdLeaseInvalidError,
  type ICompare,
  type IKeyValue,
  type IOptions,
  type IRequestOp,
  type ITxnResponse,
} from "etcd3";

export type Comparison = ICompare;
export type Change = IRequestOp;
export type KeyValue = IKeyValue;

/** Keys from `key` on, before `range_end`; as bytes. */
export interface Range {
  readonly key: Buffer;
  readonly range_end: Buffer;
}

export interface ReadRequest {
  readonly key: Buffer;
  readonly range_end?: Buffer;
  readonly limit?: number;
  /** Default: the newest one, linearizable. */
  readonly revision?: string;
}

export interface WatchListener {
  /** From now on every change is told. */
  onCreated(): void;
  onChanged(): void;
}

/** One server. Every call rejects when its outcome is not known; ids and revisions are decimal texts. */
export interface EtcdHost {
  readonly address: string;
  read(request: ReadRequest, deadline: EpochMs): Promise<{ kvs: KeyValue[]; more: boolean; revision: string }>;
  /** Undefined: a put names a lease that is gone, and nothing was changed. */
  transact(
    request: { compare: Comparison[]; success: Change[] },
    deadline: EpochMs,
  ): Promise<{ succeeded: boolean; revision: string } | undefined>;
  /** `ttlSeconds` as granted: etcd has a minimum. */
  grant(ttlSeconds: number, deadline: EpochMs): Promise<{ id: string; ttlSeconds: number }>;
  /** Also when it is gone already. */
  revoke(leaseId: string, deadline: EpochMs): Promise<void>;
  /** Seconds that it lives from now on; 0: it is gone. */
  renew(leaseId: string, deadline: EpochMs): Promise<number>;
  /** Tells of changes until the signal aborts or the stream ends, for whatever reason; never rejects. */
  watch(range: Range, listener: WatchListener, signal: AbortSignal): Promise<void>;
  /** Calls on their way go on until they are answered or their deadline passes. */
  close(): void;
}

export interface EtcdHostOptions {
  /** `host:port`, with or without `https://`. */
  readonly address: string;
  readonly tls?: TlsFiles;
  readonly credentials?: { readonly user: string; readonly password: string };
  /** Deadline of the exchange of a password for a token, by when it starts. */
  readonly loginDeadline: () => EpochMs;
}

export function createEtcdHost(options: EtcdHostOptions): EtcdHost {
  const { address } = options;
  const client = new Etcd3(libraryOptions(options));
  const { kv, leaseClient, watchClient } = client;
  return {
    address,
    async read(request, deadline) {
      const { kvs, more, header } = await kv.range(request, { deadline });
      return { kvs, more, revision: header.revision };
    },
    async transact(request, deadline) {
      const answer = await unlessLeaseGone<ITxnResponse>(kv.txn(request, { deadline }));
      return answer && { succeeded: answer.succeeded, revision: answer.header.revision };
    },
    async grant(ttlSeconds, deadline) {
      const { ID, TTL } = await leaseClient.leaseGrant({ TTL: ttlSeconds }, { deadline });
      return { id: ID, ttlSeconds: Number(TTL) };
    },
    async revoke(leaseId, deadline) {
      await unlessLeaseGone(leaseClient.leaseRevoke({ ID: leaseId }, { deadline }));
    },
    async renew(leaseId, deadline) {
      const stream = await leaseClient.leaseKeepAlive({ deadline });
      try {
        return await new Promise<number>((resolve, reject) => {
          stream.on("data", ({ TTL }) => resolve(Number(TTL)));
          stream.on("error", reject);
          stream.on("end", () => reject(new Error("the renewal ended without an answer")));
          stream.write({ ID: leaseId });
        });
      } finally {
        stream.end();
      }
    },
    async watch(range, listener, signal) {
      const stream = await watchClient.watch().catch(() => undefined);
      if (stream === undefined) return;
      await new Promise<void>((resolve) => {
        // A stream that ends may still raise an error, which nobody but this listener keeps from ending the process.
        stream.on("error", () => resolve());
        stream.on("end", () => resolve());
        stream.on("data", ({ canceled, created, events }) => {
          if (signal.aborted) return;
          if (canceled) resolve();
          else if (created) listener.onCreated();
          else if (events.length > 0) listener.onChanged();
        });
        signal.addEventListener("abort", () => resolve(), { once: true });
        if (signal.aborted) resolve();
        else stream.write({ create_request: range });
      });
      // Ended first: the library takes the cancellation of a stream that could be written to for a failure of the host.
      stream.end();
      stream.cancel();
    },
    close: () => client.close(),
  };
}

async function unlessLeaseGone<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof EtcdLeaseInvalidError) return undefined;
    throw error;
  }
}

function libraryOptions({ address, tls, credentials, loginDeadline }: EtcdHostOptions): IOptions {
  return {
    hosts: address,
    ...(tls && { credentials: certificates(tls) }),
    ...(credentials && {
      auth: {
        username: credentials.user,
        password: credentials.password,
        callOptions: () => ({ deadline: loginDeadline() }),
      },
    }),
    faultHandling: { global: once, host: () => once },
    grpcOptions: {
      "grpc.max_receive_message_length": 64 * 1024 * 1024,
      "grpc.max_send_message_length": 4 * 1024 * 1024,
      // etcd hangs up on who pings more often than every 5 s, or without a stream.
      "grpc.keepalive_time_ms": 10_000,
      "grpc.keepalive_timeout_ms": 3_000,
      "grpc.keepalive_permit_without_calls": 0,
      // The defaults wait up to 120 s after an outage.
      "grpc.initial_reconnect_backoff_ms": 100,
      "grpc.max_reconnect_backoff_ms": 1_000,
      "grpc.enable_retries": 0,
      // The proxy of the environment is for the web.
      "grpc.enable_http_proxy": 0,
    },
  };
}

function certificates({ ca, cert, key }: TlsFiles): NonNullable<IOptions["credentials"]> {
  return {
    rootCertificate: Buffer.from(ca),
    ...(cert !== undefined && { certChain: Buffer.from(cert) }),
    ...(key !== undefined && { privateKey: Buffer.from(key) }),
  };
}

type Policy = NonNullable<NonNullable<IOptions["faultHandling"]>["global"]>;

const neverFires = () => ({ dispose() {} });

/** How the library calls: once. Whether to call again is decided where it is known what that may do. */
const once: Policy = {
  get _altReturn(): never {
    throw new Error("exists for the types only");
  },
  onSuccess: neverFires,
  onFailure: neverFires,
  execute: async (call, signal = new AbortController().signal) => call({ signal }),
};
