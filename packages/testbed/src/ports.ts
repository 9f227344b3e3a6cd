import { randomInt } from "node:crypto";
import { createSocket, type Socket } from "node:dgram";
import { createServer } from "node:net";
import { AppError } from "@sluice/core";

export const host = "127.0.0.1";

/**
 * Below the ports that the system gives to outgoing connections: a server that is stopped for a while finds its own port
 * still free.
 */
const lowest = 10_000;
const highest = 32_000;

/** TCP ports that nobody listens on, and that no other process takes that asks here too, until they are given back. */
export interface PortReservation extends Disposable {
  readonly ports: readonly number[];
}

/**
 * Reserves ports. The UDP ports of the same numbers, which nobody uses, are held meanwhile: so the processes of a machine
 * agree without a file, and one that is killed holds nothing.
 */
export async function reservePorts(count: number): Promise<PortReservation> {
  const held = new Map<number, Socket>();
  for (let tries = 0; held.size < count; tries += 1) {
    if (tries > 1_000) throw new AppError("exhausted", "NO_FREE_PORT", `no port from ${lowest} to ${highest} is free`);
    const port = randomInt(lowest, highest);
    const socket = held.has(port) ? undefined : await hold(port);
    if (socket && (await isFree(port))) held.set(port, socket);
    else socket?.close();
  }
  return {
    ports: [...held.keys()],
    [Symbol.dispose]() {
      for (const socket of held.values()) socket.close();
      held.clear();
    },
  };
}

/** Tries again with other ports when a stranger was faster. */
export async function withPorts<T>(count: number, start: (reservation: PortReservation) => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    const reservation = await reservePorts(count);
    try {
      return await start(reservation);
    } catch (error) {
      reservation[Symbol.dispose]();
      if (tries === 5 || !(error instanceof AppError) || error.reason !== "PORT_TAKEN") throw error;
    }
  }
}

function hold(port: number): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = createSocket("udp4");
    socket.once("error", () => resolve(undefined));
    socket.bind({ address: host, port, exclusive: true }, () => resolve(socket.unref()));
  });
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(true)));
  });
}
