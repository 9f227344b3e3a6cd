// The folder that holds everything of a standalone instance:
//
//   database/      PGlite              agent/         instances, code, journal, host lock
//   standalone/    lock of the folder  client.json    address and access key, for the command line
//   master.key     encrypts secrets    agent.json     the agent's id and join token
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { livingHolders, tryHold } from "@sluice/agent/host-lock";
import { AppError } from "@sluice/core";

export interface DataDir extends Disposable {
  readonly path: string;
  readonly database: string;
  readonly agent: string;
  readonly masterKeyFile: string;
  readonly clientFile: string;
  readonly agentIdentity: AgentIdentity;
}

export interface AgentIdentity {
  readonly agentId: string;
  readonly joinToken: string;
}

/**
 * Opens the folder for this process alone. PGlite does not notice a second process on its files and corrupts them, so the
 * lock comes first. Throws `DATA_DIR_IN_USE` or `DATA_DIR_UNUSABLE`. The lock of a process that was killed does not count.
 */
export function openDataDir(folder: string): DataDir {
  const path = resolve(folder);
  const lockDir = join(path, "standalone");
  // What is in it is nobody else's business; a folder that was there keeps its own mode.
  for (const each of [path, lockDir, join(path, "database"), join(path, "agent")]) makeFolder(each);
  const lock = tryHold(lockDir);
  if (!lock) {
    const pid = livingHolders(lockDir).find((holder) => holder.pid !== process.pid)?.pid;
    throw new AppError(
      "precondition",
      "DATA_DIR_IN_USE",
      `another instance${pid === undefined ? "" : ` (pid ${pid})`} is running on ${path}; stop it, or give this one its own --data-dir`,
    );
  }
  return {
    path,
    database: join(path, "database"),
    agent: join(path, "agent"),
    masterKeyFile: join(path, "master.key"),
    clientFile: join(path, "client.json"),
    agentIdentity: readAgentIdentity(join(path, "agent.json")),
    [Symbol.dispose]: () => lock.release(),
  };
}

/** Not with `recursive`, which never returns on a file system that answers "no such file" below a folder that exists. */
function makeFolder(path: string): void {
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === "EEXIST") return;
    if (code !== "ENOENT" || existsSync(dirname(path))) {
      throw new AppError("precondition", "DATA_DIR_UNUSABLE", `cannot use ${path} as --data-dir: ${code}`, { cause });
    }
    makeFolder(dirname(path));
    mkdirSync(path, { mode: 0o700 });
  }
}

/** The same in every life of the folder: an agent is known by its id, and its last attempts are named under it. */
function readAgentIdentity(file: string): AgentIdentity {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as AgentIdentity;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "ENOENT") throw cause;
  }
  const identity = { agentId: `agent-${randomBytes(4).toString("hex")}`, joinToken: randomBytes(24).toString("hex") };
  writePrivate(file, identity);
  return identity;
}

/** Writes a JSON file that only its owner can read; appears whole or not at all. */
export function writePrivate(file: string, value: unknown): void {
  const draft = `${file}.${process.pid}`;
  writeFileSync(draft, `${JSON.stringify(value, null, 2)}\n`, { mode: 0o600 });
  renameSync(draft, file);
}
