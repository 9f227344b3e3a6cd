// Finds out which cgroup controllers this host lets us use, and makes the cgroups of an instance. Hosts differ per
// controller: a hybrid host has `cgroup.kill` in v2 but memory and pids in v1.
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import type { CgroupRef, KillTarget } from "../watchdog/guard.ts";

/** What the cgroups of one scope can do on this host. */
export interface Cgroups {
  /** Everything that an instance starts can be found and killed. */
  readonly canKill: boolean;
  readonly canLimitMemory: boolean;
  readonly canLimitPids: boolean;
  create(name: string, limits: { readonly memoryMb: number; readonly pidsMax: number }): InstanceCgroups;
}

export interface InstanceCgroups {
  readonly refs: readonly CgroupRef[];
  /** Highest memory use so far, MB; 0 when the host does not tell. */
  memoryPeakMb(): number;
}

type Version = "v1" | "v2";
interface Hierarchy {
  readonly version: Version;
  readonly controllers: readonly string[];
  /** Our own cgroup in it, below which we may make others. */
  readonly own: string;
}

/**
 * Probes the host. Cgroups are made below the agent's own, in a directory of the scope, so that the limits that an
 * administrator has put on the agent hold for its instances too.
 */
export function detectCgroups(scope: string): Cgroups {
  const usable = hierarchies().flatMap((hierarchy) => {
    const directory = openScope(hierarchy, scope);
    return directory === undefined ? [] : [{ ...hierarchy, directory }];
  });
  const v2 = usable.find(({ version }) => version === "v2");
  const withController = (name: string) => usable.find(({ controllers }) => controllers.includes(name));
  const killer = v2 ?? withController("freezer");
  const memory = withController("memory");
  const pids = withController("pids");
  return {
    canKill: killer !== undefined,
    canLimitMemory: memory !== undefined,
    canLimitPids: pids !== undefined,
    create(name, limits) {
      const paths = new Set([killer, memory, pids].flatMap((one) => (one ? [join(one.directory, name)] : [])));
      for (const path of paths) mkdirSync(path, { recursive: true });
      if (memory) limitMemory(join(memory.directory, name), memory.version, limits.memoryMb);
      if (pids) writeFileSync(join(pids.directory, name, "pids.max"), String(limits.pidsMax));
      const killPath = killer && join(killer.directory, name);
      return {
        refs: [...paths].map((path) => ({ path, role: path === killPath ? roleOf(path) : "limit" })),
        memoryPeakMb: () => (memory ? readPeakMb(join(memory.directory, name)) : 0),
      };
    },
  };
}

/** For tests, and for hosts on which cgroups are not wanted. */
export const noCgroups: Cgroups = {
  canKill: false,
  canLimitMemory: false,
  canLimitPids: false,
  create: () => ({ refs: [], memoryPeakMb: () => 0 }),
};

/** The cgroups that an earlier agent of this scope left behind, as something that can be killed. */
export function leftoverTargets(scope: string): KillTarget[] {
  return hierarchies().flatMap(({ own }) => {
    const directory = join(own, `sluice-${scope}`);
    return childrenOf(directory).map((name) => {
      const path = join(directory, name);
      return { id: path, marker: `SLUICE_INSTANCE_ID=${name}`, cgroups: [{ path, role: roleOf(path) }] };
    });
  });
}

/** Removes the scope's own directories; does nothing as long as an instance is in them. */
export function removeScope(scope: string): void {
  for (const { own } of hierarchies()) {
    try {
      rmdirSync(join(own, `sluice-${scope}`));
    } catch {
      // Absent or in use.
    }
  }
}

/** The limit of our own cgroup, and what counts towards it; undefined: the host does not tell. */
export function readOwnMemory(): { readonly limitBytes: number; readonly usedBytes: number } | undefined {
  for (const { version, own } of hierarchies()) {
    const [limit, usage, inactive] =
      version === "v1"
        ? ["memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"]
        : ["memory.max", "memory.current", "inactive_file"];
    try {
      const read = (name: string) => readFileSync(join(own, name), "latin1").trim();
      // A cache of files is given back before anybody is killed.
      const cached = new RegExp(`^${inactive} (\\d+)$`, "m").exec(read("memory.stat"))?.[1] ?? 0;
      const limitBytes = read(limit) === "max" ? Number.POSITIVE_INFINITY : Number(read(limit));
      return { limitBytes, usedBytes: Number(read(usage)) - Number(cached) };
    } catch {
      // Not a hierarchy with memory, or its root.
    }
  }
  return undefined;
}

function roleOf(path: string): CgroupRef["role"] {
  if (existsSync(join(path, "cgroup.kill"))) return "kill";
  return existsSync(join(path, "freezer.state")) ? "freezer" : "procs";
}

function limitMemory(path: string, version: Version, memoryMb: number): void {
  const bytes = String(memoryMb * 1024 * 1024);
  if (version === "v1") {
    writeFileSync(join(path, "memory.limit_in_bytes"), bytes);
    // Absent when swap accounting is off.
    writeIfPresent(join(path, "memory.memsw.limit_in_bytes"), bytes);
  } else {
    writeFileSync(join(path, "memory.max"), bytes);
    writeIfPresent(join(path, "memory.swap.max"), "0");
    writeIfPresent(join(path, "memory.oom.group"), "1");
  }
}

function readPeakMb(path: string): number {
  for (const name of ["memory.max_usage_in_bytes", "memory.peak"]) {
    try {
      return Math.round((Number(readFileSync(join(path, name), "latin1")) / 1024 / 1024) * 100) / 100;
    } catch {
      // The other version's file.
    }
  }
  return 0;
}

/** Makes the scope's directory; undefined when this hierarchy is not ours to write. */
function openScope(hierarchy: Hierarchy, scope: string): string | undefined {
  const directory = join(hierarchy.own, `sluice-${scope}`);
  try {
    if (hierarchy.version === "v2") enable(hierarchy.own, hierarchy.controllers);
    mkdirSync(directory, { recursive: true });
    accessSync(join(directory, "cgroup.procs"), constants.W_OK);
    if (hierarchy.version === "v2") enable(directory, hierarchy.controllers);
    return directory;
  } catch {
    return undefined;
  }
}

/** Hands controllers down. A v2 cgroup that has processes of its own may not; then we only use it to kill. */
function enable(path: string, controllers: readonly string[]): void {
  for (const name of controllers) {
    try {
      writeFileSync(join(path, "cgroup.subtree_control"), `+${name}`);
    } catch {
      // `usableControllers` finds out.
    }
  }
}

function hierarchies(): Hierarchy[] {
  try {
    const own = ownPaths();
    return mounts().flatMap(({ version, mountPoint, root, names }) => {
      const path = own.get(version === "v2" ? "" : (names[0] ?? "")) ?? "/";
      const below = path.startsWith(root) ? path.slice(root === "/" ? 0 : root.length) : "/";
      const directory = join(mountPoint, below);
      const controllers = version === "v2" ? usableControllers(directory) : names;
      return existsSync(directory) ? [{ version, controllers, own: directory }] : [];
    });
  } catch {
    return [];
  }
}

function usableControllers(directory: string): string[] {
  const wanted = ["memory", "pids"];
  const words = (name: string) => readFileSync(join(directory, name), "latin1").trim().split(" ");
  try {
    enable(
      directory,
      wanted.filter((name) => words("cgroup.controllers").includes(name)),
    );
    return wanted.filter((name) => words("cgroup.subtree_control").includes(name));
  } catch {
    return [];
  }
}

/** Controller (v2: the empty string) → path of our own cgroup. */
function ownPaths(): Map<string, string> {
  const lines = readFileSync("/proc/self/cgroup", "latin1").trim().split("\n");
  return new Map(
    lines.flatMap((line) => {
      const [, controllers = "", ...path] = line.split(":");
      return controllers.split(",").map((name) => [name, path.join(":")] as const);
    }),
  );
}

interface Mount {
  readonly version: Version;
  readonly mountPoint: string;
  readonly root: string;
  readonly names: readonly string[];
}

function mounts(): Mount[] {
  const known = ["memory", "pids", "freezer"];
  return readFileSync("/proc/self/mountinfo", "latin1")
    .trim()
    .split("\n")
    .flatMap((line): Mount[] => {
      const [before = "", after = ""] = line.split(" - ");
      const [, , , root = "/", mountPoint = ""] = before.split(" ");
      const [type, , options = ""] = after.split(" ");
      const names = options.split(",").filter((name) => known.includes(name));
      if (type === "cgroup2") return [{ version: "v2", mountPoint, root, names: [] }];
      return type === "cgroup" && names.length > 0 ? [{ version: "v1", mountPoint, root, names }] : [];
    });
}

function childrenOf(directory: string): string[] {
  try {
    return readdirSync(directory, { withFileTypes: true }).flatMap((entry) =>
      entry.isDirectory() ? [entry.name] : [],
    );
  } catch {
    return [];
  }
}

function writeIfPresent(path: string, text: string): void {
  if (existsSync(path)) writeFileSync(path, text);
}
