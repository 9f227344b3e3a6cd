import { Server, ServerCredentials } from "@grpc/grpc-js";
import { AppError } from "@sluice/core";
import { serverOptions } from "@sluice/protocol";
import { systemClock } from "./clock.ts";

export interface GrpcServerOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** Default: without TLS. */
  readonly credentials?: ServerCredentials;
  /** At its end, how long it waits for calls that are under way; default 2 s. */
  readonly callsMs?: number;
}

/** Open streams would hold up the end for ever. */
export interface GrpcServer extends AsyncDisposable {
  readonly port: number;
  /** host:port */
  readonly address: string;
  /**
   * Takes no connection and no call any more, and tells its callers (GOAWAY) to take the next ones elsewhere; calls that are
   * under way go on. Its end does the same, and then waits for them.
   */
  leave(): void;
}

/** Serves what `addServices` adds. Rejects with `ADDRESS_UNAVAILABLE` when it cannot listen. */
export async function grpcServer(
  { host, port, credentials = ServerCredentials.createInsecure(), callsMs = 2_000 }: GrpcServerOptions,
  addServices: (server: Server) => void,
): Promise<GrpcServer> {
  const server = new Server(serverOptions);
  addServices(server);
  const bound = await new Promise<number>((resolve, reject) => {
    server.bindAsync(hostAndPort(host, port), credentials, (cause, boundPort) => {
      if (!cause) return resolve(boundPort);
      reject(
        new AppError("unavailable", "ADDRESS_UNAVAILABLE", `cannot listen on ${hostAndPort(host, port)}`, { cause }),
      );
    });
  });
  let closed: Promise<void> | undefined;
  const leave = () => {
    closed ??= new Promise((resolve) => server.tryShutdown(() => resolve()));
    return closed;
  };
  return {
    port: bound,
    address: hostAndPort(host, bound),
    leave: () => void leave(),
    async [Symbol.asyncDispose]() {
      const ended = leave();
      const cancel = systemClock.timer(callsMs, () => server.forceShutdown());
      await ended;
      cancel();
    },
  };
}

/** `host:port`, with the host in brackets if it is an IPv6 address. */
export function hostAndPort(host: string, port: number): string {
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}
