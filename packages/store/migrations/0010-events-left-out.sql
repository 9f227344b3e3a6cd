-- How many events of a task were left out between its first and its last ones; null: none.
alter table tasks add column events_left_out int4;
