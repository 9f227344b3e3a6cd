import { lookup } from "node:dns/promises";
import { AppError } from "@sluice/core";
import type { FastifyInstance } from "fastify";
import { hostAndPort } from "./grpc-server.ts";

export interface ListenOptions {
  readonly scheme: "http" | "https";
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
}

/** Listens on the first address of a host. Rejects with `ADDRESS_UNAVAILABLE`. */
export async function listen(app: FastifyInstance, { scheme, host, port }: ListenOptions) {
  try {
    // Given `localhost`, it would serve each of its addresses by a server of its own, of which we would know the first.
    const { address } = await lookup(host);
    await app.listen({ host: address, port });
  } catch (cause) {
    const message = `cannot listen on ${scheme}://${hostAndPort(host, port)}`;
    throw new AppError("unavailable", "ADDRESS_UNAVAILABLE", message, { cause });
  }
  const bound = app.server.address();
  const boundPort = typeof bound === "object" && bound !== null ? bound.port : port;
  return { port: boundPort, url: `${scheme}://${hostAndPort(host, boundPort)}` };
}
