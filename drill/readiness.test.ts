import { once } from "node:events";
import { createServer } from "node:http";
import { Server, ServerCredentials, type sendUnaryData } from "@grpc/grpc-js";
import { expect, test } from "vitest";
import { type Answer, probesOf, watchLeaving } from "./readiness.ts";

/** What is concluded from these answers, each of which takes so long; the process is gone before the last one. */
async function farewellOf(answers: readonly Answer[], eachMs = 10) {
  let now = 0;
  let asked = 0;
  let leave: () => void = () => undefined;
  const gone = new Promise<void>((resolve) => {
    leave = resolve;
  });
  const probe = {
    name: "/readyz",
    async ask() {
      now += eachMs;
      asked += 1;
      if (asked >= answers.length - 1) leave();
      return answers[asked - 1] ?? "silent";
    },
  };
  const [farewell] = await watchLeaving({ probes: [probe], gone, sleep: async () => undefined, now: () => now });
  return farewell?.said;
}

test("who says that it is not ready before it refuses has told", async () => {
  expect(await farewellOf(["ready", "ready", "not ready", "refused"])).toBe("not ready");
  expect(await farewellOf(["silent", "not ready"])).toBe("not ready");
});

test("who is ready until it refuses has not", async () => {
  expect(await farewellOf(["ready", "ready", "refused"])).toBe("refused");
  expect(await farewellOf(["ready", "refused", "not ready"])).toBe("refused");
});

test("nothing is concluded from what nobody saw", async () => {
  expect(await farewellOf(["refused"])).toBe("unseen");
  expect(await farewellOf(["ready", "silent", "refused"], 150)).toBe("unseen");
  expect(await farewellOf(["ready", "silent", "silent"])).toBe("unseen");
});

test("an api-server is asked in both ways, and says what it is", async () => {
  let isReady = true;
  const http = createServer((_request, response) => void response.writeHead(isReady ? 200 : 503).end());
  await once(http.listen(0, "127.0.0.1"), "listening");
  const bound = http.address();
  const httpAddress = `127.0.0.1:${typeof bound === "object" ? bound?.port : 0}`;
  const grpc = new Server();
  const bytes = (value: Buffer) => value;
  const codec = {
    requestSerialize: bytes,
    requestDeserialize: bytes,
    responseSerialize: bytes,
    responseDeserialize: bytes,
  };
  const check = { path: "/grpc.health.v1.Health/Check", requestStream: false, responseStream: false, ...codec };
  grpc.addService(
    { check },
    // SERVING and NOT_SERVING.
    { check: (_call: unknown, answer: sendUnaryData<Buffer>) => answer(null, Buffer.from([8, isReady ? 1 : 2])) },
  );
  const port = await new Promise<number>((resolve, reject) =>
    grpc.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, found) =>
      error ? reject(error) : resolve(found),
    ),
  );
  const probes = probesOf({ kind: "api-server", httpAddress, address: `127.0.0.1:${port}` });
  const askAll = async () =>
    Object.fromEntries(await Promise.all(probes.map(async ({ name, ask }) => [name, await ask()])));

  expect(await askAll()).toEqual({ "/readyz": "ready", "gRPC health": "ready" });
  isReady = false;
  expect(await askAll()).toEqual({ "/readyz": "not ready", "gRPC health": "not ready" });
  http.close();
  http.closeAllConnections();
  grpc.forceShutdown();
  expect(await askAll()).toEqual({ "/readyz": "refused", "gRPC health": "refused" });
  expect(probesOf({ kind: "agent", httpAddress, address: httpAddress }).map(({ name }) => name)).toEqual(["/readyz"]);
});
