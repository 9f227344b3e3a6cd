// A task whose handler kills the agent that runs it. It must end as Failed after the attempts that may be lost, and everybody
// else's work goes on.
import { isFinal } from "@sluice/client";
import { functionZip } from "../../test/integration/function-zip.ts";
import type { Scenario, Stage } from "../contract.ts";
import { namesOf } from "./ownership.ts";

/** The parent of an instance is its agent, where no sandbox stands in between. */
const handler = `exports.handler = () => { process.kill(process.ppid, "SIGKILL"); return new Promise(() => undefined); };`;
const name = "poison";
/** One that was given, and three more that were lost and did not count. */
const attemptsMax = 4;

export const poison: Scenario = {
  name: "poison",
  about: "a task kills whatever agent runs it: it is Failed after four agents, and all other work goes on",
  async run(stage) {
    await using client = stage.arena.connect();
    const settings = { runtime: "nodejs20", handler: "index.handler", timeoutMs: 60_000 };
    await client.functions.deploy({ name, settings, codeZip: await functionZip({ "index.js": handler }) });
    const { taskId } = await client.submit({ function: name });

    const victims = new AbortController();
    const revived = reviveAgents(stage, victims.signal);
    const task = await client.wait(name, taskId, { timeoutMs: 240_000 }).finally(() => victims.abort());
    await revived;
    const { status, attempt, error } = task;
    if (!isFinal(task) || status !== "Failed" || attempt !== attemptsMax || error?.type !== "AgentLost") {
      const ended = `${status} (${error?.type ?? "no error"}) in attempt ${attempt}`;
      throw new Error(`the poison ended as ${ended}, not as Failed (AgentLost) in attempt ${attemptsMax}`);
    }
    await stage.workload.started(100);
  },
};

/** Starts agents again as a supervisor would. */
async function reviveAgents(stage: Stage, signal: AbortSignal): Promise<void> {
  const parts = namesOf(stage.arena, "agent").map((agent) => stage.arena.part(agent));
  await Promise.all(
    parts.map(async (part) => {
      while (!signal.aborted) {
        if (part.pid === undefined) {
          const over = stage.mark("crash", part.name);
          await part.start();
          over();
        }
        await stage.sleep(50);
      }
    }),
  );
}
