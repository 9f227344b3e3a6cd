import { UsageError } from "./errors.ts";

const lineBytesMax = 4 * 1024 * 1024;
const newline = 10;
const carriageReturn = 13;

/** The lines of a stream as bytes, without their ends; empty lines are left out. */
export async function* readLines(input: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of input) {
    let start = 0;
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, start)) {
      const line = joined(parts, chunk.subarray(start, end));
      if (line.length > 0) yield line;
      parts = [];
      bytes = 0;
      start = end + 1;
    }
    if (start < chunk.length) parts.push(chunk.subarray(start));
    bytes += chunk.length - start;
    if (bytes > lineBytesMax) throw new UsageError(`a line of the input is longer than ${lineBytesMax} bytes`);
  }
  const last = joined(parts, new Uint8Array());
  if (last.length > 0) yield last;
}

function joined(parts: readonly Uint8Array[], last: Uint8Array): Uint8Array {
  const line = parts.length === 0 ? last : Buffer.concat([...parts, last]);
  return line.at(-1) === carriageReturn ? line.subarray(0, -1) : line;
}
