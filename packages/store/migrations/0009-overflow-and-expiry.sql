-- Rows of flows that overflowed their owner's memory, by flow and urgency: its owner takes them out as it gets room. Other rows
-- are not in it, so it costs them nothing.
create index tasks_overflow on tasks (queue, account_id, function_name, priority, enqueued_at, seq, lane)
  where park_reason = 'overflow';

-- The expiry rides along, so that an owner finds what is past it without a look at the table: eight bytes of an entry that is
-- written anyway, where an index of its own would cost every insert another entry.
create index tasks_waiting_new on tasks (queue, priority, announced_at, seq, lane) include (expires_at)
  where ended_at is null and due_at is null;
drop index tasks_waiting;
alter index tasks_waiting_new rename to tasks_waiting;
