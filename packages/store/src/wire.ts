// The part of PostgreSQL's wire protocol that the connections speak: it lets statements stay prepared (planning a statement
// costs more than running it), sends parse, bind and execute in one message, and moves parameters and results in binary.
// Format: https://www.postgresql.org/docs/current/protocol-message-formats.html
import type { Parameter, Statement } from "./sql.ts";

export interface Column {
  readonly name: string;
  readonly type: number;
}

/** A failure as the database reports it. `sqlState` decides what it means. */
export interface DatabaseFailure {
  readonly sqlState: string;
  readonly message: string;
  readonly constraint: string | undefined;
}

export interface Answer {
  /** Present if the request asked for them. */
  readonly columns: readonly Column[] | undefined;
  /** The raw rows, to be decoded by `decodeRow`. */
  readonly rows: readonly DataView[];
  readonly failure: DatabaseFailure | undefined;
}

/** Parse and describe if `prepare`, then bind and execute; results in binary. */
export function encodeRequest(
  statement: Statement,
  parameters: readonly Parameter[],
  options: { readonly prepare: boolean },
): Uint8Array {
  const writer = new Writer();
  if (options.prepare) {
    writer.message("P", () => writer.cstring(statement.name).cstring(statement.text).int16(0));
    writer.message("D", () => writer.byte("S").cstring(statement.name));
  }
  writer.message("B", () => {
    writer.cstring("").cstring(statement.name).int16(parameters.length);
    for (const parameter of parameters) writer.int16(parameter instanceof Uint8Array ? 1 : 0);
    writer.int16(parameters.length);
    for (const parameter of parameters) writer.parameter(parameter);
    writer.int16(1).int16(1);
  });
  writer.message("E", () => writer.cstring("").int32(0));
  writer.message("S", () => {});
  return writer.finish();
}

/** A script of statements, without parameters and results. */
export function encodeScript(script: string): Uint8Array {
  const writer = new Writer();
  writer.message("Q", () => writer.cstring(script));
  return writer.finish();
}

/** Ends a session. */
export const terminate: Uint8Array = Uint8Array.of("X".charCodeAt(0), 0, 0, 0, 4);

export function decodeAnswer(bytes: Uint8Array): Answer {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const rows: DataView[] = [];
  let columns: readonly Column[] | undefined;
  let failure: DatabaseFailure | undefined;
  for (let at = 0; at < bytes.byteLength; ) {
    const length = view.getUint32(at + 1);
    const body = new DataView(bytes.buffer, bytes.byteOffset + at + 5, length - 4);
    switch (String.fromCharCode(view.getUint8(at))) {
      case "D":
        rows.push(body);
        break;
      case "T":
        columns = decodeColumns(body);
        break;
      case "n":
        columns = [];
        break;
      case "E":
        failure ??= decodeFailure(body);
        break;
    }
    at += 1 + length;
  }
  return { columns, rows, failure };
}

export function decodeRow(columns: readonly Column[], row: DataView): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  let at = 2;
  for (const column of columns) {
    const size = row.getInt32(at);
    at += 4;
    result[column.name] = size < 0 ? null : decodeValue(column.type, row, at, size);
    at += Math.max(size, 0);
  }
  return result;
}

function decodeValue(type: number, row: DataView, at: number, size: number): unknown {
  switch (type) {
    case 16: // bool
      return row.getUint8(at) === 1;
    case 17: // bytea; a copy, so that one value does not keep the whole answer in memory
      return new Uint8Array(row.buffer.slice(row.byteOffset + at, row.byteOffset + at + size) as ArrayBuffer);
    case 20: // int8
      return int8(row, at);
    case 21: // int2
      return row.getInt16(at);
    case 23: // int4
      return row.getInt32(at);
    case 1016: // int8[]
      return decodeInt8Array(row, at);
    case 3802: // jsonb: a version byte, then text
      return JSON.parse(text(row, at + 1, size - 1));
    default:
      return text(row, at, size);
  }
}

function decodeInt8Array(row: DataView, at: number): number[] {
  if (row.getInt32(at) === 0) return [];
  const length = row.getInt32(at + 12);
  return Array.from({ length }, (_, index) => int8(row, at + 20 + index * 12 + 4));
}

function int8(row: DataView, at: number): number {
  return row.getInt32(at) * 2 ** 32 + row.getUint32(at + 4);
}

function text(view: DataView, at: number, size: number): string {
  return Buffer.from(view.buffer, view.byteOffset + at, size).toString("utf8");
}

function decodeColumns(body: DataView): Column[] {
  const columns: Column[] = [];
  let at = 2;
  for (let left = body.getInt16(0); left > 0; left--) {
    const end = endOfCstring(body, at);
    columns.push({ name: text(body, at, end - at), type: body.getInt32(end + 7) });
    at = end + 19;
  }
  return columns;
}

function decodeFailure(body: DataView): DatabaseFailure {
  const fields = new Map<string, string>();
  for (let at = 0; body.getUint8(at) !== 0; ) {
    const end = endOfCstring(body, at + 1);
    fields.set(String.fromCharCode(body.getUint8(at)), text(body, at + 1, end - at - 1));
    at = end + 1;
  }
  return {
    sqlState: fields.get("C") ?? "XX000",
    message: fields.get("M") ?? "unknown failure",
    constraint: fields.get("n"),
  };
}

function endOfCstring(view: DataView, from: number): number {
  let at = from;
  while (view.getUint8(at) !== 0) at++;
  return at;
}

/** A growing buffer of messages. */
class Writer {
  #buffer = Buffer.allocUnsafeSlow(4096);
  #length = 0;

  /** One message: its type, its length, and what `body` writes. */
  message(type: string, body: () => void): void {
    this.byte(type);
    const start = this.#length;
    this.int32(0);
    body();
    this.#buffer.writeInt32BE(this.#length - start, start);
  }

  byte(character: string): this {
    this.#reserve(1);
    this.#buffer[this.#length++] = character.charCodeAt(0);
    return this;
  }

  int16(value: number): this {
    this.#reserve(2);
    this.#length = this.#buffer.writeInt16BE(value, this.#length);
    return this;
  }

  int32(value: number): this {
    this.#reserve(4);
    this.#length = this.#buffer.writeInt32BE(value, this.#length);
    return this;
  }

  cstring(value: string): this {
    return this.#utf8(value).byte("\0");
  }

  parameter(value: Parameter): this {
    if (value === null) return this.int32(-1);
    if (value instanceof Uint8Array) return this.int32(value.byteLength).#bytes(value);
    const shown = String(value);
    return this.int32(Buffer.byteLength(shown)).#utf8(shown);
  }

  /** The messages, in a buffer of their own, so that it can be transferred to a worker. */
  finish(): Uint8Array {
    return this.#buffer.subarray(0, this.#length);
  }

  #utf8(value: string): this {
    this.#reserve(value.length * 3);
    this.#length += this.#buffer.write(value, this.#length, "utf8");
    return this;
  }

  #bytes(value: Uint8Array): this {
    this.#reserve(value.byteLength);
    this.#buffer.set(value, this.#length);
    this.#length += value.byteLength;
    return this;
  }

  #reserve(bytes: number): void {
    if (this.#length + bytes <= this.#buffer.byteLength) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(this.#buffer.byteLength * 2, this.#length + bytes));
    larger.set(this.#buffer.subarray(0, this.#length));
    this.#buffer = larger;
  }
}
