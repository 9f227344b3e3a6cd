// A herd of agents in one process; `herd.ts` starts it and says what its environment means.
import { createServer } from "node:http";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { silenceTransport } from "@sluice/protocol";
import { untilSignal } from "@sluice/runtime";
import { until } from "@sluice/testbed";
import type { HerdStatus } from "./herd.ts";
import { createMember, type Member } from "./member.ts";

const startingMax = 10;
const startWithinMs = 60_000;
const ready = new Set<Member>();

// A thousand streams that break at once are a thousand errors, whose stacks nobody reads.
process.setSourceMapsEnabled(false);
Error.stackTraceLimit = 0;
silenceTransport();
const { HERD_COUNT, HERD_SLOTS, HERD_PORT, HERD_AT_ONCE, HERD_API_SERVERS = "", SLUICE_JOIN_TOKEN = "" } = process.env;
const members = Array.from({ length: Number(HERD_COUNT) }, (_, index) =>
  createMember({
    agentId: `herd-${index}`,
    apiServers: HERD_API_SERVERS.split(","),
    joinToken: SLUICE_JOIN_TOKEN,
    slots: Number(HERD_SLOTS),
  }),
);

const lag = monitorEventLoopDelay();
lag.enable();
const server = createServer((_request, response) => {
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify(statusOf(members)));
  lag.reset();
});
server.listen(Number(HERD_PORT), "127.0.0.1");
await untilSignal(async (signal) => {
  // Hosts of their own would not compete for one processor while they start.
  const running: Promise<void>[] = [];
  for (const [index, member] of members.entries()) {
    running.push(member.run(signal));
    if (HERD_AT_ONCE === "yes") continue;
    const areStarting = () => members.slice(0, index + 1).filter((one) => !wasReady(one)).length;
    const mayGoOn = () => signal.aborted || areStarting() < startingMax;
    // Agents that do not come are the scenario's to complain about.
    await until(mayGoOn, { what: "agents do not start", timeoutMs: startWithinMs }).catch(() => undefined);
  }
  await Promise.all(running);
});
server.close();
process.exit(0);

/** Now or before. */
function wasReady(member: Member): boolean {
  if (member.agent?.isReady) ready.add(member);
  return ready.has(member);
}

function statusOf(herd: readonly Member[]): HerdStatus {
  const agents = herd.flatMap(({ agent }) => (agent ? [agent] : []));
  return {
    ready: agents.filter(({ isReady }) => isReady).length,
    streams: agents.map(({ streamCount }) => streamCount),
    running: agents.reduce((sum, { runningCount }) => sum + runningCount, 0),
    heartbeatAgeMs: Math.max(0, ...agents.map(({ heartbeatAgeMs }) => heartbeatAgeMs ?? 0)),
    lagMs: Math.round(lag.max / 1e6),
    fences: herd.reduce((sum, { fences }) => sum + fences, 0),
  };
}
