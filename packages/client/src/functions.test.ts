import { expect, test } from "vitest";
import { connect } from "./connect.ts";
import { AlreadyExists, NotFound } from "./errors.ts";
import { startFakeServer } from "./testing/index.ts";

const settings = {
  runtime: "nodejs20",
  handler: "index.handler",
  environment: { A: "1" },
  initializer: { handler: "index.start" },
  maxAsyncRetryAttempts: 0,
};
const codeZip = Buffer.from("zip");

test("a function keeps its settings through create, update, get, list and delete", async () => {
  await using server = await startFakeServer();
  await using client = connect({ address: server.address });

  const created = await client.functions.create({ name: "f", settings, codeZip });
  expect(created.settings).toMatchObject({ ...settings, initializer: { handler: "index.start" } });
  expect(created.settings).not.toHaveProperty("preStop");
  await expect(client.functions.create({ name: "f", settings, codeZip })).rejects.toBeInstanceOf(AlreadyExists);

  const updated = await client.functions.update({ name: "f", settings: { memoryMb: 64 } });
  expect(updated.settings).toMatchObject({ runtime: "nodejs20", memoryMb: 64, environment: { A: "1" } });
  expect(updated.codeSha256).toBe(created.codeSha256);

  const names: string[] = [];
  for await (const found of client.functions.list()) names.push(found.name);
  expect(names).toEqual(["f"]);

  await client.functions.delete("f");
  await expect(client.functions.get("f")).rejects.toBeInstanceOf(NotFound);
});

test("a deployment creates, changes only what differs, and leaves alone what is the same", async () => {
  await using server = await startFakeServer();
  await using client = connect({ address: server.address });
  const deploy = (change: object) => client.functions.deploy({ name: "f", settings, codeZip, ...change });

  expect(await deploy({})).toMatchObject({ outcome: "created", function: { revision: 1 } });
  expect(await deploy({})).toMatchObject({ outcome: "unchanged", function: { revision: 1 } });
  expect(await deploy({ codeZip: Buffer.from("new") })).toMatchObject({
    outcome: "updated",
    function: { revision: 2 },
  });
  const last = await deploy({ codeZip: Buffer.from("new"), settings: { ...settings, timeoutMs: 5 } });
  expect(last).toMatchObject({ outcome: "updated", function: { revision: 3, settings: { timeoutMs: 5 } } });
});

test("a zip larger than gRPC's usual limit arrives", async () => {
  await using server = await startFakeServer();
  await using client = connect({ address: server.address });

  const created = await client.functions.create({ name: "f", settings, codeZip: Buffer.alloc(6 * 1024 * 1024) });

  expect(created.codeBytes).toBe(6 * 1024 * 1024);
});
