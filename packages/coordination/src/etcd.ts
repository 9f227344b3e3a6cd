// The driver of etcd. What etcd and its client library get wrong stays behind this file and `etcd/host.ts`.
import { assert, type Clock, type HealthSignal, type Random, type TlsFiles } from "@sluice/core";
import type { Logger } from "@sluice/runtime";
import type { Registry } from "prom-client";
import { EtcdCoordinator } from "./etcd/coordinator.ts";
import { createEtcdHost } from "./etcd/host.ts";
import { Link } from "./etcd/link.ts";
import { etcdMetrics } from "./etcd/metrics.ts";
import type { Coordinator } from "./index.ts";
import { leaderKey } from "./keys.ts";

export { type EtcdMetrics, etcdMetrics } from "./etcd/metrics.ts";

export interface EtcdOptions {
  /** `host:port` each, with or without `http://` or `https://`. One of them is used at a time, the next when it fails. */
  readonly hosts: readonly string[];
  /** Default: no encryption, unless a host says `https://`. */
  readonly tls?: TlsFiles;
  /** A name and password; client certificates are the better choice. */
  readonly credentials?: { readonly user: string; readonly password: string };
  /** Before every key, so that several systems can share an etcd; default none. */
  readonly namespace?: string;
  /**
   * After which a call is given up, its outcome unknown; default 1.2 s. Should not exceed the deadline of a lease's renewal,
   * so that a renewal can still move on from a host that hangs.
   */
  readonly callDeadlineMs?: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly registry: Registry;
}

export interface Etcd extends AsyncDisposable {
  readonly coordinator: Coordinator;
  /** Down until the first answer. */
  readonly health: HealthSignal;
}

/** Returns at once, also while etcd is away: then calls reject, and it is asked again for ever. */
export function openEtcd(options: EtcdOptions): Etcd {
  const { hosts: addresses, tls, credentials, namespace = "", callDeadlineMs = 1_200, clock, registry } = options;
  assert(addresses.length > 0, "etcd needs at least one host");
  const [random, log, metrics] = [options.random.fork("etcd"), options.log, etcdMetrics(registry)];
  const hosts = addresses.map((address) =>
    createEtcdHost({
      address,
      ...(tls && { tls }),
      ...(credentials && { credentials }),
      loginDeadline: () => clock.now() + callDeadlineMs,
    }),
  );
  const link = new Link({ hosts, callDeadlineMs, clock, random, log, metrics });
  const coordinator = new EtcdCoordinator({
    link,
    namespace,
    watchOpenDeadlineMs: callDeadlineMs,
    clock,
    random,
    metrics,
  });
  const probing = probe({ link, coordinator, clock, random });
  return {
    coordinator,
    health: link.health,
    async [Symbol.asyncDispose]() {
      await coordinator[Symbol.asyncDispose]();
      await probing;
    },
  };
}

/** Without other calls while it is up. */
const probeEveryMs = 5_000;
/** While it is down; with jitter. */
const reconnectEveryMs = 1_000;

interface ProbeDeps {
  readonly link: Link;
  readonly coordinator: Coordinator;
  readonly clock: Clock;
  readonly random: Random;
}

/** Loop: asks when nobody else does, until the link is closed, so that the health signal is never older than this. */
async function probe({ link, coordinator, clock, random }: ProbeDeps): Promise<void> {
  while (!link.closing.aborted) {
    const isDue = !link.health.isUp || clock.monotonic() - link.answeredAt >= probeEveryMs;
    if (isDue) await coordinator.get(leaderKey).catch(() => undefined);
    await clock.sleep((0.5 + random.next() / 2) * reconnectEveryMs, link.closing);
  }
}
