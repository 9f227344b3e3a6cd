// An agent's first call. The order keeps old owners out: the row is committed first, so that every owner that
// takes over from now on attaches to this agent; the floors are read in a later snapshot, so that every owner that took over
// before is below them. In the other order a new agent could accept a stale owner.

import { agentKey, type Coordinator } from "@sluice/coordination";
import { AppError } from "@sluice/core";
import type { RegisterResponse } from "@sluice/protocol";
import { agentsTopic, type Signals } from "@sluice/queue";
import type { Logger } from "@sluice/runtime";
import type { AgentIncarnation, Store } from "@sluice/store";
import type { ApiServerMetrics } from "../metrics.ts";

export interface Registrations {
  /**
   * Makes this the agent's only incarnation. Repeated with the same id it gives the same answer; rejects with `AGENT_DEAD`
   * if that incarnation was given up meanwhile.
   */
  register(agent: Parameters<Store["agents"]["register"]>[0]): Promise<RegisterResponse>;
  /** Its caller has killed everything that the incarnation ran. */
  deregister(agent: AgentIncarnation): Promise<void>;
}

export interface RegistrationsOptions {
  readonly store: Store;
  readonly coordinator: Coordinator;
  readonly signals: Signals;
  readonly log: Logger;
  readonly metrics: ApiServerMetrics;
  readonly keyTtlMs: number;
}

const putTriesMax = 5;

export function createRegistrations(options: RegistrationsOptions): Registrations {
  const { store, coordinator, signals, log, metrics } = options;

  async function putKey({ agentId, incarnation }: AgentIncarnation): Promise<void> {
    const key = agentKey(agentId);
    const lease = await coordinator.grant(options.keyTtlMs);
    for (let tries = 0; tries < putTriesMax; tries++) {
      const entry = await coordinator.get(key);
      // A late call must not take the key from the incarnation that replaced its own.
      if (entry !== undefined && Number(entry.value) > incarnation) break;
      const unchanged =
        entry === undefined ? ({ key, is: "absent" } as const) : { key, modRevision: entry.modRevision };
      const put = { op: "put", key, value: String(incarnation), lease } as const;
      if ((await coordinator.commit([unchanged], [put])).succeeded) return;
    }
    await coordinator.revoke(lease);
    throw replaced(agentId);
  }

  async function deleteKey({ agentId, incarnation }: AgentIncarnation): Promise<void> {
    const entry = await coordinator.get(agentKey(agentId));
    if (entry === undefined || entry.value !== String(incarnation)) return;
    await coordinator.commit([{ key: entry.key, modRevision: entry.modRevision }], [{ op: "delete", key: entry.key }]);
  }

  return {
    async register(agent) {
      const registered = await store.agents.register(agent);
      await putKey(registered);
      // A repeated call may come so late that the incarnation was given up. Its owners know nothing of it then, so it must
      // not start, nor live on by a key that nobody deletes any more; and renewed now, it cannot be given up before the
      // agent's own deadline.
      const [alive] = await store.agents.renew([registered]);
      if (alive === undefined) {
        await deleteKey(registered);
        throw replaced(agent.agentId);
      }
      const floors = await store.lanes.allFloors();
      signals.send(agentsTopic, agent.agentId);
      metrics.registrations.inc();
      const { agentId, incarnation } = registered;
      log.info("registered an agent", { agentId, incarnation, address: agent.address, slots: agent.slots });
      return { incarnation, floors: [...floors].map(([queue, lanes]) => ({ queue, floors: [...lanes] })) };
    },

    async deregister(agent) {
      await store.agents.deregister(agent);
      signals.send(agentsTopic, agent.agentId);
      log.info("deregistered an agent", { ...agent });
      try {
        await deleteKey(agent);
      } catch (cause) {
        log.warn("left an agent's key to its lease", { ...agent, cause });
      }
    },
  };
}

function replaced(agentId: string): AppError {
  return new AppError(
    "stale",
    "AGENT_DEAD",
    `this incarnation of ${agentId} is over; kill everything and register with a new registration id`,
  );
}
