import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";

/** The connections of a server, and the requests on each that are not over: neither answered, nor is their connection gone. */
export interface Connections {
  openOn(socket: Socket): Pick<ReadonlySet<IncomingMessage>, "size" | "keys">;
  /** Calls the listener once, as soon as the request is over; at once if it is. */
  onceOver(request: IncomingMessage, listener: () => void): void;
  /** Ends all, also those that never came as far as a request. */
  destroy(): void;
}

const none: ReadonlySet<IncomingMessage> = new Set();

export function watchConnections(server: Server): Connections {
  const sockets = new Set<Socket>();
  const open = new WeakMap<Socket, Map<IncomingMessage, (() => void)[]>>();

  function openedOn(socket: Socket) {
    const known = open.get(socket);
    if (known) return known;
    const requests = new Map<IncomingMessage, (() => void)[]>();
    // An answer behind others of its connection has no socket yet: it is not told that the connection ends.
    socket.once("close", () => {
      for (const request of requests.keys()) end(request);
    });
    open.set(socket, requests);
    return requests;
  }

  function end(request: IncomingMessage): void {
    const requests = open.get(request.socket);
    const listeners = requests?.get(request) ?? [];
    requests?.delete(request);
    for (const listener of listeners) listener();
  }

  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  // Before anybody else asks about it.
  server.prependListener("request", (request: IncomingMessage, response: ServerResponse) => {
    if (request.socket.closed) return;
    openedOn(request.socket).set(request, []);
    response.once("close", () => end(request));
  });

  return {
    openOn: (socket) => open.get(socket) ?? none,
    onceOver(request, listener) {
      const listeners = open.get(request.socket)?.get(request);
      if (listeners) listeners.push(listener);
      else listener();
    },
    destroy() {
      for (const socket of sockets) socket.destroy();
    },
  };
}
