import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Duplex, Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import type { KillTarget } from "../watchdog/guard.ts";
import { statOf } from "../watchdog/kill-tree.mjs";
import type { Cgroups, InstanceCgroups } from "./cgroup.ts";
import { instanceEnvironment } from "./environment.ts";
import type { Interpreter } from "./interpreters.ts";
import type { FunctionSpec } from "./pool.ts";

/** A process that has been started for an instance. */
export interface Launched {
  readonly child: ChildProcess;
  readonly stdout: Readable;
  readonly stderr: Readable;
  readonly toRunner: Duplex;
  readonly fromRunner: Duplex;
  readonly target: KillTarget;
  readonly cgroups: InstanceCgroups;
  readonly temporaryDir: string;
}

export interface LaunchOptions {
  readonly spec: FunctionSpec;
  readonly instanceId: string;
  readonly interpreter: Interpreter;
  readonly codeDir: string;
  readonly workDir: string;
  readonly cgroups: Cgroups;
  readonly pidsMax: number;
  /** Environment entries that mark every process of this agent's instances. */
  readonly scopeMarkers: Readonly<Record<string, string>>;
  readonly agentEnvironment: Readonly<Record<string, string | undefined>>;
  /** Told of the target before there is a process, so that a crash of the agent in between leaks nothing. */
  onTarget(target: KillTarget): void;
}

/** The variable by which all processes of an instance are recognised. */
export const instanceVariable = "SLUICE_INSTANCE_ID";

// The shell joins the cgroups before anything of the user's runs, then becomes the interpreter: the pid stays. When the
// host's memory ends, instances are to die before the agent; core dumps would fill the disk with user data. Its variable has a name
// that the user's cannot have: one that is in the environment would arrive with what the shell has put into it.
const launchScript = `
for SLUICE_PROCS in $1; do echo $$ > "$SLUICE_PROCS" || exit 125; done
shift
echo 500 2>/dev/null > /proc/self/oom_score_adj
ulimit -c 0
exec "$@"`;

/** Starts the process of an instance: own session, own cgroups, own folder for temporary files, clean environment. */
export function launch(options: LaunchOptions): Launched {
  const { spec, instanceId, codeDir } = options;
  const temporaryDir = join(options.workDir, instanceId);
  mkdirSync(temporaryDir, { recursive: true, mode: 0o700 });
  const cgroups = options.cgroups.create(instanceId, { memoryMb: spec.memoryMb, pidsMax: options.pidsMax });
  const target = { id: instanceId, marker: `${instanceVariable}=${instanceId}`, cgroups: cgroups.refs };
  options.onTarget(target);

  const markers = { ...options.scopeMarkers, [instanceVariable]: instanceId };
  const env = instanceEnvironment({ spec, instanceId, codeDir, temporaryDir, markers }, options.agentEnvironment);
  const joins = cgroups.refs.map(({ path }) => join(path, "cgroup.procs")).join(" ");
  const child = spawn("/bin/sh", ["-c", launchScript, "sluice-launch", joins, ...commandOf(options)], {
    // A session and process group of its own: its members can be found, and Ctrl-C at the agent does not reach them.
    detached: true,
    cwd: codeDir,
    env,
    stdio: ["ignore", "pipe", "pipe", "pipe", "pipe"],
  });
  const started = child.pid === undefined ? target : { ...target, pid: child.pid, ...startTimeOf(child.pid) };
  if (child.pid !== undefined) options.onTarget(started);
  const [, stdout, stderr, toRunner, fromRunner] = child.stdio as [null, Readable, Readable, Duplex, Duplex];
  // A pipe that breaks means that the process has ended, which its exit tells.
  for (const stream of [stdout, stderr, toRunner, fromRunner]) stream.on("error", () => undefined);
  return { child, stdout, stderr, toRunner, fromRunner, target: started, cgroups, temporaryDir };
}

function commandOf({ interpreter, spec }: LaunchOptions): string[] {
  const runner = (name: string) => fileURLToPath(new URL(name, import.meta.url));
  if (interpreter.language === "python") return [interpreter.path, "-s", runner("runner.py")];
  // The cgroup counts all memory; the heap alone must stay below it, so that Node collects before it is killed.
  const heapMb = Math.max(16, Math.floor(spec.memoryMb * 0.8));
  return [interpreter.path, `--max-old-space-size=${heapMb}`, runner("runner-node.cjs")];
}

function startTimeOf(pid: number): { startTime?: number } {
  const startTime = statOf(pid)?.startTime;
  return startTime === undefined ? {} : { startTime };
}
