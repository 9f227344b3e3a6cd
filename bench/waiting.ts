// `npm run bench -- --waiting 1000000`: a queue in which so many tasks wait. How much memory its scheduler takes, and
// whether the first of them starts later than a task that waits alone.
import type { SluiceClient } from "@sluice/client";
import { bulkSubmit, deploy, drained } from "./figures.ts";
import { usageOf } from "./processes.ts";
import type { Target } from "./targets.ts";

export interface WaitingFigures {
  readonly waiting: number;
  readonly bulkSubmitPerSecond: number;
  readonly schedulerRssMb: { readonly before: number; readonly waiting: number };
  /** From the readiness of the agent to the start of the first handler, in ms: an instance has to be started, too. */
  readonly firstStartMs: { readonly alone: readonly number[]; readonly ofMany: number };
}

export async function measureWaiting(target: Target, waiting: number, instances: number): Promise<WaitingFigures> {
  const { client, agent } = target;
  if (!agent) throw new Error("only a cluster's agent can be stopped alone");
  const functionName = "waits";
  await deploy(client, { name: functionName, concurrency: 10 }, instances);
  const rss = () => usageOf(target.processes())["scheduler-0"]?.rssMb ?? 0;
  const before = rss();
  const alone: number[] = [];
  for (let n = 0; n < 3; n++) {
    await agent.stop();
    await bulkSubmit(client, functionName, `alone${n}`, 1);
    alone.push(await firstStart(client, agent, functionName, `alone${n}_0`));
    await drained(client, functionName);
  }
  await agent.stop();
  const bulkSubmitPerSecond = await bulkSubmit(client, functionName, "many", waiting);
  const rssWaiting = rss();
  const ofMany = await firstStart(client, agent, functionName, "many_0");
  return {
    waiting,
    bulkSubmitPerSecond,
    schedulerRssMb: { before, waiting: rssWaiting },
    firstStartMs: { alone, ofMany },
  };
}

async function firstStart(
  client: SluiceClient,
  agent: NonNullable<Target["agent"]>,
  functionName: string,
  taskId: string,
): Promise<number> {
  await agent.start();
  const readyAt = Date.now();
  const { startedAtMs } = await client.wait(functionName, taskId);
  return (startedAtMs ?? Number.NaN) - readyAt;
}
