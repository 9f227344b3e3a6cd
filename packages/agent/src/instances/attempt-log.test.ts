import { expect, test } from "vitest";
import { AttemptLog } from "./attempt-log.ts";

function record() {
  const written: string[] = [];
  const log = new AttemptLog((_stream, chunk) => written.push(Buffer.from(chunk).toString()), 100);
  return { log, written };
}

test("an attempt that prints nothing and succeeds has no log", () => {
  const { log, written } = record();
  log.open("start");
  log.close("end", { hasFailed: false });
  expect(written).toEqual([]);
});

test("what an attempt prints stands between its markers", () => {
  const { log, written } = record();
  log.open("start");
  log.write("stderr", Buffer.from("text"));
  log.close("end", { hasFailed: false });
  expect(written).toEqual(["start\n", "text", "\nend\n"]);
});

test("an attempt that fails without a word still has its markers", () => {
  const { log, written } = record();
  log.open("start");
  log.close("end", { hasFailed: true });
  expect(written).toEqual(["start\n", "end\n"]);
});
