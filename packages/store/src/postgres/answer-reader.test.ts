import fc from "fast-check";
import { expect, test } from "vitest";
import { AnswerReader } from "./answer-reader.ts";

function message(type: string, body: Uint8Array): Buffer {
  const head = Buffer.alloc(5, type);
  head.writeInt32BE(4 + body.length, 1);
  return Buffer.concat([head, body]);
}

const ready = message("Z", Buffer.from("I"));
const body = fc.uint8Array({ maxLength: 40 });
const answer = fc
  .array(fc.tuple(fc.constantFrom("D", "T", "C", "N"), body), { maxLength: 5 })
  .map((messages) => Buffer.concat([...messages.map(([type, bytes]) => message(type, bytes)), ready]));

/** Pushes the bytes in pieces of these sizes, over and over; what comes out, as copies. */
function read(reader: AnswerReader, bytes: Buffer, sizes: readonly number[]): Buffer[] {
  const answers: Buffer[] = [];
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const size = sizes[turn % sizes.length] ?? 1;
    const whole = reader.push(Buffer.from(bytes.subarray(at, at + size)));
    if (whole !== undefined) answers.push(Buffer.from(whole));
    at += size;
  }
  return answers;
}

test("an answer is the same in whatever pieces it arrives, one answer after the other", () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 8 });
  fc.assert(
    fc.property(fc.array(answer, { minLength: 1, maxLength: 5 }), sizes, (answers, pieces) => {
      const reader = new AnswerReader();
      for (const bytes of answers) expect(read(reader, bytes, pieces)).toEqual([bytes]);
    }),
    { numRuns: 200, seed: 1 },
  );
});

test("what the server says unasked after an answer comes with the next one", () => {
  const reader = new AnswerReader();
  const news = message("S", Buffer.from("timezone"));

  expect(reader.push(Buffer.concat([ready, news]))).toEqual(ready);
  expect(reader.push(news.subarray(0, 3))).toBeUndefined();
  expect(reader.unfinished()).toEqual(news);
  expect(reader.push(Buffer.concat([news.subarray(3), ready]))).toEqual(Buffer.concat([news, news, ready]));
});

test("an answer of many megabytes is put together", () => {
  const reader = new AnswerReader();
  const large = Buffer.concat([message("D", Buffer.alloc(5_000_000, 7)), ready]);

  const [answer = ready] = read(reader, large, [65_536]);
  expect(answer.equals(large)).toBe(true);
  expect(read(reader, ready, [2])).toEqual([ready]);
});

test("bytes that are no messages are refused", () => {
  expect(() => new AnswerReader().push(Buffer.from("HTTP/1.1 400 Bad Request"))).toThrow();
  expect(() => new AnswerReader().push(Buffer.from([68, 0, 0, 0, 3]))).toThrow();
  expect(() => new AnswerReader().push(Buffer.from([68, 255, 255, 255, 255]))).toThrow();
});
