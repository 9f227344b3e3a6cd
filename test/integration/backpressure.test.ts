// An account that fills a queue is refused, with a delay, while another one in the same queue loses nothing: api-server and
// scheduler as they are, over gRPC, on the embedded drivers. There is no agent, so nothing leaves the queue.
import { createAccessKey, createApiServer, defaultApiServerConfig, serveApi } from "@sluice/api-server";
import { connect, Rejected, type SluiceClient } from "@sluice/client";
import { readAdmission } from "@sluice/coordination";
import { createMemoryCoordinator } from "@sluice/coordination/memory";
import { AccountId, AppError } from "@sluice/core";
import { defaultSolveConfig } from "@sluice/load-balancer";
import { createMemoryQueue, createMemorySignals } from "@sluice/queue/memory";
import { systemClock as clock, grpcServer, httpApiServer, systemRandom as random, silentLogger } from "@sluice/runtime";
import { createScheduler, defaultSchedulerConfig } from "@sluice/scheduler";
import type { Store } from "@sluice/store";
import { openPglite } from "@sluice/store/pglite";
import { Registry } from "prom-client";
import { afterAll, beforeAll, expect, test, vi } from "vitest";

const masterKey = Buffer.alloc(32, 7);
/** Tasks that may wait before anybody is refused. */
const backlogMin = 400;
const eventually = { timeout: 60_000, interval: 100 };

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
  const overHttp = await world.refusedOverHttp();
  expect(overHttp.status).toBe(429);
  expect(await overHttp.json()).toMatchObject({ Code: "ResourceExhausted", Reason: "THROTTLED" });
  expect(Number(overHttp.headers.get("retry-after"))).toBeGreaterThanOrEqual(48);
  expect(Number(overHttp.headers.get("retry-after"))).toBeLessThanOrEqual(72);
  // What the noisy one has may be read, whatever is refused.
  expect((await noisy.listPage({ pageSize: 1 })).tasks).toHaveLength(1);
});

test("without the throttle the same flood is taken", async () => {
  await using world = await startWorld({ throttle: false });
  expect(await floodUntil(world.noisy, (error) => error.reason === "THROTTLED")).toBeUndefined();
});

test("what was submitted one by one counts beyond what memory holds: who sends most is refused", async () => {
  await using world = await startWorld({ throttle: true, inMemory: backlogMin / 2 });
  const refusal = await submitOneByOne(world.noisy);
  expect(refusal?.message).toMatch(/its fair share now is .+ tasks wait in its queue/);
  expect(await countOf(world.noisy)).toBeGreaterThanOrEqual(backlogMin);
  await world.good.submit({ function: "f" });
});

test("what was submitted one by one counts beyond what memory holds: a full queue takes nothing", async () => {
  await using world = await startWorld({ throttle: false, inMemory: backlogMin / 2, queueBacklogMax: backlogMin });
  const refusal = await submitOneByOne(world.noisy);
  expect(refusal?.message).toMatch(/its queue is full: \d+ tasks wait there, at most 400 may/);
  // Not only what this api-server has let through since it heard of the backlog.
  await vi.waitFor(async () => expect(await world.waiting()).toBeGreaterThanOrEqual(backlogMin), eventually);
  // The api-server hears of it a moment after us.
  const refused = () => expect(world.good.submit({ function: "f" })).rejects.toMatchObject({ reason: "THROTTLED" });
  await vi.waitFor(refused, eventually);
});

/** Of two functions, so that none has the queue to itself; until one is refused. */
async function submitOneByOne(client: SluiceClient): Promise<Rejected | undefined> {
  let refusal: Rejected | undefined;
  const submitOf = async (name: string) => {
    // A fast machine takes many before the load-balancer has told of the backlog: it ends with the test, if never by a refusal.
    while (refusal === undefined) {
      try {
        await client.submit({ function: name });
      } catch (cause) {
        if (!(cause instanceof Rejected)) throw cause;
        refusal = cause;
      }
    }
  };
  await Promise.all(["f", "g"].map(submitOf));
  return refusal;
}

async function countOf(client: SluiceClient): Promise<number> {
  let count = 0;
  for await (const _task of client.list()) count += 1;
  return count;
}

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

interface WorldOptions {
  readonly throttle: boolean;
  /** Tasks of a block of their own that the scheduler has in memory at most. Default: more than there are. */
  readonly inMemory?: number;
  readonly queueBacklogMax?: number;
}

async function startWorld({ throttle, inMemory, queueBacklogMax }: WorldOptions) {
  worlds += 1;
  const queues = [`q${worlds}`];
  const coordinator = createMemoryCoordinator({ clock });
  const signals = createMemorySignals();
  const queue = createMemoryQueue({ clock });
  const shared = { clock, random, log: silentLogger, store, queue, signals, coordinator };
  const apiServer = createApiServer({
    ...shared,
    registry: new Registry(),
    config: {
      ...defaultApiServerConfig,
      joinTokens: ["a join token"],
      throttle,
      ...(queueBacklogMax && { queueBacklogMax }),
    },
    masterKey,
    queues,
    inspectZip: async (zip) => ({ files: 1, bytes: zip.length }),
  });
  const scheduler = createScheduler({
    ...shared,
    registry: new Registry(),
    config: {
      ...defaultSchedulerConfig,
      schedulerId: `s${worlds}`,
      ...(inMemory && { lookAheadBytesMax: 1_000 * inMemory }),
    },
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
  const http = await httpApiServer({ host: "127.0.0.1", port: 0 }, apiServer.fc);
  const clientOf = async (name: string) => {
    const accountId = AccountId(`${name}-${worlds}`);
    const { keyId, secret } = await createAccessKey(store, masterKey, { accountId });
    credentials.set(name, `Bearer ${keyId}:${secret}`);
    const client = connect({ address: grpc.address, accessKeyId: keyId, accessKeySecret: secret });
    const settings = { runtime: "nodejs20", handler: "index.handler" };
    for (const name of ["f", "g"]) {
      await client.functions.deploy({ name, settings, codeZip: Buffer.from(`the code of ${name}`) });
    }
    return client;
  };
  const credentials = new Map<string, string>();
  const [noisy, good] = [await clientOf("noisy"), await clientOf("good")];
  return {
    noisy,
    good,
    /** As the load-balancer tells it. */
    waiting: async () => (await readAdmission(coordinator)).admission?.queues.get(queues[0] ?? "")?.waiting ?? 0,
    /** The first answer to the noisy one over HTTP that is no acceptance; of a hundred at most 98 are refused. */
    async refusedOverHttp(): Promise<Response> {
      const headers = { authorization: credentials.get("noisy") ?? "", "x-fc-invocation-type": "Async" };
      const url = `${http.url}/2023-03-30/functions/f/invocations`;
      for (;;) {
        const answer = await fetch(url, { method: "POST", headers });
        if (answer.status !== 202) return answer;
      }
    },
    async [Symbol.asyncDispose]() {
      await http[Symbol.asyncDispose]();
      await Promise.all([noisy.close(), good.close()]);
      stop.abort();
      await Promise.all(running);
      await grpc[Symbol.asyncDispose]();
    },
  };
}
