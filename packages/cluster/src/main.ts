import { once, setMaxListeners } from "node:events";
import { relative } from "node:path";
import { AppError } from "@sluice/core";
import { readConfig, untilSignal } from "@sluice/runtime";
import { type Cluster, startCluster } from "./cluster.ts";
import { lineOf, readyText } from "./report.ts";
import type { Environment } from "./services/environment.ts";
import { serviceKinds } from "./services/kinds.ts";
import { clusterSpec } from "./settings.ts";

setMaxListeners(0);
const { nats, dataDir, ...config } = readConfig(clusterSpec);
const say = (text: string) => process.stdout.write(`${text}\n`);
try {
  await untilSignal(run);
} catch (cause) {
  if (!(cause instanceof AppError)) throw cause;
  process.stderr.write(`sluice-cluster: ${cause.message}\n`);
  process.exitCode = 1;
}

async function run(signal: AbortSignal): Promise<void> {
  const cluster = await start(signal);
  if (!cluster) return;
  say(readyText(cluster, typedHere(cluster.dataDir)));
  if (!signal.aborted) await once(signal, "abort");
  say("\nStopping. Ctrl-C again ends everything at once.");
  await cluster.stop();
  await cluster[Symbol.asyncDispose]();
}

/** Undefined when it was asked to end before it was ready. */
async function start(signal: AbortSignal): Promise<Cluster | undefined> {
  try {
    return await startCluster({
      ...config,
      nats: nats === "3" ? 3 : 1,
      ...(dataDir !== undefined && { dataDir }),
      environment: Object.fromEntries(serviceKinds.map((kind) => [kind, variablesOf(kind)])),
      signal,
      onStarted: (part) => say(lineOf(part)),
      onRestart: ({ name }, failure) =>
        say(failure === undefined ? `${name} is gone; starting it again` : `${name} cannot be started: ${failure}`),
    });
  } catch (cause) {
    if (signal.aborted) return undefined;
    throw cause;
  }
}

/** `SLUICE_AGENT_SLOTS=8 npm run cluster` sets it for every agent. */
function variablesOf(kind: string): Environment {
  const prefix = `SLUICE_${kind.replaceAll("-", "_").toUpperCase()}_`;
  return Object.fromEntries(
    Object.entries(process.env).flatMap(([name, value]) => (name.startsWith(prefix) && value ? [[name, value]] : [])),
  );
}

/** As it is to be typed in the folder where we were started. */
function typedHere(path: string): string {
  const fromHere = relative(process.cwd(), path);
  return fromHere.startsWith("..") ? path : fromHere;
}
