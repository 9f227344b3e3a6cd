// How fast the instance pool of an agent comes from nothing: cold starts one by one, and a burst from 0 to 50 instances.
//
//   node --import tsx bench/instance-pool.ts [instances of the burst]
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { createInstancePool, type FunctionSpec } from "@sluice/agent";
import { systemClock, systemRandom } from "@sluice/runtime";

const files = {
  "index.js": `exports.handler = async () => "ok"; exports.slow = () => new Promise((resolve) => setTimeout(resolve, 2000, "ok"));`,
  "main.py": `import time\ndef handler(event, context):\n    return "ok"\ndef slow(event, context):\n    time.sleep(2)\n    return "ok"`,
};
const folder = mkdtempSync(join(tmpdir(), "sluice-pool-"));
const code = join(folder, "code");
mkdirSync(code);
for (const [name, text] of Object.entries(files)) writeFileSync(join(code, name), text);

function openPool(instancesMax: number) {
  return createInstancePool({
    clock: systemClock,
    random: systemRandom,
    code: { acquire: async () => ({ dir: code, release: () => undefined }) },
    guard: { add: () => undefined, remove: () => undefined },
    cgroups: {
      canKill: false,
      canLimitMemory: false,
      canLimitPids: false,
      create: () => ({ refs: [], memoryPeakMb: () => 0 }),
    },
    scope: "bench",
    workDir: join(folder, "work"),
    environment: process.env,
    instancesMax,
  });
}

const spec = (runtime: string, handler: string, revision: number): FunctionSpec => ({
  accountId: "bench",
  functionName: runtime,
  revision,
  runtime,
  handler,
  codeSha256: "0".repeat(64),
  timeoutMs: 60_000,
  memoryMb: 128,
  instanceConcurrency: 1,
  environment: {},
  idleTimeoutMs: 60_000,
  instancesMax: 1_000,
});

/** Milliseconds until the handler is called, and until the answer is there. */
async function run(pool: ReturnType<typeof openPool>, of: FunctionSpec) {
  const startedAt = performance.now();
  let calledAt = Number.NaN;
  const outcome = await pool.run(
    of,
    {
      ...{ requestId: "r", taskId: "t", attempt: 1, retryCount: 0, payload: new Uint8Array(), fenceToken: "f" },
      onLog: () => undefined,
      onStarted: () => {
        calledAt = performance.now();
      },
    },
    new AbortController().signal,
  );
  if (outcome.kind !== "succeeded") throw new Error(`the handler ended as ${outcome.kind}: ${JSON.stringify(outcome)}`);
  return { calledMs: calledAt - startedAt, totalMs: performance.now() - startedAt };
}

const rounded = (values: readonly number[], part: number) =>
  Math.round(
    values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * part))] ?? Number.NaN,
  );

const burst = Number(process.argv[2] ?? 50);
console.log(`${cpus().length} cores, Node ${process.version}`);
try {
  for (const [runtime, file] of [
    ["nodejs20", "index"],
    ["python3", "main"],
  ] as const) {
    const pool = openPool(1_000);
    const cold: number[] = [];
    const warm: number[] = [];
    for (let revision = 1; revision <= 10; revision++) {
      const of = spec(runtime, `${file}.handler`, revision);
      cold.push((await run(pool, of)).totalMs);
      warm.push((await run(pool, of)).totalMs);
    }
    await pool[Symbol.asyncDispose]();
    const crowd = openPool(1_000);
    const called = (
      await Promise.all(Array.from({ length: burst }, () => run(crowd, spec(runtime, `${file}.slow`, 99))))
    ).map(({ calledMs }) => calledMs);
    const figures = {
      coldMs: { p50: rounded(cold, 0.5), max: rounded(cold, 1) },
      warmMs: { p50: rounded(warm, 0.5), max: rounded(warm, 1) },
      burst: {
        instances: crowd.instanceCount,
        firstMs: rounded(called, 0),
        p50Ms: rounded(called, 0.5),
        lastMs: rounded(called, 1),
      },
    };
    console.log(runtime, JSON.stringify(figures));
    await crowd.killAll();
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
