// Opens the cluster drivers. Nothing here waits for a server: a process starts, answers and stops whatever is away.
import type { Coordinator } from "@sluice/coordination";
import { openEtcd } from "@sluice/coordination/etcd";
import { type Clock, createHealthSignal, type HealthSignal, type Random } from "@sluice/core";
import type { Signals, TaskQueue } from "@sluice/queue";
import { openNats } from "@sluice/queue/nats";
import type { Logger } from "@sluice/runtime";
import type { Store } from "@sluice/store";
import { openPostgres } from "@sluice/store/postgres";
import type { Registry } from "prom-client";
import { lateStore } from "./late-store.ts";
import type { BackendConfig } from "./settings.ts";
import { readTlsFiles } from "./tls-files.ts";

export interface BackendDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly registry: Registry;
  /** Ends the wait for a database that is away. */
  readonly signal: AbortSignal;
  /** After which a call to etcd is given up; shorter than the deadline of a renewal, so that another member can be asked. */
  readonly etcdCallDeadlineMs?: number;
}

/** Disposed in the order in which they need each other: what is on its way to the queue, then the lease, then the store. */
export interface Backends extends AsyncDisposable {
  /** Rejects every call with `STORE_UNAVAILABLE` until the database was there once. */
  readonly store: Store;
  /**
   * Resolves when the database was there and has our tables, however long that takes; also when the signal aborts first.
   * Rejects when waiting cannot help.
   */
  readonly opened: Promise<void>;
  readonly queue: TaskQueue;
  readonly signals: Signals;
  readonly coordinator: Coordinator;
  readonly health: Readonly<Record<BackendName, HealthSignal>>;
}
export type BackendName = "store" | "queue" | "coordinator";

/** After so long without one of them the log says that the process waits. */
const patienceMs = 2_000;

/** Throws `TLS_FILE_UNREADABLE`. */
export function openBackends(config: BackendConfig, deps: BackendDeps): Backends {
  const { clock, random, log, registry, signal, etcdCallDeadlineMs } = deps;
  const tls = tlsOf(config);
  const kit = (component: string) => ({
    clock,
    random: random.fork(component),
    log: log.child({ component }),
    registry,
  });
  const storeHealth = createHealthSignal();
  const opening = openPostgres({
    url: config.postgresUrl,
    connectionsMax: config.postgresConnectionsMax,
    ...tls.postgres,
    ...kit("postgres"),
    signal,
  });
  const opened = opening.then(
    ({ health }) => {
      storeHealth.set(health.isUp);
      health.watch((isUp) => storeHealth.set(isUp));
    },
    (cause: unknown) => {
      if (!signal.aborted) throw cause;
    },
  );
  // Whoever awaits it hears of a failure; until then nobody does.
  opened.catch(() => undefined);
  const nats = openNats({
    servers: config.natsServers,
    replicas: config.natsReplicas === "3" ? 3 : 1,
    ...credentials(config.natsUser, config.natsPassword),
    ...tls.nats,
    ...kit("nats"),
  });
  const etcd = openEtcd({
    hosts: config.etcdHosts,
    ...credentials(config.etcdUser, config.etcdPassword),
    namespace: config.etcdNamespace,
    ...(etcdCallDeadlineMs !== undefined && { callDeadlineMs: etcdCallDeadlineMs }),
    ...tls.etcd,
    ...kit("etcd"),
  });
  const store = lateStore(opening);
  const health = { store: storeHealth, queue: nats.health, coordinator: etcd.health };
  const quiet = tellChanges(health, deps);

  return {
    store,
    opened,
    queue: nats.queue,
    signals: nats.signals,
    coordinator: etcd.coordinator,
    health,
    async [Symbol.asyncDispose]() {
      quiet();
      await nats[Symbol.asyncDispose]();
      await etcd[Symbol.asyncDispose]();
      await store[Symbol.asyncDispose]();
    },
  };
}

function credentials(user: string | undefined, password: string | undefined) {
  return user === undefined || password === undefined ? {} : { credentials: { user, password } };
}

/** Read all together, before anything is opened. */
function tlsOf(config: BackendConfig) {
  const of = (backend: "postgres" | "nats" | "etcd") => {
    const tls = readTlsFiles({
      ca: config[`${backend}TlsCa`],
      cert: config[`${backend}TlsCert`],
      key: config[`${backend}TlsKey`],
    });
    return tls === undefined ? {} : { tls };
  };
  return { postgres: of("postgres"), nats: of("nats"), etcd: of("etcd") };
}

/** Logs what the process waits for, at the start and later. Returns how to stop. */
function tellChanges(health: Backends["health"], { clock, log }: BackendDeps): () => void {
  const stops = Object.entries(health).map(([dependency, signal]) => {
    const waits = () => log.warn("waiting for a dependency that does not answer", { dependency });
    const cancel = clock.timer(patienceMs, () => {
      if (!signal.isUp) waits();
    });
    const stop = signal.watch((isUp) => (isUp ? log.info("a dependency answers", { dependency }) : waits()));
    return () => {
      cancel();
      stop();
    };
  });
  return () => {
    for (const stop of stops) stop();
  };
}
