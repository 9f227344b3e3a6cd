import { AppError, deadline } from "@sluice/core";
import { fastify } from "fastify";
import type { Registry } from "prom-client";
import { systemClock } from "./clock.ts";

/** Whether one thing that the service needs is there. Throwing, and not answering within two seconds, mean that it is not. */
export type Probe = () => boolean | Promise<boolean>;

export interface HttpServerOptions {
  readonly address: string;
  /** 0: any free one. */
  readonly port: number;
  readonly registry: Registry;
  /** By the name under which `/readyz` reports it. */
  readonly health: Readonly<Record<string, Probe>>;
}

export interface HttpServer extends AsyncDisposable {
  readonly port: number;
  /** `http://address:port` */
  readonly url: string;
}

const probeTimeoutMs = 2_000;

/**
 * Serves `/healthz` (the process answers), `/readyz` (every probe holds; else 503 and the names of what does not) and
 * `/metrics`. Rejects with `ADDRESS_UNAVAILABLE` when it cannot listen.
 */
export async function httpServer({ address, port, registry, health }: HttpServerOptions): Promise<HttpServer> {
  // Kept-alive connections of a scraper must not hold up the end of the process.
  const app = fastify({ logger: false, forceCloseConnections: true, bodyLimit: 1024 });
  app.get("/healthz", () => ({ status: "ok" }));
  app.get("/readyz", async (_request, reply) => {
    const notReady = await failingProbes(health);
    return reply
      .code(notReady.length === 0 ? 200 : 503)
      .send(notReady.length === 0 ? { status: "ready" } : { status: "not ready", notReady });
  });
  app.get("/metrics", async (_request, reply) => reply.type(registry.contentType).send(await registry.metrics()));
  try {
    await app.listen({ host: address, port });
  } catch (cause) {
    throw new AppError("unavailable", "ADDRESS_UNAVAILABLE", `cannot listen on http://${address}:${port}`, { cause });
  }
  const bound = app.server.address();
  const boundPort = typeof bound === "object" && bound !== null ? bound.port : port;
  return {
    port: boundPort,
    url: `http://${address.includes(":") ? `[${address}]` : address}:${boundPort}`,
    [Symbol.asyncDispose]: () => app.close(),
  };
}

async function failingProbes(health: Readonly<Record<string, Probe>>): Promise<string[]> {
  const answers = await Promise.all(
    Object.entries(health).map(async ([name, probe]) => ({ name, holds: await holds(probe) })),
  );
  return answers.filter((answer) => !answer.holds).map((answer) => answer.name);
}

async function holds(probe: Probe): Promise<boolean> {
  const limit = deadline(systemClock, probeTimeoutMs);
  const tooLate = new Promise<boolean>((resolve) => {
    limit.signal.addEventListener("abort", () => resolve(false), { once: true });
  });
  try {
    return await Promise.race([probe(), tooLate]);
  } catch {
    return false;
  } finally {
    limit.cancel();
  }
}
