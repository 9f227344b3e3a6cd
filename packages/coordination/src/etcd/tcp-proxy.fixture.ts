// A bad network between a client and a server of the same machine.
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";

/** What gets through: everything, requests but no answers, or nothing (as on a link that is half open). */
export type Passage = "all" | "requests" | "nothing";

export interface TcpProxy extends AsyncDisposable {
  /** host:port, the same for ever. */
  readonly address: string;
  /** Connections that were accepted so far. */
  readonly accepted: number;
  /** From now on this gets through, on connections of now and later ones. `all` ends the connections that lost something. */
  pass(what: Passage): void;
  /** Nothing gets through the connections of now any more; later ones are not touched. */
  strand(): void;
  /** Resets every connection, and refuses later ones until `listen`. */
  refuse(): Promise<void>;
  listen(): Promise<void>;
}

interface Link {
  passage: Passage;
  readonly sockets: readonly Socket[];
}

export async function startTcpProxy(target: string): Promise<TcpProxy> {
  const [host = "", targetPort] = target.split(":");
  const links = new Set<Link>();
  let passage: Passage = "all";
  let accepted = 0;
  let port = 0;

  function relay(client: Socket): void {
    accepted += 1;
    const server = connect({ host, port: Number(targetPort) });
    const link: Link = { passage, sockets: [client, server] };
    links.add(link);
    client.on("data", (bytes) => {
      if (link.passage !== "nothing") server.write(bytes);
    });
    server.on("data", (bytes) => {
      if (link.passage === "all") client.write(bytes);
    });
    for (const socket of link.sockets) {
      socket.setNoDelay(true);
      // A link that lost something does not tell either side that the other one is gone.
      socket.on("error", () => undefined);
      socket.on("close", () => link.passage === "all" && end(link));
    }
  }

  function end(link: Link): void {
    links.delete(link);
    for (const socket of link.sockets) socket.destroy();
  }

  let listener = createServer(relay);
  async function listen(): Promise<void> {
    listener = createServer(relay);
    await once(listener.listen(port, host), "listening");
    const address = listener.address();
    if (typeof address === "object" && address !== null) port = address.port;
  }
  async function refuse(): Promise<void> {
    const closed = listener.listening ? once(listener, "close") : undefined;
    listener.close();
    for (const link of links) end(link);
    await closed;
  }

  await listen();
  return {
    address: `${host}:${port}`,
    get accepted() {
      return accepted;
    },
    pass(what) {
      passage = what;
      for (const link of links) {
        if (what === "all" && link.passage !== "all") end(link);
        else link.passage = what;
      }
    },
    strand() {
      for (const link of links) link.passage = "nothing";
    },
    refuse,
    listen,
    [Symbol.asyncDispose]: refuse,
  };
}
