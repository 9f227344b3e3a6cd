import type { LogPiece, LogRecords } from "@sluice/store";
import type { Model } from "./model-store.ts";
import { assertBatch } from "./storable.ts";
import type { StoredPiece, Tables } from "./tables.ts";

/** The log of an attempt ends here. */
const logBytesMax = 1024 * 1024;

export function logRecords({ tables }: Model): LogRecords {
  return {
    async append(pieces) {
      assertBatch(pieces, "log pieces");
      for (const piece of [...pieces].sort((a, b) => a.index - b.index)) append(tables, piece);
    },
    async read({ seq, attempt, after, limit }) {
      assertBatch(limit, "log pieces");
      const pieces = tables.logs.get(seq)?.get(attempt) ?? [];
      return pieces
        .filter(({ index }) => index > after)
        .slice(0, limit)
        .map(({ bytesUntil: _, ...piece }) => ({ ...piece, data: new Uint8Array(piece.data) }));
    },
  };
}

/** The piece that crosses the bound is cut, and nothing follows it. A piece that is there already is ignored. */
function append({ logs }: Tables, piece: LogPiece): void {
  const attempts = logs.get(piece.seq) ?? new Map<number, StoredPiece[]>();
  const pieces = attempts.get(piece.attempt) ?? [];
  if (pieces.some(({ index }) => index === piece.index)) return;
  const before = pieces.at(-1)?.bytesUntil ?? 0;
  if (before >= logBytesMax) return;
  const data = new Uint8Array(piece.data.subarray(0, logBytesMax - before));
  const stored = { ...piece, data, bytesUntil: before + data.byteLength };
  attempts.set(
    piece.attempt,
    [...pieces, stored].sort((a, b) => a.index - b.index),
  );
  logs.set(piece.seq, attempts);
}
