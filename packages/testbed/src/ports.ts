import { randomInt } from "node:crypto";
import { createServer } from "node:net";
import { AppError } from "@sluice/core";

export const host = "127.0.0.1";

/**
 * Below the ports that the system gives to outgoing connections: a server that is stopped for a while finds its own port
 * still free.
 */
const lowest = 10_000;
const highest = 32_000;

/** Ports that nobody listens on, all different. Somebody else may take one before you do. */
export async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  for (let tries = 0; ports.size < count; tries += 1) {
    if (tries > 1_000) throw new AppError("exhausted", "NO_FREE_PORT", `no port from ${lowest} to ${highest} is free`);
    const port = randomInt(lowest, highest);
    if (await isFree(port)) ports.add(port);
  }
  return [...ports];
}

/** Tries again with other ports when somebody else was faster. */
export async function withFreePorts<T>(count: number, start: (ports: readonly number[]) => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await start(await freePorts(count));
    } catch (error) {
      if (tries === 5 || !(error instanceof AppError) || error.reason !== "PORT_TAKEN") throw error;
    }
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen({ host, port }, () => server.close(() => resolve(true)));
  });
}
