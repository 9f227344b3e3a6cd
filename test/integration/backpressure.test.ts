// An account that fills a queue is refused, with a delay, while another one in the same queue loses nothing: api-server and
// scheduler as they are, over gRPC, on the embedded drivers. There is no agent, so nothing leaves the queue.
import { createAccessKey, createApiServer, defaultApiServerConfig, serveApi } from "@sluice/api-server";
import { connect, Rejected, type SluiceClient } from "@sluice/client";
import { createMemoryCoordinator } from "@sluice/coordination/memory";
import { AccountId, AppError } from "@sluice/core";
import { defaultSolveConfig } from "@sluice/load-balancer";
import { createMemoryQueue, createMemorySignals } from "@sluice/queue/memory";
import { systemClock as clock, grpcServer, systemRandom as random, silentLogger } from "@sluice/runtime";
import { createScheduler, defaultSchedulerConfig } from "@sluice/scheduler";
import type { Store } from "@sluice/store";
import { openPglite } from "@sluice/store/pglite";
import { Registry } from "prom-client";
import { afterAll, beforeAll, expect, test } from "vitest";

const masterKey = Buffer.alloc(32, 7);
/** Tasks that may wait before anybody is refused. */
const backlogMin = 400;

let store: Store;
beforeAll(async () => {
  store = await openPglite({ dataDir: "memory", inWorker: true });
});
afterAll(async () => {
  await store[Symbol.asyncDispose]();
});

test("an account that fills a queue is told when to come back, and another one loses nothing", async () => {
  await using world = await startWorld({ throttle: true });
  const { noisy, good } = world;

  const refusal = await floodUntil(noisy, (error) => error.reason === "THROTTLED");
  const answers = await Promise.allSettled(Array.from({ length: 20 }, () => good.submit({ function: "f" })));

  expect(refusal).toMatchObject({ code: "rejected", reason: "THROTTLED" });
  expect(refusal?.message).toMatch(/its fair share now is .+ tasks wait in its queue/);
  // Nothing leaves: come back as late as is asked at all, a minute, give or take a fifth.
  expect(refusal?.retryAfterMs).toBeGreaterThanOrEqual(48_000);
  expect(refusal?.retryAfterMs).toBeLessThanOrEqual(72_000);
  expect(answers.filter(({ status }) => status === "rejected")).toEqual([]);
  // What the noisy one has may be read, whatever is refused.
  expect((await noisy.listPage({ pageSize: 1 })).tasks).toHaveLength(1);
});

test("without the throttle the same flood is taken", async () => {
  await using world = await startWorld({ throttle: false });
  expect(await floodUntil(world.noisy, (error) => error.reason === "THROTTLED")).toBeUndefined();
});

/** Submits batches until one of them is refused so, or six times the backlog that is too much is taken. */
async function floodUntil(client: SluiceClient, isWanted: (error: Rejected) => boolean): Promise<Rejected | undefined> {
  for (let batch = 0; batch < 25; batch++) {
    const tasks = Array.from({ length: backlogMin / 4 }, () => client.submit({ function: "f" }));
    const answers = await Promise.allSettled(tasks);
    for (const answer of answers) {
      if (answer.status === "rejected" && answer.reason instanceof Rejected && isWanted(answer.reason)) {
        return answer.reason;
      }
    }
    // As fast as a client that waits a little for its answers.
    await clock.sleep(100);
  }
  return undefined;
}

let worlds = 0;

async function startWorld({ throttle }: { readonly throttle: boolean }) {
  worlds += 1;
  const queues = [`q${worlds}`];
  const coordinator = createMemoryCoordinator({ clock });
  const signals = createMemorySignals();
  const queue = createMemoryQueue({ clock });
  const shared = { clock, random, log: silentLogger, store, queue, signals, coordinator };
  const apiServer = createApiServer({
    ...shared,
    registry: new Registry(),
    config: { ...defaultApiServerConfig, joinTokens: ["a join token"], throttle },
    masterKey,
    queues,
    inspectZip: async (zip) => ({ files: 1, bytes: zip.length }),
  });
  const scheduler = createScheduler({
    ...shared,
    registry: new Registry(),
    config: { ...defaultSchedulerConfig, schedulerId: `s${worlds}` },
    queues,
    // Both count as submitting to it, however much less the one does.
    balancer: { throttle: { ...defaultSolveConfig, backlogMin, aloneShare: 0 } },
    connectAgent: () => {
      throw new AppError("unavailable", "NO_AGENT", "there is none");
    },
  });
  const stop = new AbortController();
  const running = [apiServer.run(stop.signal), scheduler.run(stop.signal)];
  const grpc = await grpcServer({ host: "127.0.0.1", port: 0 }, (server) =>
    serveApi(server, apiServer, { reflection: false }),
  );
  const clientOf = async (name: string) => {
    const accountId = AccountId(`${name}-${worlds}`);
    const { keyId, secret } = await createAccessKey(store, masterKey, { accountId });
    const client = connect({ address: grpc.address, accessKeyId: keyId, accessKeySecret: secret });
    const settings = { runtime: "nodejs20", handler: "index.handler" };
    await client.functions.deploy({ name: "f", settings, codeZip: Buffer.from("the code of f") });
    return client;
  };
  const [noisy, good] = [await clientOf("noisy"), await clientOf("good")];
  return {
    noisy,
    good,
    async [Symbol.asyncDispose]() {
      await Promise.all([noisy.close(), good.close()]);
      stop.abort();
      await Promise.all(running);
      await grpc[Symbol.asyncDispose]();
    },
  };
}
