/**
 * A stable 32-bit hash of a text: FNV-1a 64, folded and finalised so that every bit of the answer depends on every
 * character. Part of the protocol between processes of different versions (routes, shards): it must never change.
 */
export function hash32(text: string): number {
  fnv1a64(text);
  return mix32(low ^ mix32(high));
}

/** A stable hash of a text as 16 lower-case hexadecimal digits: plain FNV-1a 64. */
export function hashHex(text: string): string {
  fnv1a64(text);
  return hex32(high) + hex32(low);
}

/** Combines two hashes; `combine(a, b)` differs from `combine(b, a)`. */
export function combine(a: number, b: number): number {
  return mix32((Math.imul(a, 0x9e3779b1) + mix32(b)) | 0);
}

/** A 32-bit hash as a number strictly between 0 and 1. */
export function hashToUnit(hash: number): number {
  return ((hash >>> 0) + 0.5) / 2 ** 32;
}

// The result of `fnv1a64`, which is called too often to allocate a pair each time.
let high = 0;
let low = 0;

/** Works on two halves of 32 bits: a multiplication of `bigint`s costs 30 times as much. */
function fnv1a64(text: string): void {
  high = 0xcbf29ce4;
  low = 0x84222325;
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    step(unit & 0xff);
    // Ids are ASCII, where this is FNV-1a of the bytes; beyond it both bytes of the code unit count.
    if (unit > 0xff) step(unit >>> 8);
  }
}

/** One byte: xor, then multiply by the prime 2^40 + 0x1b3. */
function step(byte: number): void {
  low = (low ^ byte) >>> 0;
  const product = low * 0x1b3;
  high = (Math.imul(high, 0x1b3) + Math.floor(product / 2 ** 32) + (low << 8)) >>> 0;
  low = product >>> 0;
}

/** The finaliser of MurmurHash3. */
function mix32(value: number): number {
  let mixed = value ^ (value >>> 16);
  mixed = Math.imul(mixed, 0x85ebca6b);
  mixed ^= mixed >>> 13;
  mixed = Math.imul(mixed, 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

function hex32(value: number): string {
  return (value >>> 0).toString(16).padStart(8, "0");
}
