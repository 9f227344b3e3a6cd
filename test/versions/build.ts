import { execFile } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Release, Server } from "./releases.ts";

interface Source {
  readonly module: string;
  /** What is built, in a module that requires the one above. */
  readonly target: string;
  /** The text of a main package, when the target is one of our own. */
  readonly main?: string;
}

const sources: Readonly<Record<Server, Source>> = {
  "nats-server": { module: "github.com/nats-io/nats-server/v2", target: "github.com/nats-io/nats-server/v2" },
  // The module of its main package replaces others by folders beside it, which only a checkout has.
  etcd: {
    module: "go.etcd.io/etcd/server/v3",
    target: ".",
    main: `package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
`,
  },
};

const cache = join(import.meta.dirname, "../../.services/versions");

export async function hasGo(): Promise<boolean> {
  return run("go", ["version"], ".").then(
    () => true,
    () => false,
  );
}

/** Path of the program: built the first time, from the module proxy and checked by Go's sums; kept in `.services/versions/`. */
export async function build({ server, version }: Release): Promise<string> {
  const program = join(cache, `${server}-${version}`);
  if (existsSync(program)) return program;
  console.log(`${server} ${version}: build`);
  const { module, target, main } = sources[server];
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(join(cache, ".build-"));
  try {
    const go = (...args: string[]) => run("go", args, folder);
    await go("mod", "init", "sluice.invalid/build");
    if (main !== undefined) writeFileSync(join(folder, "main.go"), main);
    await go("get", `${module}@v${version}`);
    await go("build", "-trimpath", "-ldflags=-s -w", "-o", "program", target);
    renameSync(join(folder, "program"), program);
    return program;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const execute = promisify(execFile);

async function run(command: string, args: readonly string[], cwd: string): Promise<void> {
  // One program that depends on nothing of the machine. It may need a newer Go than is installed, which Go fetches itself.
  const env = { ...process.env, CGO_ENABLED: "0", GOWORK: "off", GOTOOLCHAIN: "auto", GOFLAGS: "-mod=mod" };
  await execute(command, args, { cwd, env, maxBuffer: 2 ** 26 });
}
