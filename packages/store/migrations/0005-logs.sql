create table log_pieces (
  task_seq int8 not null,
  attempt int4 not null,
  piece int4 not null,
  stream int2 not null,
  written_at int8 not null,
  -- Bytes of the attempt's log up to the end of this piece.
  bytes_until int8 not null,
  data bytea not null,
  primary key (task_seq, attempt, piece)
);
alter table log_pieces alter column data set storage external;
