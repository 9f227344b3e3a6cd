import { connect, type Socket } from "node:net";
import { AppError } from "@sluice/core";

export interface WireTarget {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly database: string;
}

/**
 * Opens a connection without a password, waits until the server is ready for queries, runs one statement if there is one, and
 * closes. Rejects with the server's message. The few lines of the protocol that readiness and `create database` need.
 */
export function simpleQuery(target: WireTarget, sql?: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: target.host, port: target.port, timeout: 30_000 });
    let isSent = sql === undefined;
    let failure: AppError | undefined;
    socket.once("timeout", () => socket.destroy(new Error("no answer from PostgreSQL")));
    socket.once("error", reject);
    socket.once("close", () => reject(failure ?? new Error("PostgreSQL closed the connection")));
    socket.once("connect", () => socket.write(startup(target)));
    onMessage(socket, (type, body) => {
      if (type === "E") failure = failureOf(body);
      if (type !== "Z") return;
      if (!isSent && sql !== undefined) {
        isSent = true;
        socket.write(message("Q", `${sql}\0`));
        return;
      }
      if (failure) reject(failure);
      else resolve();
      socket.end(message("X", ""));
    });
  });
}

function startup({ user, database }: WireTarget): Buffer {
  const text = Buffer.from(`user\0${user}\0database\0${database}\0\0`);
  const head = Buffer.alloc(8);
  head.writeInt32BE(text.length + 8, 0);
  // Version 3.0 of the protocol.
  head.writeInt32BE(196_608, 4);
  return Buffer.concat([head, text]);
}

function message(type: string, text: string): Buffer {
  const body = Buffer.from(text);
  const head = Buffer.alloc(5);
  head.write(type, 0, "latin1");
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}

function onMessage(socket: Socket, listener: (type: string, body: Buffer) => void): void {
  let rest = Buffer.alloc(0);
  socket.on("data", (chunk) => {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= 5) {
      const length = rest.readInt32BE(1) + 1;
      if (rest.length < length) return;
      const body = rest.subarray(5, length);
      const type = rest.toString("latin1", 0, 1);
      rest = rest.subarray(length);
      listener(type, body);
    }
  });
}

/** Fields of a letter and a text each; `M` is the message. */
function failureOf(body: Buffer): AppError {
  const fields = body.toString("utf8").split("\0");
  const text = fields.find((field) => field.startsWith("M"))?.slice(1) ?? "PostgreSQL refused";
  return new AppError("internal", "POSTGRES_REFUSED", text);
}
