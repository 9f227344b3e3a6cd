// Whose connection it is. Schedulers reach an agent at one address, so a connection does not say which of them has opened it;
// the system knows: /proc/net/tcp names the socket of each connection, and /proc/<pid>/fd the sockets of each process.
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import type { Socket } from "node:net";

/** The process among `pids` that has opened a connection of this machine; undefined: none of them, or the system does not tell. */
export function openerOf(connection: Socket, pids: readonly number[]): number | undefined {
  const { remoteAddress, remotePort, localAddress, localPort } = connection;
  if (!remoteAddress || !remotePort || !localAddress || !localPort) return undefined;
  const theirs = `${hexOf(remoteAddress, remotePort)} ${hexOf(localAddress, localPort)}`;
  const inode = inodeOf(theirs);
  return inode === undefined ? undefined : pids.find((pid) => holds(pid, `socket:[${inode}]`));
}

/** Lines of it: `sl local remote state queues timer retransmits uid timeout inode …`. */
function inodeOf(addresses: string): string | undefined {
  for (const line of textOf("/proc/net/tcp").split("\n")) {
    const fields = line.trim().split(/\s+/);
    if (`${fields[1]} ${fields[2]}` === addresses) return fields[9];
  }
  return undefined;
}

/** As the system writes it on machines whose lowest byte comes first: `127.0.0.1:80` is `0100007F:0050`. */
function hexOf(address: string, port: number): string {
  const bytes = address
    .replace(/^::ffff:/, "")
    .split(".")
    .map(Number);
  return `${Buffer.from(bytes).reverse().toString("hex")}:${port.toString(16).padStart(4, "0")}`.toUpperCase();
}

function holds(pid: number, link: string): boolean {
  try {
    return readdirSync(`/proc/${pid}/fd`).some((fd) => linkOf(`/proc/${pid}/fd/${fd}`) === link);
  } catch {
    return false;
  }
}

function linkOf(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}

function textOf(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}
