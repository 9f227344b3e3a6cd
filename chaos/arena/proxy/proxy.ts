import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { Connection, type Target } from "./connection.ts";
import type { Faults } from "./faults.ts";

export interface TcpProxy extends Disposable {
  /** Where it listens. */
  readonly host: string;
  readonly port: number;
  /** host:port. */
  readonly address: string;
}

export interface ProxyOptions {
  readonly host: string;
  /** Asked for each connection: a part may move between its lives. */
  target(): Target;
  /** What a connection suffers from. */
  faultsOf(client: Socket): Faults;
}

/** Passes on every connection to the target, as well as the faults of its link allow. */
export async function openProxy({ host, target, faultsOf }: ProxyOptions): Promise<TcpProxy> {
  const clients = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    clients.add(client);
    client.once("close", () => clients.delete(client));
    new Connection(client, target(), faultsOf(client));
  });
  await once(server.listen(0, host), "listening");
  const bound = server.address();
  const port = typeof bound === "object" && bound !== null ? bound.port : 0;
  return {
    host,
    port,
    address: `${host}:${port}`,
    [Symbol.dispose]() {
      server.close();
      for (const client of clients) client.resetAndDestroy();
    },
  };
}
