// One connection through a proxy.
//
//   accepted ──the way there is cut──▶ stranded ──it is healed──▶ reset
//      └──▶ connected to the target ──both ends closed──▶ gone
//
// A stranded connection would not exist on a real network: nobody has answered its first packet. So nothing of it ever arrives.
import { connect, type Socket } from "node:net";
import type { Faults, Sufferer } from "./faults.ts";
import { Pipe } from "./pipe.ts";

export interface Target {
  readonly host: string;
  readonly port: number;
}

export class Connection implements Sufferer {
  readonly #client: Socket;
  readonly #faults: Faults;
  readonly #pipes: Pipe[] = [];
  readonly #server: Socket | undefined;

  constructor(client: Socket, target: Target, faults: Faults) {
    this.#client = client;
    this.#faults = faults;
    faults.add(this);
    this.#own(client);
    if (faults.isCut("there")) {
      faults.hold();
      client.resume();
      client.once("end", () => client.destroy());
      return;
    }
    const server = connect({ ...target, allowHalfOpen: true, noDelay: true });
    this.#server = server;
    this.#own(server);
    this.#pipes.push(
      new Pipe({ from: client, to: server, way: "there", faults }),
      new Pipe({ from: server, to: client, way: "back", faults }),
    );
  }

  onChange(): void {
    if (this.#server === undefined && !this.#faults.isCut("there")) this.reset();
    for (const pipe of this.#pipes) pipe.flush();
  }

  reset(): void {
    this.#client.resetAndDestroy();
    this.#server?.resetAndDestroy();
  }

  /** Its end is all that matters of a failure. */
  #own(socket: Socket): void {
    socket.on("error", () => undefined);
    socket.on("close", () => {
      if (this.#client.destroyed && this.#server?.destroyed !== false) this.#faults.delete(this);
    });
  }
}
