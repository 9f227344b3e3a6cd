import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { threadId } from "node:worker_threads";

/** Put into the environment of every guarded process, so that the guard finds one whose pid it was not told in time. */
export const guardMarker = { name: "SLUICE_GUARDED_BY", value: `${process.pid}-${threadId}` } as const;

/** To be called before the process is started, and again with its pid. `signal` ends it in the way that leaves least. */
export function guardProcess(
  id: string,
  target: { readonly pid?: number; readonly signal?: NodeJS.Signals } = {},
): void {
  tell(processes, id, { add: id, ...target });
}

export function unguardProcess(id: string): void {
  processes.delete(id);
  send({ remove: id });
}

/** The folder is deleted when this process ends, whatever its end is. */
export function guardFolder(path: string): void {
  tell(folders, path, { folder: path });
}

export function unguardFolder(path: string): void {
  folders.delete(path);
  send({ forget: path });
}

type Command = Readonly<Record<string, unknown>>;

/** What the guard knows, for the next one, should this one be killed. */
const processes = new Map<string, Command>();
const folders = new Map<string, Command>();
let guard: ChildProcess | undefined;

function tell(known: Map<string, Command>, key: string, command: Command): void {
  known.set(key, command);
  if (guard) send(command);
  else start();
}

function start(): void {
  const script = fileURLToPath(new URL("guard.mjs", import.meta.url));
  const flags = ["--max-old-space-size=32", "--max-semi-space-size=1", "--single-threaded", "--v8-pool-size=0"];
  // A session of its own: neither Ctrl-C nor a kill of our whole group reaches it. Its environment is empty, without the
  // marker, by which it would find itself.
  const child = spawn(process.execPath, [...flags, script, `${guardMarker.name}=${guardMarker.value}`], {
    detached: true,
    env: {},
    cwd: "/",
    stdio: ["pipe", "ignore", "ignore"],
  });
  guard = child;
  child.stdin.on("error", () => undefined);
  child.once("error", () => undefined);
  child.once("exit", () => {
    guard = undefined;
    if (processes.size + folders.size > 0) start();
  });
  // It waits for us, not we for it.
  child.unref();
  (child.stdin as unknown as { unref(): void }).unref();
  for (const command of [...processes.values(), ...folders.values()]) send(command);
}

function send(command: Command): void {
  if (guard?.stdin?.writable) guard.stdin.write(`${JSON.stringify(command)}\n`);
}
