// npm run test:versions [-- etcd | nats-server | <server>-<version> …]
//
// Runs the suites of the drivers on the servers that the testbed finds (those of Debian, unless others are installed) and on
// the current releases, built with Go.
import { startEtcd, startNats } from "@sluice/testbed";
import Table from "cli-table3";
import { build, hasGo } from "./build.ts";
import { releases, type Server, suites } from "./releases.ts";
import { type Result, runSuite } from "./run-suite.ts";

interface Candidate {
  readonly server: Server;
  readonly version: string;
  readonly origin: "found here" | "built";
  /** Undefined: the one that the testbed finds. */
  readonly program?: string;
}

if (await hasGo()) {
  process.exitCode = await testAll(process.argv.slice(2));
} else {
  console.error(
    "test:versions builds current releases of nats-server and etcd and needs a Go toolchain: `go` on the PATH " +
      "(https://go.dev/dl, or `apt-get install golang-go`) and a Go module proxy within reach. Without it, `npm test` runs the " +
      "same suites on the versions of Debian.",
  );
  process.exitCode = 1;
}

async function testAll(chosen: readonly string[]): Promise<number> {
  const isChosen = (name: string) => chosen.length === 0 || chosen.some((start) => name.startsWith(start));
  const head = ["server", "version", "from", "suite", "passed", "failed", "seconds"];
  const table = new Table({ head, style: { head: [], border: [], compact: true } });
  const failures: string[] = [];
  for await (const { server, version, origin, program } of candidates(isChosen)) {
    const { name, ...suite } = suites[server];
    console.log(`${server} ${version}: ${name}`);
    const result: Result = await runSuite({ name, ...suite }, program);
    table.push([server, version, origin, name, result.passed, result.failed, result.seconds.toFixed(0)]);
    failures.push(...result.failures.map((failure) => `${server} ${version}: ${failure}`));
  }
  for (const failure of failures) console.error(`\n${failure}`);
  console.log(table.toString());
  if (table.length === 0) console.error(`no version begins with ${chosen.join(" or ")}`);
  return failures.length === 0 && table.length > 0 ? 0 : 1;
}

async function* candidates(isChosen: (name: string) => boolean): AsyncGenerator<Candidate> {
  for (const server of ["nats-server", "etcd"] as const) {
    const version = await versionHere(server);
    if (isChosen(`${server}-${version}`)) yield { server, version, origin: "found here" };
  }
  for (const release of releases) {
    if (!isChosen(`${release.server}-${release.version}`)) continue;
    yield { ...release, origin: "built", program: await build(release) };
  }
}

async function versionHere(server: Server): Promise<string> {
  const [backend] = server === "etcd" ? [await startEtcd()] : await startNats();
  await backend?.[Symbol.asyncDispose]();
  return backend?.version ?? "unknown";
}
