-- Null: none. Filters of lists, pauses and operations compare them; no index serves them.
alter table tasks
  add column tags text[],
  -- Number of the operation that had to stop it one by one, because its owner was at work on it.
  add column operation int8;
-- What operations wait for: few rows, and none of those that are inserted or settled otherwise.
create index tasks_operation on tasks (operation, queue, lane, seq) where operation is not null;

create table pauses (
  pause_id text collate "C" primary key,
  -- In the times of rows that it parked; never used again.
  pause_number int8 generated always as identity unique,
  -- Null: of a queue.
  account_id text collate "C",
  target jsonb not null,
  reason text not null,
  created_by text collate "C" not null,
  created_at int8 not null
);
create index pauses_account on pauses (account_id, pause_number);

create table operations (
  operation_id text collate "C" primary key,
  operation_number int8 generated always as identity unique,
  account_id text collate "C" not null,
  -- 0 stop, 1 delete.
  kind int2 not null,
  filter jsonb not null,
  created_by text collate "C" not null,
  -- Of rows that were enqueued before.
  created_at int8 not null,
  cancelled_at int8,
  finished_at int8
);
create index operations_account on operations (account_id, operation_number);
-- What owners have to work on.
create index operations_open on operations (operation_number) where cancelled_at is null and finished_at is null;

-- How far each lane is. Its owner writes it together with the rows.
create table operation_lanes (
  operation_number int8 not null,
  queue text collate "C" not null,
  lane int2 not null,
  matched int8 not null default 0,
  done int8 not null default 0,
  failed int8 not null default 0,
  finished_at int8,
  primary key (operation_number, queue, lane)
);
