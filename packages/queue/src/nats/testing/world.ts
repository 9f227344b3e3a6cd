// Drivers on real servers, and a second connection that does to the servers what operators and accidents do.
import { eventually, seededRandom } from "@sluice/core/testing";
import { silentLogger, systemClock } from "@sluice/runtime";
import type { Backend } from "@sluice/testbed";
import { connect, type JetStreamManager, type NatsConnection } from "nats";
import { Registry } from "prom-client";
import type { QueueUnderTest } from "../../conformance.ts";
import { type Nats, type NatsOptions, openNats } from "../../nats.ts";
import { streamName } from "../subjects.ts";

/** A driver and what it has counted. */
export interface Driver extends Nats {
  readonly registry: Registry;
  /** The sum over all labels, or over those that match. */
  count(metric: string, labels?: Readonly<Record<string, string>>): Promise<number>;
}

export type DriverOptions = Partial<Omit<NatsOptions, "servers" | "registry">>;

let drivers = 0;

/** Returns at once, as `openNats` does. */
export function openDriver(servers: readonly Pick<Backend, "address">[], options: DriverOptions = {}): Driver {
  const registry = new Registry();
  const nats = openNats({
    servers: servers.map(({ address }) => address),
    clock: systemClock,
    random: seededRandom(++drivers),
    log: silentLogger,
    registry,
    ...options,
  });
  return {
    ...nats,
    registry,
    async count(metric, labels = {}) {
      const found = (await registry.getMetricsAsJSON()).find(({ name }) => name === `sluice_nats_${metric}`);
      if (found === undefined) throw new Error(`no such metric: ${metric}`);
      return found.values
        .filter((value) => Object.entries(labels).every(([name, text]) => value.labels[name] === text))
        .reduce((sum, { value }) => sum + value, 0);
    },
  };
}

export async function untilUp(...drivers: readonly Driver[]): Promise<void> {
  for (const { health } of drivers) await eventually(() => health.isUp, { timeoutMs: 30_000 });
}

export interface Meddler extends AsyncDisposable {
  readonly connection: NatsConnection;
  readonly manager: JetStreamManager;
  deleteStream(): Promise<void>;
  /** Messages that the stream holds. */
  stored(): Promise<number>;
}

export async function openMeddler(server: Pick<Backend, "address">): Promise<Meddler> {
  const connection = await connect({ servers: server.address, maxReconnectAttempts: -1, reconnectTimeWait: 100 });
  const manager = await connection.jetstreamManager({ checkAPI: false, timeout: 5_000 });
  return {
    connection,
    manager,
    async deleteStream() {
      await manager.streams.delete(streamName);
    },
    async stored() {
      return (await manager.streams.info(streamName)).state.messages;
    },
    [Symbol.asyncDispose]: () => connection.close(),
  };
}

/** An empty queue on the server, for the conformance suite. */
export async function openWorld(server: Backend, options: DriverOptions = {}): Promise<QueueUnderTest & Driver> {
  await using meddler = await openMeddler(server);
  await meddler.deleteStream().catch(() => undefined);
  const ackWaitMs = 1_500;
  const driver = openDriver([server], { ackWaitMs, ...options });
  await untilUp(driver);
  return { ...driver, ackWaitMs, pass: (ms) => systemClock.sleep(ms) };
}
