import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";

// A task's payload may be 128 KiB; half of it leaves room and makes tasks small enough to spread well.
const bytesMaxDefault = 64 * 1024;

export interface SlicesOptions {
  /** The size that no slice exceeds. Default: 64 KiB. */
  readonly bytesMax?: number;
  /** A csvlog, gzipped if its name ends in `.gz`. Default: the recorded log of this example. */
  readonly file?: string | URL;
}

/** Reads a PostgreSQL csvlog and cuts it at entry boundaries. Joined again, the slices are the log. */
export function slices(options: SlicesOptions = {}): Buffer[] {
  const file = options.file ?? new URL("log/postgresql.csv.gz", import.meta.url);
  const content = readFileSync(file);
  const isCompressed = String(file).endsWith(".gz");
  return cut(isCompressed ? gunzipSync(content) : content, options.bytesMax ?? bytesMaxDefault);
}

/** Cuts a log into the fewest slices that hold whole entries and at most `bytesMax` bytes each. */
export function cut(log: Buffer, bytesMax: number): Buffer[] {
  const parts: Buffer[] = [];
  let sliceStart = 0;
  let entryStart = 0;
  for (const entryEnd of entryEnds(log)) {
    if (entryEnd - entryStart > bytesMax) {
      throw new RangeError(`the entry at byte ${entryStart} has ${entryEnd - entryStart} bytes, over ${bytesMax}`);
    }
    if (entryEnd - sliceStart > bytesMax) {
      parts.push(log.subarray(sliceStart, entryStart));
      sliceStart = entryStart;
    }
    entryStart = entryEnd;
  }
  if (sliceStart < log.length) parts.push(log.subarray(sliceStart));
  return parts;
}

/**
 * Where each entry ends. A statement may contain line feeds, even lines that look like an entry, but only inside a
 * quoted column, where every quote is doubled: a line feed after an even number of quotes ends the entry.
 */
function* entryEnds(log: Buffer): Generator<number> {
  const quote = 0x22;
  const lineFeed = 0x0a;
  let isQuoted = false;
  for (let index = 0; index < log.length; index++) {
    const byte = log[index];
    if (byte === quote) isQuoted = !isQuoted;
    if (byte === lineFeed && !isQuoted) yield index + 1;
  }
  // The last entry may lack its line feed.
  if (isQuoted || log.at(-1) !== lineFeed) yield log.length;
}
