import { AppError } from "@sluice/core";
import { eventually } from "@sluice/core/testing";
import { AgentServiceService, addApi, apiClient } from "@sluice/protocol";
import { expect, test } from "vitest";
import { grpcServer, hostAndPort } from "./grpc-server.ts";

/** Serves a stream that tells that it is open and then waits for its caller. */
function open(options: { port?: number; callsMs?: number } = {}) {
  return grpcServer({ host: "127.0.0.1", port: 0, ...options }, (server) =>
    addApi(server, AgentServiceService, {
      async *attach(_frames, { signal }) {
        yield { frame: undefined };
        await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
      },
    }),
  );
}

test("it ends within its time although a stream is open", async () => {
  const server = await open({ callsMs: 50 });
  const client = apiClient(AgentServiceService, server.address);
  const controller = new AbortController();
  const never = new ReadableStream<never>();
  const answers = client.api.attach(never, controller)[Symbol.asyncIterator]();
  expect((await answers.next()).done).toBe(false);
  const ended = answers.next();
  ended.catch(() => undefined);
  await server[Symbol.asyncDispose]();
  await expect(ended).rejects.toBeInstanceOf(AppError);
  client.close();
});

test("one that leaves finishes its calls and sends the next ones elsewhere", async () => {
  await using staying = await open({ callsMs: 50 });
  const leaving = await open({ callsMs: 50 });
  const client = apiClient(AgentServiceService, `ipv4:${leaving.address},${staying.address}`);
  const call = () => client.api.attach(new ReadableStream<never>(), new AbortController())[Symbol.asyncIterator]();
  const first = call();
  expect((await first.next()).done).toBe(false);

  leaving.leave();
  // One that was sent before the caller heard of it is refused; callers repeat it.
  const second = await eventually(async () => {
    const answers = call();
    return (await answers.next().catch(() => undefined)) && answers;
  });

  const ends = first.next().catch(() => "ends");
  expect(await Promise.race([ends, second.return?.()])).not.toBe("ends");
  await leaving[Symbol.asyncDispose]();
  expect(await ends).toBe("ends");
  client.close();
});

test("a port that is taken is a typed error", async () => {
  await using server = await open();
  await expect(open({ port: server.port })).rejects.toMatchObject({ reason: "ADDRESS_UNAVAILABLE" });
});

test("an IPv6 address is written in brackets", () => {
  expect([hostAndPort("::1", 1), hostAndPort("db", 2)]).toEqual(["[::1]:1", "db:2"]);
});
