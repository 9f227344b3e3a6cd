// A block as the payload of a message. Queue, priority and lane are in its subject.
//
//   version   1 byte, now 1
//   enqueued  unsigned number, ms
//   account   1 byte of length, then ASCII
//   function  the same
//   count     unsigned number, 1 to 256
//   first     unsigned number: the first task
//   steps     count - 1 signed numbers: from each task to the next; they need not ascend
//
// Numbers are base 128, lowest digits first, with the high bit set on all bytes but the last; of a signed one the first
// byte has its sign in bit 6. The tasks of one group commit are close to each other, so a step takes one byte as a rule:
// 256 tasks are about 300 bytes, a tenth of the same as JSON.
import { AccountId, type EpochMs, type Flow, FunctionName, type Seq } from "@sluice/core";
import { blockSizeMax } from "../index.ts";

/** What the payload says of a block. */
export interface BlockPayload extends Flow {
  readonly seqs: readonly Seq[];
  readonly enqueuedAt: EpochMs;
}

const version = 1;
const nameLengthMax = 64;
/** 2^53 takes eight digits of 7 bits. */
const numberBytesMax = 8;
/** No payload is longer. */
export const payloadBytesMax = 1 + numberBytesMax + 2 * (1 + nameLengthMax) + 2 + blockSizeMax * numberBytesMax;

/** Every number must be a safe integer, not negative; parts of milliseconds are cut off. */
export function encodeBlock({ accountId, functionName, seqs, enqueuedAt }: BlockPayload): Uint8Array {
  const writer = new Writer();
  writer.byte(version);
  writer.unsigned(Math.trunc(enqueuedAt));
  writer.name(accountId);
  writer.name(functionName);
  writer.unsigned(seqs.length);
  let previous = 0;
  for (const [index, seq] of seqs.entries()) {
    if (index === 0) writer.unsigned(seq);
    else writer.signed(seq - previous);
    previous = seq;
  }
  return writer.bytes();
}

/** Undefined: not a block of a version that this process knows. Nothing of `bytes` is kept. */
export function decodeBlock(bytes: Uint8Array): BlockPayload | undefined {
  if (bytes.length > payloadBytesMax) return undefined;
  try {
    return read(new Reader(bytes));
  } catch {
    return undefined;
  }
}

function read(reader: Reader): BlockPayload {
  if (reader.byte() !== version) throw new Malformed();
  const enqueuedAt = reader.unsigned();
  const accountId = AccountId(reader.name());
  const functionName = FunctionName(reader.name());
  const count = reader.unsigned();
  if (count < 1 || count > blockSizeMax) throw new Malformed();
  const seqs: Seq[] = new Array(count);
  let seq = reader.unsigned();
  seqs[0] = seq;
  for (let index = 1; index < count; index++) {
    seq += reader.signed();
    if (seq < 0 || seq > Number.MAX_SAFE_INTEGER) throw new Malformed();
    seqs[index] = seq;
  }
  if (!reader.isAtEnd) throw new Malformed();
  return { accountId, functionName, seqs, enqueuedAt };
}

class Malformed extends Error {}

/** One for all: nothing is written across an await. */
const scratch = Buffer.alloc(payloadBytesMax);

class Writer {
  #at = 0;

  byte(value: number): void {
    scratch[this.#at++] = value;
  }

  /** Divides instead of shifting: shifts would cut the number to 32 bits. */
  unsigned(value: number): void {
    let rest = value;
    while (rest >= 0x80) {
      this.byte((rest % 0x80) | 0x80);
      rest = Math.floor(rest / 0x80);
    }
    this.byte(rest);
  }

  signed(value: number): void {
    const magnitude = Math.abs(value);
    const sign = value < 0 ? 0x40 : 0;
    if (magnitude < 0x40) {
      this.byte(magnitude | sign);
    } else {
      this.byte((magnitude % 0x40) | sign | 0x80);
      this.unsigned(Math.floor(magnitude / 0x40));
    }
  }

  name(text: string): void {
    this.byte(text.length);
    this.#at += scratch.write(text, this.#at, "latin1");
  }

  bytes(): Uint8Array {
    return Uint8Array.prototype.slice.call(scratch, 0, this.#at);
  }
}

class Reader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  byte(): number {
    const value = this.#bytes[this.#at++];
    if (value === undefined) throw new Malformed();
    return value;
  }

  unsigned(): number {
    return this.#digits(1, 0);
  }

  signed(): number {
    const first = this.byte();
    const low = first & 0x3f;
    const magnitude = first & 0x80 ? this.#digits(0x40, low) : low;
    return first & 0x40 ? -magnitude : magnitude;
  }

  name(): string {
    const length = this.byte();
    const end = this.#at + length;
    if (length > nameLengthMax || end > this.#bytes.length) throw new Malformed();
    let text = "";
    while (this.#at < end) text += String.fromCharCode(this.byte());
    return text;
  }

  #digits(firstWeight: number, low: number): number {
    let value = low;
    let weight = firstWeight;
    for (let count = 0; count < numberBytesMax; count++) {
      const digit = this.byte();
      value += (digit & 0x7f) * weight;
      if (value > Number.MAX_SAFE_INTEGER) break;
      if (digit < 0x80) return value;
      weight *= 0x80;
    }
    throw new Malformed();
  }
}
