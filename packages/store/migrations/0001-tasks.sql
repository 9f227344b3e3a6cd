-- Times are milliseconds since the epoch. Texts sort by their bytes (collation "C"), so that indexes serve prefixes.

-- The highest epoch seen for each lane of a queue. Owners lock the row `for share` before they write (`fence.ts`); it has
-- room on its page, because a take-over rewrites it.
create table floors (
  queue text collate "C" primary key,
  epochs int8[] not null check (cardinality(epochs) = 32)
) with (fillfactor = 20);

create table tasks (
  -- What messages and hot statements use.
  seq int8 generated always as identity,
  enqueued_at int8 not null,
  -- When it was last published to the queue.
  announced_at int8 not null,
  -- The floor of its lane when it was inserted or unparked.
  stamp int8 not null,
  -- Parked until then; null: not parked.
  due_at int8,
  expires_at int8,
  -- Of the latest attempt that started.
  started_at int8,
  -- When it became final; null: not final.
  ended_at int8,
  attempt int4 not null default 1 check (attempt >= 1),
  retries int4 not null default 0,
  lost_attempts int4 not null default 0,
  lane int2 not null check (lane between 0 and 31),
  priority int2 not null check (priority between 0 and 3),
  -- 0 Enqueued, 1 Running, 2 Retrying; final ones: 10 Succeeded, 11 Failed, 12 Stopped, 13 Expired, 14 Invalid.
  -- 3 Stopping is never stored, but read off stop_requested.
  status int2 not null default 0,
  stop_requested bool not null default false,
  account_id text collate "C" not null,
  function_name text collate "C" not null,
  task_id text collate "C" not null,
  queue text collate "C" not null,
  submission_token text,
  park_reason text,
  agent_id text,
  instance_id text,
  -- JSON text.
  progress text,
  payload bytea not null,
  result bytea,
  error jsonb,
  -- Every step but the first, which is read off enqueued_at.
  events jsonb,
  primary key (account_id, function_name, task_id),
  constraint final_has_end check ((ended_at is null) = (status < 10)),
  constraint parked_has_reason check ((due_at is null) = (park_reason is null)),
  constraint final_is_not_parked check (ended_at is null or due_at is null)
);

-- Payloads are often small or compressed already; trying to compress each large one costs more than the disk it saves.
alter table tasks alter column payload set storage external, alter column result set storage external;

-- By number: read, write, unpark, purge.
create unique index tasks_seq on tasks (seq);
-- Lists, newest or oldest first.
create index tasks_account_time on tasks (account_id, enqueued_at, seq);
create index tasks_function_time on tasks (account_id, function_name, enqueued_at, seq);
-- Lists by status, counting what is not final for admission. Most rows end as Succeeded and leave this index with that; a
-- list of those walks the indexes above. The expression is the status that users see, 3 being Stopping.
create index tasks_status on tasks
  (account_id, (case when stop_requested and ended_at is null then 3 else status end), enqueued_at, seq)
  where status <> 10;
-- Sweeping, and rebuilding an embedded queue: in the order of announcement, so that what was looked at is not looked at again.
-- The lane rides along so that rows of other owners are skipped in the index.
create index tasks_waiting on tasks (queue, priority, announced_at, seq, lane) where ended_at is null and due_at is null;
-- Unparking: due rows of one priority, so that a crowd of one never hides another.
create index tasks_parked on tasks (queue, priority, due_at, lane) where due_at is not null;
-- Rows that expire while they are parked.
create index tasks_parked_expiry on tasks (queue, expires_at, lane) where due_at is not null and expires_at is not null;
-- Rows to be stopped.
create index tasks_stop_requested on tasks (queue, seq, lane) where stop_requested and ended_at is null;
-- Retention.
create index tasks_ended on tasks (queue, ended_at, lane) where ended_at is not null;
