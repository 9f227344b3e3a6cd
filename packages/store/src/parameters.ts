// Arrays as parameters in PostgreSQL's binary format, which every driver can send: next to the text format it saves quoting
// here and parsing there, and `bytea` does not double into hexadecimal.

const oids = { bytea: 17, int8: 20, int2: 21, int4: 23, text: 25, jsonb: 3802 } as const;

/** Five numbers: dimensions, has nulls, type of the elements, length, lower bound. */
const headerBytes = 20;

export function int8Array(values: readonly (number | undefined)[]): Uint8Array {
  return fixedArray(oids.int8, 8, values, (buffer, value, at) => {
    buffer.writeInt32BE(Math.floor(value / 2 ** 32), at);
    buffer.writeUInt32BE(value >>> 0, at + 4);
  });
}

export function int4Array(values: readonly (number | undefined)[]): Uint8Array {
  return fixedArray(oids.int4, 4, values, (buffer, value, at) => buffer.writeInt32BE(value, at));
}

export function int2Array(values: readonly (number | undefined)[]): Uint8Array {
  return fixedArray(oids.int2, 2, values, (buffer, value, at) => buffer.writeInt16BE(value, at));
}

export function textArray(values: readonly (string | undefined)[]): Uint8Array {
  const sizes = values.map((value) => (value === undefined ? -1 : Buffer.byteLength(value)));
  return variableArray(oids.text, sizes, (buffer, index, at) => buffer.write(values[index] ?? "", at, "utf8"));
}

export function byteaArray(values: readonly (Uint8Array | undefined)[]): Uint8Array {
  const sizes = values.map((value) => value?.byteLength ?? -1);
  return variableArray(oids.bytea, sizes, (buffer, index, at) => {
    const value = values[index];
    if (value !== undefined) buffer.set(value, at);
  });
}

/** Elements are JSON texts. */
export function jsonbArray(values: readonly (string | undefined)[]): Uint8Array {
  const sizes = values.map((value) => (value === undefined ? -1 : Buffer.byteLength(value) + 1));
  return variableArray(oids.jsonb, sizes, (buffer, index, at) => {
    // The binary format of jsonb is a version byte before the text.
    buffer[at] = 1;
    buffer.write(values[index] ?? "", at + 1, "utf8");
  });
}

function fixedArray(
  oid: number,
  width: number,
  values: readonly (number | undefined)[],
  write: (buffer: Buffer, value: number, at: number) => void,
): Uint8Array {
  const sizes = values.map((value) => (value === undefined ? -1 : width));
  return variableArray(oid, sizes, (buffer, index, at) => write(buffer, values[index] ?? 0, at));
}

/** `sizes`: bytes of each element, -1 for null. */
function variableArray(
  oid: number,
  sizes: readonly number[],
  write: (buffer: Buffer, index: number, at: number) => void,
): Uint8Array {
  let total = headerBytes;
  let hasNulls = 0;
  for (const size of sizes) {
    total += 4 + Math.max(size, 0);
    if (size < 0) hasNulls = 1;
  }
  const buffer = Buffer.allocUnsafe(sizes.length === 0 ? 12 : total);
  buffer.writeInt32BE(sizes.length === 0 ? 0 : 1, 0);
  buffer.writeInt32BE(hasNulls, 4);
  buffer.writeInt32BE(oid, 8);
  if (sizes.length === 0) return buffer;
  buffer.writeInt32BE(sizes.length, 12);
  buffer.writeInt32BE(1, 16);
  let at = headerBytes;
  for (const [index, size] of sizes.entries()) {
    buffer.writeInt32BE(size, at);
    at += 4;
    if (size >= 0) {
      write(buffer, index, at);
      at += size;
    }
  }
  return buffer;
}
