import { assertBatch, logBytesMax } from "./bounds.ts";
import type { LogPiece, LogRecords } from "./index.ts";
import { byteaArray, int2Array, int4Array, int8Array } from "./parameters.ts";
import { statement } from "./sql.ts";
import type { Database } from "./sql-store.ts";

const streams = ["stdout", "stderr"] as const;

/**
 * Index: the primary key. Each piece notes where the attempt's log begins and ends with it, so that the bound is checked by
 * looking at the last piece instead of adding up all of them. The piece that crosses the bound is cut, and nothing follows
 * it. One agent writes the log of an attempt, piece after piece; a batch that it repeats is there already and changes
 * nothing.
 */
export const appendStatement = statement(
  "append_logs",
  `
with given as (
  select g.*
  from unnest($1::int8[], $2::int4[], $3::int4[], $4::int2[], $5::int8[], $6::bytea[])
    as g (task_seq, attempt, piece, stream, written_at, data)
  where not exists (
    select from log_pieces l where l.task_seq = g.task_seq and l.attempt = g.attempt and l.piece = g.piece
  )
),
placed as (
  select g.*,
    sum(octet_length(g.data)) over (partition by g.task_seq, g.attempt order by g.piece)::int8
      + coalesce((
        select l.bytes_until from log_pieces l
        where l.task_seq = g.task_seq and l.attempt = g.attempt
        order by l.task_seq desc, l.attempt desc, l.piece desc limit 1
      ), 0) as bytes_until
  from given g
)
insert into log_pieces (task_seq, attempt, piece, stream, written_at, bytes_until, data)
select
  task_seq, attempt, piece, stream, written_at,
  least(bytes_until, ${logBytesMax}),
  case
    when bytes_until <= ${logBytesMax} then data
    else substring(data for (octet_length(data) - (bytes_until - ${logBytesMax}))::int4)
  end
from placed
where bytes_until - octet_length(data) < ${logBytesMax}
order by task_seq, attempt, piece
on conflict (task_seq, attempt, piece) do nothing`,
);

/** Index: the primary key. */
export const readLogStatement = statement(
  "read_log",
  `
select task_seq, attempt, piece, stream, written_at, data
from log_pieces
where task_seq = $1::int8 and attempt = $2::int4 and piece > $3::int4
order by task_seq, attempt, piece
limit $4::int8`,
);

interface PieceColumns {
  readonly task_seq: number;
  readonly attempt: number;
  readonly piece: number;
  readonly stream: number;
  readonly written_at: number;
  readonly data: Uint8Array;
}

export function logRecords({ sql }: Database): LogRecords {
  return {
    async append(pieces) {
      assertBatch(pieces, "log pieces");
      if (pieces.length === 0) return;
      await sql.query(appendStatement, [
        int8Array(pieces.map((piece) => piece.seq)),
        int4Array(pieces.map((piece) => piece.attempt)),
        int4Array(pieces.map((piece) => piece.index)),
        int2Array(pieces.map((piece) => streams.indexOf(piece.stream))),
        int8Array(pieces.map((piece) => piece.at)),
        byteaArray(pieces.map((piece) => piece.data)),
      ]);
    },
    async read({ seq, attempt, after, limit }) {
      assertBatch(limit, "log pieces");
      return (await sql.query<PieceColumns>(readLogStatement, [seq, attempt, after, limit])).map(toPiece);
    },
  };
}

function toPiece(row: PieceColumns): LogPiece {
  return {
    seq: row.task_seq,
    attempt: row.attempt,
    index: row.piece,
    stream: streams[row.stream] ?? "stdout",
    at: row.written_at,
    data: row.data,
  };
}
