// The rows of agents: who lives, and since when it was not heard of. A row that is dead stays dead.
import { assertBatch } from "./bounds.ts";
import type { AgentIncarnation, AgentRecord, AgentRecords } from "./index.ts";
import { int8Array, textArray } from "./parameters.ts";
import { nowSql, type Sql, statement } from "./sql.ts";
import type { Database } from "./sql-store.ts";

/** So many incarnations of an agent are kept, for repeated registrations. */
const incarnationsKept = 8;

/** Two registrations of one agent follow each other. An advisory lock, because there may be no row yet. */
const lockStatement = statement(
  "lock_agent",
  "select pg_advisory_xact_lock(hashtextextended('agent ' || $1::text, 0))::text as locked",
);

const registeredStatement = statement(
  "registered_agent",
  "select incarnation from agents where agent_id = $1::text and registration_id = $2::text",
);

const replaceStatement = statement(
  "replace_agent",
  "update agents set dead = true where agent_id = $1::text and not dead",
);

const registerStatement = statement(
  "register_agent",
  `
insert into agents (agent_id, incarnation, registration_id, address, slots, version, renewed_at)
select $1::text, coalesce(max(incarnation), 0) + 1, $2::text, $3::text, $4::int4, $5::text, ${nowSql("$6")}
from agents where agent_id = $1::text
returning incarnation`,
);

const forgetStatement = statement(
  "forget_agents",
  `delete from agents where agent_id = $1::text and incarnation <= $2::int8 - ${incarnationsKept}`,
);

/** Index: the primary key. Rows come sorted by key: two gateways may renew the same agents. */
const renewStatement = statement(
  "renew_agents",
  `
update agents a set renewed_at = greatest(a.renewed_at, ${nowSql("$3")})
from (
  select agent_id, incarnation
  from unnest($1::text[], $2::int8[]) with ordinality as given (agent_id, incarnation, n)
  order by n
) as g
where a.agent_id = g.agent_id and a.incarnation = g.incarnation and not a.dead and not a.fenced
returning a.agent_id, a.incarnation`,
);

/** Index: agents_alive. */
const listStatement = statement(
  "list_agents",
  `
select agent_id, incarnation, address, slots, version, renewed_at, fenced
from agents where not dead
order by agent_id`,
);

/**
 * Counts as a renewal, once: until its key was deleted, the agent may have been kept valid by the other place, so its
 * silence begins now.
 */
const fenceStatement = statement(
  "fence_agent",
  `
update agents set fenced = true, renewed_at = case when fenced then renewed_at else greatest(renewed_at, ${nowSql("$3")}) end
where agent_id = $1::text and incarnation = $2::int8 and not dead
returning agent_id`,
);

/**
 * Locks the row before it looks: a renewal in flight is waited for, and counts. An incarnation that is not there was
 * replaced long ago.
 */
const markDeadStatement = statement(
  "mark_agent_dead",
  `
with agent as materialized (
  select agent_id, incarnation, dead, renewed_at
  from agents where agent_id = $1::text and incarnation = $2::int8 for update
),
marked as (
  update agents a set dead = true
  from agent g
  where a.agent_id = g.agent_id and a.incarnation = g.incarnation and not g.dead
    and g.renewed_at <= ${nowSql("$4")} - $3::int8
  returning a.agent_id
)
select exists (select from marked) or coalesce((select dead from agent), true) as dead`,
);

const deregisterStatement = statement(
  "deregister_agent",
  "update agents set dead = true where agent_id = $1::text and incarnation = $2::int8 and not dead",
);

/** For the conformance suite, which looks at their plans. */
export const agentsStatements = { renew: renewStatement, list: listStatement };

interface IncarnationColumns {
  readonly agent_id: string;
  readonly incarnation: number;
}

interface AgentColumns extends IncarnationColumns {
  readonly address: string;
  readonly slots: number;
  readonly version: string;
  readonly renewed_at: number;
  readonly fenced: boolean;
}

export function agentRecords({ sql, now }: Database): AgentRecords {
  return {
    register: (agent) => sql.transaction((transaction) => register(transaction, agent, now())),
    async renew(agents) {
      assertBatch(agents, "renew");
      const sorted = [...agents].sort((a, b) => (a.agentId < b.agentId ? -1 : 1));
      const rows = await sql.query<IncarnationColumns>(renewStatement, [
        textArray(sorted.map((agent) => agent.agentId)),
        int8Array(sorted.map((agent) => agent.incarnation)),
        now(),
      ]);
      return rows.map((row) => ({ agentId: row.agent_id, incarnation: row.incarnation }));
    },
    async list() {
      return (await sql.query<AgentColumns>(listStatement)).map(toRecord);
    },
    async fence({ agentId, incarnation }) {
      return (await sql.query(fenceStatement, [agentId, incarnation, now()])).length === 1;
    },
    async markDead({ agentId, incarnation }, silentMs) {
      const parameters = [agentId, incarnation, silentMs, now()];
      const [row] = await sql.query<{ dead: boolean }>(markDeadStatement, parameters);
      return row?.dead === true;
    },
    async deregister({ agentId, incarnation }) {
      await sql.query(deregisterStatement, [agentId, incarnation]);
    },
  };
}

async function register(
  sql: Sql,
  agent: Parameters<AgentRecords["register"]>[0],
  now: number | null,
): Promise<AgentIncarnation> {
  const { agentId, registrationId } = agent;
  await sql.query(lockStatement, [agentId]);
  const [known] = await sql.query<IncarnationColumns>(registeredStatement, [agentId, registrationId]);
  if (known !== undefined) return { agentId, incarnation: known.incarnation };
  await sql.query(replaceStatement, [agentId]);
  const parameters = [agentId, registrationId, agent.address, agent.slots, agent.version, now];
  const [registered] = await sql.query<IncarnationColumns>(registerStatement, parameters);
  const incarnation = registered?.incarnation ?? 0;
  await sql.query(forgetStatement, [agentId, incarnation]);
  return { agentId, incarnation };
}

function toRecord(row: AgentColumns): AgentRecord {
  return {
    agentId: row.agent_id,
    incarnation: row.incarnation,
    address: row.address,
    slots: row.slots,
    version: row.version,
    renewedAt: row.renewed_at,
    fenced: row.fenced,
  };
}
