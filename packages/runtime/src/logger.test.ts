import { AppError } from "@sluice/core";
import { expect, test } from "vitest";
import { createLogger, type LogLevel, silentLogger } from "./logger.ts";

function capture(level?: LogLevel) {
  const lines: string[] = [];
  const stream = { write: (line: string) => lines.push(line) };
  const log = createLogger({ service: "scheduler", stream, ...(level && { level }) });
  return { log, lines, parsed: () => lines.map((line) => JSON.parse(line) as Record<string, unknown>) };
}

test("a line is one JSON object with level, time, service, fields and message", () => {
  const { log, lines, parsed } = capture();
  log.info("pulled tasks", { partition: "q0/-", count: 3 });
  expect(lines[0]?.endsWith("}\n")).toBe(true);
  expect(parsed()).toEqual([
    {
      level: "info",
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
      service: "scheduler",
      partition: "q0/-",
      count: 3,
      msg: "pulled tasks",
    },
  ]);
});

test("lines below the level are dropped", () => {
  const { log, parsed } = capture("warn");
  log.debug("no");
  log.info("no");
  log.warn("yes");
  log.error("yes");
  expect(parsed()).toMatchObject([{ level: "warn" }, { level: "error" }]);
});

test("fields of a child are on each of its lines", () => {
  const { log, parsed } = capture();
  log.child({ agentId: "a1" }).child({ session: 2 }).info("attached", { lane: 1 });
  expect(parsed()[0]).toMatchObject({ agentId: "a1", session: 2, lane: 1 });
});

test("an error is logged with its code, reason and causes", () => {
  const { log, parsed } = capture();
  const cause = new Error("connection refused");
  log.error("cannot settle", { error: new AppError("unavailable", "STORE_UNAVAILABLE", "settle", { cause }) });
  const error = {
    type: "AppError",
    code: "unavailable",
    reason: "STORE_UNAVAILABLE",
    message: "settle",
    stack: expect.stringContaining("logger.test.ts"),
    cause: { message: "connection refused" },
  };
  expect(parsed()[0]).toMatchObject({ error });
});

test("neither terminal sequences nor line feeds of users get through", () => {
  const { log, lines, parsed } = capture();
  const evil = '\u001b[2J\n{"level":"error"}\u009b31m\u007f';
  log.info(`name ${evil}`, { [`key${evil}`]: evil });
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
  expect(lines.join("").trimEnd()).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/);
  expect(parsed()[0]).toMatchObject({ msg: `name ${evil}`, [`key${evil}`]: evil });
});

test("what JSON cannot say does not stop the process", () => {
  const { log, parsed } = capture();
  const circular: { self?: unknown } = {};
  circular.self = circular;
  log.info("odd %s values %d", { circular, big: 2n ** 60n, payload: new Uint8Array(10), absent: undefined });
  expect(parsed()[0]).toMatchObject({ msg: "odd %s values %d", payload: "10 bytes" });
});

test("the silent logger has silent children", () => {
  expect(silentLogger.child({ a: 1 })).toBe(silentLogger);
  silentLogger.error("nobody hears this");
});
