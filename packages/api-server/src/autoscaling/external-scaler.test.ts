// As KEDA calls it: over gRPC, with a client made from the protocol alone.
import { fileURLToPath } from "node:url";
import {
  type ClientReadableStream,
  credentials,
  type GrpcObject,
  loadPackageDefinition,
  type ServiceClientConstructor,
  type ServiceError,
} from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import type { Coordinator, Lease } from "@sluice/coordination";
import { writeSlots } from "@sluice/coordination";
import { createMemoryCoordinator } from "@sluice/coordination/memory";
import { AppError } from "@sluice/core";
import { FakeClock } from "@sluice/core/testing";
import { addApi, ExternalScalerService } from "@sluice/protocol";
import { grpcServer } from "@sluice/runtime";
import type { AgentRecord } from "@sluice/store";
import { expect, onTestFinished, test } from "vitest";
import { createExternalScaler } from "./external-scaler.ts";

interface Client {
  [method: string]: (request: object, done: (error: ServiceError | null, answer: unknown) => void) => unknown;
}

async function startScaler() {
  const clock = new FakeClock();
  const memory = createMemoryCoordinator({ clock });
  const lease = await memory.grant(3_600_000);
  let isAway = false;
  const agents: Pick<AgentRecord, "slots">[] = [];
  const coordinator: Coordinator = {
    ...memory,
    list: async (prefix) => {
      if (isAway) throw new AppError("unavailable", "COORDINATOR_UNAVAILABLE", "etcd does not answer");
      return memory.list(prefix);
    },
  };
  const store = { agents: { list: async () => agents } } as unknown as Parameters<
    typeof createExternalScaler
  >[0]["store"];
  const api = createExternalScaler({ clock, coordinator, store });
  const server = await grpcServer({ host: "127.0.0.1", port: 0 }, (grpc) => addApi(grpc, ExternalScalerService, api));
  const proto = fileURLToPath(new URL("../../../../proto/externalscaler/externalscaler.proto", import.meta.url));
  const loaded = loadPackageDefinition(loadSync(proto, { keepCase: true, longs: Number, defaults: true }));
  const Scaler = (loaded["externalscaler"] as GrpcObject)["ExternalScaler"] as ServiceClientConstructor;
  const client = new Scaler(server.address, credentials.createInsecure());
  onTestFinished(async () => {
    client.close();
    await server[Symbol.asyncDispose]();
    await memory[Symbol.asyncDispose]();
  });
  const call = (method: string, request: object) =>
    new Promise<unknown>((resolve, reject) =>
      (client as unknown as Client)[method]?.(request, (error, answer) => (error ? reject(error) : resolve(answer))),
    );
  return {
    ...{ clock, agents, call },
    say: (memberId: string, wanted: number, running: number) => say(memory, lease, { memberId, wanted, running }),
    stream: () =>
      (
        client as unknown as { StreamIsActive(object: object): ClientReadableStream<{ result: boolean }> }
      ).StreamIsActive(object()),
    goAway() {
      isAway = true;
    },
  };
}

const say = (coordinator: Coordinator, lease: Lease, report: Parameters<typeof writeSlots>[1]) =>
  writeSlots(coordinator, report, lease);
const object = (scalerMetadata: Record<string, string> = {}) => ({
  name: "agents",
  namespace: "sluice",
  scalerMetadata,
});
const metric = "sluice_agent_slots_wanted";

test("the sum of what the schedulers want is the value, with the headroom that is asked for", async () => {
  const { call, say } = await startScaler();
  await say("s1", 100, 60);
  await say("s2", 50, 0);
  expect(await call("GetMetrics", { scaledObjectRef: object(), metricName: metric })).toEqual({
    metricValues: [{ metricName: metric, metricValue: 150, metricValueFloat: 150 }],
  });
  const ahead = { scaledObjectRef: object({ headroomPercent: "25" }), metricName: metric };
  expect(await call("GetMetrics", ahead)).toMatchObject({ metricValues: [{ metricValueFloat: 187.5 }] });
});

test("one replica is for the slots of an agent: as the trigger says, else as the agents have, else 64", async () => {
  const { agents, call } = await startScaler();
  const target = async (metadata?: Record<string, string>) =>
    ((await call("GetMetricSpec", object(metadata))) as { metricSpecs: { targetSizeFloat: number }[] }).metricSpecs[0]
      ?.targetSizeFloat;
  expect(await target()).toBe(64);
  agents.push({ slots: 10 }, { slots: 20 });
  expect(await target()).toBe(15);
  expect(await target({ slotsPerAgent: "32", scalerAddress: "sluice:50053" })).toBe(32);
});

test("it is active while something is wanted or runs, and a stream says so when it changes", async () => {
  const { clock, call, say, stream } = await startScaler();
  expect(await call("IsActive", object())).toEqual({ result: false });
  const answers: boolean[] = [];
  const told = stream();
  told.on("error", () => undefined);
  const next = () =>
    new Promise<void>((resolve) =>
      told.once("data", ({ result }: { result: boolean }) => {
        answers.push(result);
        resolve();
      }),
    );
  await next();
  await say("s1", 0, 1);
  const active = next();
  await clock.advance(1_000);
  await active;
  expect(await call("IsActive", object())).toEqual({ result: true });
  await say("s1", 0, 0);
  const idle = next();
  await clock.advance(1_000);
  await idle;
  expect(answers).toEqual([false, true, false]);
  told.cancel();
});

test("what cannot be meant is refused, and an outage of etcd is no zero", async () => {
  const { clock, call, goAway } = await startScaler();
  const refused = call("GetMetricSpec", object({ slotsPerAgent: "many" }));
  await expect(refused).rejects.toMatchObject({ code: 3, details: expect.stringContaining("slotsPerAgent") });
  await expect(call("GetMetrics", { scaledObjectRef: object(), metricName: "other" })).rejects.toMatchObject({
    code: 3,
  });
  goAway();
  await clock.advance(1_000);
  await expect(call("GetMetrics", { scaledObjectRef: object(), metricName: metric })).rejects.toMatchObject({
    code: 14,
  });
});
