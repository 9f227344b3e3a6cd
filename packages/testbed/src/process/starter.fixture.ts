// Starts what its argument names, says what it has started as one line of JSON, and waits to be killed.
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { startEtcd } from "../etcd.ts";
import { startNats } from "../nats.ts";
import { startPostgres } from "../postgres/postgres.ts";
import { until } from "../time.ts";
import { guardFolder, guardProcess } from "./guard.ts";
import { startProcess } from "./guarded-process.ts";
import { treeOf } from "./tree.mjs";

const folder = mkdtempSync(join(tmpdir(), "sluice-fixture-"));
guardFolder(folder);
const folders = [folder];

switch (process.argv[2]) {
  case "backends": {
    const backends = await Promise.all([startEtcd(), startNats().then((servers) => servers[0]), startPostgres()]);
    folders.push(...backends.flatMap((backend) => (backend ? [dirname(backend.logFile)] : [])));
    break;
  }
  case "family": {
    // A shell that ignores every polite signal, with a child in a session of its own.
    const script = "trap '' TERM INT QUIT; setsid sleep 1000 & while :; do sleep 1000; done";
    const shell = startProcess({
      name: "family",
      command: "/bin/sh",
      args: ["-c", script],
      logFile: join(folder, "log"),
    });
    const hasChildren = () => treeOf(shell.pid ?? 0).length >= 3;
    await until(hasChildren, { what: "the shell has no children", timeoutMs: 10_000 });
    break;
  }
  case "frozen":
    startProcess({ name: "frozen", command: "/bin/sleep", args: ["1000"], logFile: join(folder, "log") }).kill(
      "SIGSTOP",
    );
    break;
}
// The guard hears of what it was told before this line.
guardProcess("the last word");
const others = treeOf(process.pid).filter(({ pid }) => pid !== process.pid);
process.stdout.write(`${JSON.stringify({ processes: others, folders })}\n`);
setInterval(() => undefined, 1_000);
