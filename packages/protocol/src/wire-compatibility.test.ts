// What is encoded by the last release is read by this one and back, and what a later release adds hurts nobody. The last
// release is its descriptors (`proto/released.binpb`) in a protobuf library; this one is the generated code.
import { readFileSync } from "node:fs";
import {
  create,
  createFileRegistry,
  type DescField,
  type DescMessage,
  equals,
  fromBinary,
  type Message,
  ScalarType,
  toBinary,
} from "@bufbuild/protobuf";
import { type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "vitest";
import * as errors from "../gen/sluice/internal/v1/error.ts";
import * as messages from "./index.ts";

interface Codec {
  encode(message: unknown): { finish(): Uint8Array };
  decode(bytes: Uint8Array): Record<string, unknown>;
}

const generated: Readonly<Record<string, unknown>> = { ...messages, ...errors };
const released = messagesOf(readFileSync(new URL("../../../proto/released.binpb", import.meta.url)));
/** Of a release to come: a number that no enum has. */
const newerValue = 99;
/** Field 1000 of a release to come, a text. */
const newerField = Uint8Array.from([0xc2, 0x3e, 3, 97, 98, 99]);

function messagesOf(image: Uint8Array): DescMessage[] {
  const files = createFileRegistry(fromBinary(FileDescriptorSetSchema, image));
  return [...files].filter(
    (desc): desc is DescMessage => desc.kind === "message" && !desc.file.name.startsWith("google/"),
  );
}

function codecOf(desc: DescMessage): Codec {
  // Names that JavaScript has already get an ending.
  const codec = generated[desc.name] ?? generated[`${desc.name}Message`];
  expect(codec, `the generated code has ${desc.typeName}`).toBeDefined();
  return codec as Codec;
}

/** One message for each choice of its oneofs, with something in every field. */
function samplesOf(desc: DescMessage, value: (field: DescField) => number): Message[] {
  const choices = Math.max(1, ...desc.oneofs.map(({ fields }) => fields.length));
  return Array.from({ length: choices }, (_, choice) => sampleOf(desc, { choice, depth: 0, value }));
}

interface Shape {
  readonly choice: number;
  readonly depth: number;
  value(field: DescField): number;
}

function sampleOf(desc: DescMessage, shape: Shape): Message {
  const message = create(desc);
  const fields = reflect(desc, message);
  for (const field of desc.fields) {
    if (field.oneof && field.oneof.fields.indexOf(field) !== shape.choice % field.oneof.fields.length) continue;
    fill(fields, field, shape);
  }
  return message;
}

function fill(fields: ReflectMessage, field: DescField, shape: Shape): void {
  const inner = { ...shape, depth: shape.depth + 1 };
  const message = (desc: DescMessage) => reflect(desc, sampleOf(desc, inner));
  switch (field.fieldKind) {
    case "scalar":
      fields.set(field, scalar(field.scalar));
      break;
    case "enum":
      fields.set(field, shape.value(field));
      break;
    case "message":
      if (shape.depth < 4) fields.set(field, message(field.message));
      break;
    case "list":
      if (field.listKind === "message") fields.get(field).add(message(field.message));
      else fields.get(field).add(field.listKind === "enum" ? shape.value(field) : scalar(field.scalar));
      break;
    case "map":
      if (field.mapKind === "scalar") fields.get(field).set(String(scalar(field.mapKey)), scalar(field.scalar));
  }
}

function scalar(type: ScalarType): string | number | bigint | boolean | Uint8Array {
  switch (type) {
    case ScalarType.STRING:
      return "täxt";
    case ScalarType.BYTES:
      return Uint8Array.from([0, 255]);
    case ScalarType.BOOL:
      return true;
    case ScalarType.DOUBLE:
    case ScalarType.FLOAT:
      return 0.5;
    case ScalarType.INT32:
    case ScalarType.UINT32:
    case ScalarType.SINT32:
    case ScalarType.FIXED32:
    case ScalarType.SFIXED32:
      return 12_345;
    default:
      return 2n ** 40n + 1n;
  }
}

const known = (field: DescField) => field.enum?.values.at(-1)?.number ?? 0;

describe.each(released.map((desc) => [desc.typeName, desc] as const))("%s", (_name, desc) => {
  test("of the last release is read and written without a loss", () => {
    for (const sample of samplesOf(desc, known)) {
      const passed = codecOf(desc)
        .encode(codecOf(desc).decode(toBinary(desc, sample)))
        .finish();
      expect(equals(desc, fromBinary(desc, passed), sample)).toBe(true);
    }
  });

  test("of a later release is read as far as it is known, with values that are left as they are", () => {
    for (const sample of samplesOf(desc, () => newerValue)) {
      const bytes = Buffer.concat([toBinary(desc, sample), newerField]);
      const passed = codecOf(desc).encode(codecOf(desc).decode(bytes)).finish();
      expect(equals(desc, fromBinary(desc, passed), sample)).toBe(true);
    }
  });
});

test("a frame that is not known yet is none", () => {
  for (const codec of [messages.ToAgent, messages.FromAgent]) expect(codec.decode(newerField).frame).toBeUndefined();
});

test("what the last release is compared with has the messages of both sides", () => {
  expect(released.length).toBeGreaterThan(50);
  expect(released.map(({ name }) => name)).toEqual(expect.arrayContaining(["ToAgent", "HeartbeatRequest", "Task"]));
});
