// The incarnations of agents: at most one of an agent lives, and who is dead stays dead.
import type { AgentIncarnation, AgentRecord, AgentRecords } from "@sluice/store";
import type { Model } from "./model-store.ts";
import { assertBatch, storable } from "./storable.ts";
import { type Incarnation, inOrder, type Tables } from "./tables.ts";

/** So many incarnations of an agent are remembered, for repeated registrations. */
const incarnationsKept = 8;

export function agentRecords(model: Model): AgentRecords {
  const { tables, now } = model;
  return {
    async register(agent) {
      return register(model, agent);
    },
    async renew(agents) {
      assertBatch(agents, "renew");
      const renewed = new Set<Incarnation>();
      for (const agent of [...agents].sort((a, b) => inOrder(a.agentId, b.agentId))) {
        const found = find(tables, agent);
        if (found !== undefined && !found.isDead && !found.fenced) renewed.add(found);
      }
      for (const each of renewed) each.renewedAt = Math.max(each.renewedAt, now());
      return [...renewed].map(({ agentId, incarnation }) => ({ agentId, incarnation }));
    },
    async list() {
      const alive = [...tables.agents.values()].flatMap((incarnations) => incarnations.filter(({ isDead }) => !isDead));
      return alive.sort((a, b) => inOrder(a.agentId, b.agentId)).map(toRecord);
    },
    async fence(agent) {
      const found = find(tables, agent);
      if (found === undefined || found.isDead) return false;
      // Its silence begins with the first fence.
      if (!found.fenced) found.renewedAt = Math.max(found.renewedAt, now());
      found.fenced = true;
      return true;
    },
    async markDead(agent, silentMs) {
      const found = find(tables, agent);
      if (found === undefined) return true;
      if (found.renewedAt <= now() - silentMs) found.isDead = true;
      return found.isDead;
    },
    async deregister(agent) {
      const found = find(tables, agent);
      if (found !== undefined) found.isDead = true;
    },
  };
}

function register({ tables, now }: Model, agent: Parameters<AgentRecords["register"]>[0]): AgentIncarnation {
  const agentId = storable(agent.agentId);
  const registrationId = storable(agent.registrationId);
  const incarnations = tables.agents.get(agentId) ?? [];
  const known = incarnations.find((each) => each.registrationId === registrationId);
  if (known !== undefined) return { agentId, incarnation: known.incarnation };
  for (const each of incarnations) each.isDead = true;
  const incarnation = (incarnations.at(-1)?.incarnation ?? 0) + 1;
  const created: Incarnation = {
    agentId,
    incarnation,
    address: storable(agent.address),
    slots: agent.slots,
    version: storable(agent.version),
    renewedAt: now(),
    fenced: false,
    registrationId,
    isDead: false,
  };
  tables.agents.set(agentId, [...incarnations, created].slice(-incarnationsKept));
  return { agentId, incarnation };
}

function find({ agents }: Tables, { agentId, incarnation }: AgentIncarnation): Incarnation | undefined {
  return agents.get(agentId)?.find((each) => each.incarnation === incarnation);
}

function toRecord({ agentId, incarnation, address, slots, version, renewedAt, fenced }: Incarnation): AgentRecord {
  return { agentId, incarnation, address, slots, version, renewedAt, fenced };
}
