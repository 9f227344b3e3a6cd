// What is left when everything accepted is final: looked for until nothing is that should be gone, or the time is over.
import { readFileSync } from "node:fs";
import { backendSettings } from "@sluice/backends/settings";
import { leftIn, type Rest } from "@sluice/checkers";
import type { Cluster } from "@sluice/cluster";
import type { Coordinator } from "@sluice/coordination";
import { openEtcd } from "@sluice/coordination/etcd";
import { heldKeys } from "@sluice/coordination/testing";
import { silentLogger, systemClock, systemRandom } from "@sluice/runtime";
import type { Store } from "@sluice/store";
import { connect, type NatsConnection } from "nats";
import { Registry } from "prom-client";
import { type InstanceFacts, leftInJetStream, leftInstances, type StreamFacts } from "../evidence/rest.ts";
import { ledgerNow } from "./clock.ts";
import { pause } from "./pace.ts";

export interface RestSources {
  readonly cluster: Pick<Cluster, "backends" | "services">;
  readonly store: Pick<Store, "lanes">;
  /** Asked at every look. */
  readonly instances: () => Pick<InstanceFacts, "processes" | "executions" | "running">;
  /** Incarnations that live, such as `agent-0/3`; asked at every look. */
  readonly agents: () => readonly string[];
}

const everyMs = 500;

/** After at most `withinMs`. Leases end by themselves, so that what is left then is left for good. Rejects when it cannot be read. */
export async function findRest(sources: RestSources, withinMs: number): Promise<Rest> {
  const { backends } = sources.cluster;
  await using etcd = openEtcd({
    hosts: backends.flatMap(({ kind, url }) => (kind === "etcd" ? [url] : [])),
    namespace: backendSettings.etcdNamespace.default,
    clock: systemClock,
    random: systemRandom,
    log: silentLogger,
    registry: new Registry(),
  });
  const servers = backends.filter(({ kind }) => kind === "nats").map(({ address }) => address);
  // A server that has just come back may refuse for a moment.
  const nats = await connect({ servers, waitOnFirstConnect: true });
  try {
    const endsAt = ledgerNow() + withinMs;
    for (;;) {
      const rest = await look(sources, etcd.coordinator, nats).catch((cause) => {
        if (ledgerNow() > endsAt) throw cause;
        return undefined;
      });
      if (rest && (leftIn(rest).length === 0 || ledgerNow() > endsAt)) return rest;
      await pause(everyMs, new AbortController().signal);
    }
  } finally {
    await nats.close();
  }
}

async function look(
  { cluster, store, instances, agents }: RestSources,
  coordinator: Pick<Coordinator, "list">,
  nats: NatsConnection,
): Promise<Rest> {
  // A consumer goes before the claim of its owner does, and is made after it.
  const streams = await streamsOf(nats);
  const entries = await coordinator.list("/");
  const floors = await store.lanes.allFloors();
  const running = cluster.services.filter(({ pid }) => pid !== undefined);
  const schedulers = running.filter(({ kind }) => kind === "scheduler");
  return {
    at: ledgerNow(),
    alive: [...schedulers.flatMap(({ logFile }) => schedulerIdIn(readFileSync(logFile, "utf8")) ?? []), ...agents()],
    found: [
      ...leftInstances({
        ...instances(),
        agents: running.flatMap(({ kind, pid }) => (kind === "agent" && pid !== undefined ? [pid] : [])),
      }),
      ...heldKeys(entries),
      ...leftInJetStream(streams, { entries, floors }),
    ],
  };
}

async function streamsOf(nats: NatsConnection): Promise<StreamFacts[]> {
  const { streams, consumers } = await nats.jetstreamManager();
  const found: StreamFacts[] = [];
  for await (const { config, state } of streams.list()) {
    const names: string[] = [];
    for await (const { name } of consumers.list(config.name)) names.push(name);
    found.push({ name: config.name, messages: state.messages, consumers: names });
  }
  return found;
}

/** Of the life that wrote last; it is another one in each. */
export function schedulerIdIn(log: string): string | undefined {
  return [...log.matchAll(/"schedulerId":"([^"]+)"/g)].at(-1)?.[1];
}
