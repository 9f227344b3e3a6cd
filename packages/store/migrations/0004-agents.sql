-- One row per incarnation; the latest few of an agent are kept, so that a repeated registration finds its own.
create table agents (
  agent_id text collate "C" not null,
  incarnation int8 not null,
  registration_id text collate "C" not null,
  address text not null,
  slots int4 not null,
  version text not null,
  renewed_at int8 not null,
  fenced bool not null default false,
  dead bool not null default false,
  primary key (agent_id, incarnation),
  unique (agent_id, registration_id)
) with (fillfactor = 50);
-- At most one incarnation of an agent lives.
create unique index agents_alive on agents (agent_id) where not dead;
