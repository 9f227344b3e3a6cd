import fc from "fast-check";
import { expect, test } from "vitest";
import { dataJson, formatBytes, formatDuration, formatTime, printable, printableLines } from "./format.ts";
import { parseCount, parseDuration, parseTime, parseVariable } from "./parse.ts";

test("printable text has no control character, and plain text stays as it is", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      expect(printable(text)).not.toMatch(/[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/u);
      expect(printableLines(text)).not.toMatch(/[^\P{Cc}\n\t]/u);
    }),
  );
  expect(printable("héllo 世界 🙂")).toBe("héllo 世界 🙂");
  expect(printable("a\u001b[0m\n\u202e\u009b")).toBe("a\\x1b[0m\\n\\u202e\\x9b");
});

test("bytes in JSON can be read back", () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      const { data, dataBase64 } = dataJson("data", bytes);
      const back = data === undefined ? Buffer.from(dataBase64 ?? "", "base64") : Buffer.from(data);
      expect([...back]).toEqual([...bytes]);
    }),
  );
});

test("times, durations and sizes read well", () => {
  expect(formatTime(0)).toBe("1970-01-01 00:00:00Z");
  expect(formatTime(undefined)).toBe("-");
  expect([850, 12_500, 200_000, 18_600_000].map(formatDuration)).toEqual([
    "850 ms",
    "12.5 s",
    "3 min 20 s",
    "5 h 10 min",
  ]);
  expect([512, 1_536, 3_355_443].map(formatBytes)).toEqual(["512 B", "1.5 KiB", "3.2 MiB"]);
});

test("values of options are parsed or refused", () => {
  expect(["0", "500ms", "1.5m", "2h", "1d"].map(parseDuration)).toEqual([0, 500, 90_000, 7_200_000, 86_400_000]);
  for (const text of ["10", "-1s", "1 s", "1w", "", "1e3s", "99999999999999999d"])
    expect(() => parseDuration(text)).toThrow();
  expect(parseCount("17")).toBe(17);
  for (const text of ["-1", "1.5", "", "0x10", "99999999999999999999"]) expect(() => parseCount(text)).toThrow();
  expect(parseVariable("A=b=c", { B: "1" })).toEqual({ B: "1", A: "b=c" });
  expect(() => parseVariable("=x")).toThrow();
  expect(parseTime("2h")(10_000_000)).toBe(2_800_000);
  expect(parseTime("1970-01-01T00:00:01Z")(0)).toBe(1_000);
});
