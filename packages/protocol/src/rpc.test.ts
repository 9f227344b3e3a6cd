import {
  credentials,
  Metadata,
  makeGenericClientConstructor,
  Server,
  ServerCredentials,
  type ServiceDefinition,
} from "@grpc/grpc-js";
import { expect, test } from "vitest";
import { type ApiUnderTest, describeApi, exampleApi, type Seen } from "./conformance.ts";
import { addApi, apiClient, serverOptions, TaskServiceService } from "./index.ts";

const nothingSeen = (): Seen => ({ headers: undefined, aborted: [], batches: [] });

async function openGrpc(): Promise<ApiUnderTest & { readonly address: string }> {
  const seen = nothingSeen();
  const server = new Server(serverOptions);
  addApi(server, TaskServiceService, exampleApi(seen), { messageBytesMax: { getTask: 1_000 } });
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  const client = apiClient(TaskServiceService, `127.0.0.1:${port}`);
  return {
    api: client.api,
    seen,
    address: `127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      client.close();
      server.forceShutdown();
    },
  };
}

describeApi("in process", async () => {
  const seen = nothingSeen();
  return { api: exampleApi(seen), seen, [Symbol.asyncDispose]: () => Promise.resolve() };
});
describeApi("over gRPC", openGrpc);

test("over gRPC, a bug says nothing of the inside", async () => {
  await using subject = await openGrpc();
  const call = subject.api.getTask({ function: "bug", taskId: "t" }, { signal: new AbortController().signal });
  await expect(call).rejects.toMatchObject({ code: "internal", message: expect.not.stringContaining("secret") });
});

test("over gRPC, a unary call is given up at its time-out and at its abort, and the handler hears of it", async () => {
  await using subject = await openGrpc();
  const request = { function: "wait", taskId: "t" };
  const late = subject.api.getTask(request, { signal: new AbortController().signal, timeoutMs: 50 });
  await expect(late).rejects.toMatchObject({ code: "timeout" });
  const controller = new AbortController();
  const given = subject.api.getTask(request, { signal: controller.signal });
  controller.abort();
  await expect(given).rejects.toMatchObject({ code: "cancelled" });
  await expect.poll(() => subject.seen.aborted.length).toBeGreaterThan(0);
});

test("an oversize message and one that cannot be decoded are the caller's faults", async () => {
  await using subject = await openGrpc();
  const large = subject.api.getTask(
    { function: "f".repeat(2_000), taskId: "t" },
    { signal: new AbortController().signal },
  );
  await expect(large).rejects.toMatchObject({ code: "exhausted", reason: "MESSAGE_TOO_LARGE" });
  const Raw = makeGenericClientConstructor(
    {
      get: { ...TaskServiceService.getTask, requestSerialize: (bytes: Buffer) => bytes },
    } as unknown as ServiceDefinition,
    "Raw",
  );
  const raw = new Raw(subject.address, credentials.createInsecure());
  const failure = await new Promise<Error>((resolve) => {
    const get = raw["get"] as unknown as (bytes: Buffer, metadata: Metadata, done: (error: Error) => void) => void;
    get.call(raw, Buffer.from([0xff, 0xff, 0xff]), new Metadata(), resolve);
  });
  raw.close();
  expect(failure.message).toContain("INVALID_ARGUMENT");
});

test("nobody at the address is told as unavailable", async () => {
  const client = apiClient(TaskServiceService, "127.0.0.1:1");
  const call = client.api.getTask({ function: "f", taskId: "t" }, { signal: new AbortController().signal });
  await expect(call).rejects.toMatchObject({ code: "unavailable" });
  client.close();
});
