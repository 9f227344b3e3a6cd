import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import type { Capability } from "../../contract.ts";
import { openerOf } from "../proxy/peer.ts";
import { openDisks } from "./disks.ts";
import { removeLeftovers } from "./leftovers.ts";
import { type Network, openNetwork } from "./network.ts";

let probed: Promise<ReadonlySet<Capability>> | undefined;

/** What this host can do: each is tried once per process. Removes what drivers have left that were killed. */
export function probeCapabilities(): Promise<ReadonlySet<Capability>> {
  probed ??= probe();
  return probed;
}

async function probe(): Promise<ReadonlySet<Capability>> {
  const found = new Set<Capability>();
  if (await holds(canTellPairs)) found.add("pairs");
  if (process.platform !== "linux" || process.getuid?.() !== 0) return found;
  if (await holds(canIsolate)) found.add("netns");
  if (await holds(hasSmallDisks)) found.add("tmpfs");
  return found;
}

async function holds(condition: () => Promise<boolean>): Promise<boolean> {
  try {
    return await condition();
  } catch {
    return false;
  }
}

async function canTellPairs(): Promise<boolean> {
  const server = createServer();
  await once(server.listen(0, "127.0.0.1"), "listening");
  const client = connect({ host: "127.0.0.1", port: (server.address() as AddressInfo).port });
  try {
    const [accepted] = (await once(server, "connection")) as [Socket];
    const opener = openerOf(accepted, [process.pid]);
    accepted.destroy();
    return opener === process.pid;
  } finally {
    client.destroy();
    server.close();
  }
}

/** An address answers, is silent while packets are dropped one way or the other, and answers again. */
async function canIsolate(): Promise<boolean> {
  removeLeftovers();
  using network = openNetwork(["probe"]);
  const packets = network.packets("probe");
  for (const direction of ["there", "back"] as const) {
    if (!(await answersSoon(network))) return false;
    packets.cut(direction);
    if (await answers(network)) return false;
    packets.heal();
  }
  // Awaited here, because the network goes with this function.
  return await answersSoon(network);
}

/** On a busy machine one answer may take longer than a lost packet is waited for. */
async function answersSoon(network: Network): Promise<boolean> {
  for (let tries = 0; tries < 12; tries += 1) if (await answers(network)) return true;
  return false;
}

/** Nobody listens, which is said at once. A first packet that is lost is sent again after 1 s. */
function answers(network: Network): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: network.hostOf("probe"), port: 9, timeout: 250 });
    socket.once("connect", () => socket.destroy());
    socket.once("timeout", () => socket.destroy());
    socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code === "ECONNREFUSED"));
    socket.once("close", () => resolve(false));
  });
}

async function hasSmallDisks(): Promise<boolean> {
  using disks = openDisks({ etcd: 1 });
  await disks.fill("etcd");
  await disks.free("etcd");
  return true;
}
