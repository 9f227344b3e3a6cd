import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { eventually } from "@sluice/core/testing";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Faults } from "./faults.ts";
import { openerOf } from "./peer.ts";
import { openProxy, type TcpProxy } from "./proxy.ts";

// A server that answers everything by itself, and a proxy before it.
let server: Server;
let serverSockets: Socket[];
let heard: string;
let faults: Faults;
let proxy: TcpProxy;
const clients: Socket[] = [];

beforeEach(async () => {
  serverSockets = [];
  heard = "";
  server = createServer((socket) => {
    serverSockets.push(socket);
    socket.on("error", () => undefined);
    socket.on("data", (bytes) => {
      heard += String(bytes);
      socket.write(bytes);
    });
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const bound = server.address();
  const port = typeof bound === "object" && bound ? bound.port : 0;
  faults = new Faults();
  proxy = await openProxy({ host: "127.0.0.1", target: () => ({ host: "127.0.0.1", port }), faultsOf: () => faults });
});
afterEach(() => {
  for (const socket of [...clients.splice(0), ...serverSockets]) socket.destroy();
  proxy[Symbol.dispose]();
  server.close();
});

function open() {
  const socket = connect({ host: proxy.host, port: proxy.port, noDelay: true });
  clients.push(socket);
  const client = { socket, text: "", ended: undefined as string | undefined };
  socket.on("data", (bytes) => {
    client.text += String(bytes);
  });
  socket.on("error", (error: NodeJS.ErrnoException) => {
    client.ended = error.code;
  });
  socket.on("close", () => {
    client.ended ??= "closed";
  });
  return client;
}
const lasts = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

test("without faults what is sent arrives, both ways, and so does the end of each side", async () => {
  const client = open();
  client.socket.end("a");
  await eventually(() => client.ended === "closed");
  expect([heard, client.text]).toEqual(["a", "a"]);
  await eventually(() => faults.size === 0);
});

test("cut both ways, nothing arrives and nothing ends; healed, everything arrives late", async () => {
  const client = open();
  client.socket.write("a");
  await eventually(() => client.text === "a");
  faults.cut();
  client.socket.write("b");
  serverSockets[0]?.end("from the server");
  await lasts(100);
  expect([heard, client.text, client.ended]).toEqual(["a", "a", undefined]);
  faults.heal();
  await eventually(() => heard === "ab" && client.text === "afrom the server");
});

test("cut there, answers still come; cut back, requests still arrive", async () => {
  const client = open();
  client.socket.write("a");
  await eventually(() => client.text === "a");
  faults.cut("there");
  client.socket.write("b");
  serverSockets[0]?.write("news");
  await eventually(() => client.text === "anews");
  expect(heard).toBe("a");
  faults.heal();
  await eventually(() => client.text === "anewsb");
  faults.cut("back");
  client.socket.write("c");
  await eventually(() => heard === "abc");
  await lasts(50);
  expect(client.text).toBe("anewsb");
});

test("a connection that is opened while its way is cut is taken, hears nothing, and is reset in the end", async () => {
  faults.cut();
  const client = open();
  await once(client.socket, "connect");
  client.socket.write("a");
  await lasts(100);
  expect([client.ended, serverSockets.length]).toEqual([undefined, 0]);
  faults.heal();
  await eventually(() => client.ended === "ECONNRESET");
  expect(heard).toBe("");
});

test("a reset of the server is not seen before the way back is healed", async () => {
  const client = open();
  client.socket.write("a");
  await eventually(() => client.text === "a");
  faults.cut("back");
  serverSockets[0]?.resetAndDestroy();
  client.socket.write("b");
  await lasts(100);
  expect(client.ended).toBeUndefined();
  faults.heal();
  await eventually(() => client.ended === "ECONNRESET");
});

test("a reset ends every open connection, and none that is opened later", async () => {
  const [first, second] = [open(), open()];
  for (const { socket } of [first, second]) socket.write("a");
  await eventually(() => first.text === "a" && second.text === "a");
  faults.reset();
  await eventually(() => first.ended === "ECONNRESET" && second.ended === "ECONNRESET");
  const third = open();
  third.socket.write("b");
  await eventually(() => third.text === "b");
});

test("what a fault keeps waiting is counted, and nothing else is", async () => {
  const client = open();
  client.socket.write("a");
  await eventually(() => client.text === "a");
  expect(faults.held).toBe(0);
  faults.cut("there");
  client.socket.write("b");
  await eventually(() => faults.held === 1);
  open();
  await eventually(() => faults.held === 2);
  faults.heal();
  await eventually(() => client.text === "ab");
  expect(faults.held).toBe(2);
  faults.cut("back");
  client.socket.write("c");
  await eventually(() => faults.held === 3);
  faults.heal();
  faults.delay(1);
  client.socket.write("d");
  await eventually(() => client.text === "abcd");
  expect(faults.held).toBe(5);
  expect(faults.reset()).toBe(1);
});

test("who is refused by the target is reset", async () => {
  server.close();
  await once(server, "close");
  const client = open();
  await eventually(() => client.ended === "ECONNRESET");
});

test("a delay is added to each way, keeps the order, and does not hold back what comes behind it", async () => {
  const client = open();
  client.socket.write("a");
  await eventually(() => client.text === "a");
  faults.delay(100);
  const from = performance.now();
  const letters = "bcdefghijklmnopqrstu";
  for (const letter of letters) {
    client.socket.write(letter);
    await lasts(20);
  }
  await eventually(() => client.text === `a${letters}`);
  const tookMs = performance.now() - from;
  expect(tookMs).toBeGreaterThan(500);
  // One after the other, they would take two seconds on one way alone.
  expect(tookMs).toBeLessThan(1_900);
});

test("a limit holds for all connections of the link together", async () => {
  const [first, second] = [open(), open()];
  for (const { socket } of [first, second]) socket.write("a");
  await eventually(() => first.text === "a" && second.text === "a");
  faults.limit(100_000);
  const from = performance.now();
  for (const { socket } of [first, second]) socket.write("x".repeat(20_000));
  await eventually(() => first.text.length + second.text.length === 40_002);
  expect(performance.now() - from).toBeGreaterThan(350);
});

test("a server that does not read stops its client, not the memory of the proxy", async () => {
  const client = open();
  client.socket.write("a");
  await eventually(() => client.text === "a");
  serverSockets[0]?.pause();
  const block = Buffer.alloc(2 ** 20, "x");
  let sent = 0;
  while (sent < 200 && client.socket.writableLength < 4 * block.length) {
    client.socket.write(block);
    sent += 1;
    await lasts(2);
  }
  expect(sent).toBeLessThan(200);
});

test("a connection is known by the process that has opened it, where the system tells", async () => {
  const client = open();
  client.socket.write("a");
  await eventually(() => client.text === "a");
  const [accepted] = serverSockets;
  // Its other end is the proxy, which is this process as well.
  const opener = process.platform === "linux" ? process.pid : undefined;
  expect(openerOf(accepted as Socket, [1, process.pid])).toBe(opener);
  expect(openerOf(accepted as Socket, [1])).toBeUndefined();
});
