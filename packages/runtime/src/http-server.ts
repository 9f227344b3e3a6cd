import { AppError, deadline } from "@sluice/core";
import { fastify } from "fastify";
import type { Registry } from "prom-client";
import { systemClock } from "./clock.ts";
import { listen } from "./listen.ts";

/** What a probe found: whether the thing is there, and facts for whoever looks. */
export type Finding = boolean | { readonly ok: boolean; readonly [fact: string]: unknown };

/** Whether one thing that the service needs is there. Throwing, and not answering within two seconds, mean that it is not. */
export type Probe = () => Finding | Promise<Finding>;

export interface HttpServerOptions {
  readonly address: string;
  /** 0: any free one. */
  readonly port: number;
  readonly registry: Registry;
  /** By the name under which `/readyz` reports it. */
  readonly health: Readonly<Record<string, Probe>>;
  /** Reported by `/readyz` as well, but the service is ready without them. */
  readonly details?: Readonly<Record<string, Probe>>;
}

export interface HttpServer extends AsyncDisposable {
  readonly port: number;
  /** `http://address:port` */
  readonly url: string;
}

const probeTimeoutMs = 2_000;

/**
 * Serves `/healthz` (the process answers), `/readyz` (200 if every probe of `health` holds, else 503) and `/metrics`.
 * `/readyz` answers `{status, notReady?: [names], checks: {name: {ok, …}}, details: {name: {ok, …}}}`; who asks while an answer
 * is being made gets the same one. Rejects with `ADDRESS_UNAVAILABLE` when it cannot listen.
 */
export async function httpServer(options: HttpServerOptions): Promise<HttpServer> {
  const { address, port, registry, health, details = {} } = options;
  // Kept-alive connections of a scraper must not hold up the end of the process.
  const app = fastify({ logger: false, forceCloseConnections: true, bodyLimit: 1024 });
  let looking: Promise<Readiness> | undefined;
  app.get("/healthz", () => ({ status: "ok" }));
  app.get("/readyz", async (_request, reply) => {
    looking ??= look(health, details).finally(() => {
      looking = undefined;
    });
    const readiness = await looking;
    return reply.code(readiness.notReady === undefined ? 200 : 503).send(readiness);
  });
  app.get("/metrics", async (_request, reply) => reply.type(registry.contentType).send(await registry.metrics()));
  const bound = await listen(app, { scheme: "http", host: address, port });
  return { ...bound, [Symbol.asyncDispose]: () => app.close() };
}

interface Readiness {
  readonly status: "ready" | "not ready";
  readonly notReady?: readonly string[];
  readonly checks: Readonly<Record<string, Found>>;
  readonly details: Readonly<Record<string, Found>>;
}
type Found = Exclude<Finding, boolean>;
type Probes = Readonly<Record<string, Probe>>;

async function look(health: Probes, details: Probes): Promise<Readiness> {
  const [checks, more] = await Promise.all([findAll(health), findAll(details)]);
  const notReady = Object.entries(checks).flatMap(([name, { ok }]) => (ok ? [] : [name]));
  if (notReady.length === 0) return { status: "ready", checks, details: more };
  return { status: "not ready", notReady, checks, details: more };
}

async function findAll(probes: Probes): Promise<Record<string, Found>> {
  const found = await Promise.all(
    Object.entries(probes).map(async ([name, probe]) => [name, await find(probe)] as const),
  );
  return Object.fromEntries(found);
}

async function find(probe: Probe): Promise<Found> {
  const limit = deadline(systemClock, probeTimeoutMs);
  const tooLate = new Promise<Finding>((resolve) => {
    const why = `no answer within ${probeTimeoutMs} ms`;
    limit.signal.addEventListener("abort", () => resolve({ ok: false, why }), { once: true });
  });
  try {
    const finding = await Promise.race([probe(), tooLate]);
    return typeof finding === "boolean" ? { ok: finding } : finding;
  } catch (cause) {
    // Only what we said ourselves: the page is open to whoever reaches the port.
    return { ok: false, why: cause instanceof AppError ? cause.reason : "it failed" };
  } finally {
    limit.cancel();
  }
}
