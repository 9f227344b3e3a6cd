import { startNats } from "@sluice/testbed";
import { afterAll, beforeAll } from "vitest";
import { describeQueue } from "./conformance.ts";
import { openWorld } from "./nats/testing/world.ts";

let servers: Awaited<ReturnType<typeof startNats>> = [];
beforeAll(async () => {
  servers = await startNats();
});
afterAll(async () => {
  for (const server of servers) await server[Symbol.asyncDispose]();
});

describeQueue(
  "on NATS",
  async () => {
    const [server] = servers;
    if (server === undefined) throw new Error("no server was started");
    return openWorld(server);
  },
  { histories: 8 },
);
