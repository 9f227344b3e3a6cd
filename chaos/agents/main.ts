// A herd of agents in one process; `herd.ts` starts it and says what its environment means.
import { createServer } from "node:http";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { silenceTransport } from "@sluice/protocol";
import { untilSignal } from "@sluice/runtime";
import type { HerdStatus } from "./herd.ts";
import { createMember, type Member } from "./member.ts";

silenceTransport();
const { HERD_COUNT, HERD_SLOTS, HERD_PORT, HERD_API_SERVERS = "", SLUICE_JOIN_TOKEN = "" } = process.env;
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
  await Promise.all(members.map((member) => member.run(signal)));
});
server.close();
process.exit(0);

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
