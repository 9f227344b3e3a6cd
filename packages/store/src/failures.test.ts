import { AppError } from "@sluice/core";
import { expect, test } from "vitest";
import { StoreUnavailable, toAppError } from "./failures.ts";

const outages = [
  ["40001", "serialization"],
  ["40P01", "deadlock"],
  ["57P01", "stopping"],
  ["57P03", "stopping"],
  ["57014", "cancelled"],
  ["55P03", "lock_timeout"],
  ["53300", "too_many_connections"],
  ["53100", "disk_full"],
  ["53200", "resources"],
  ["25006", "read_only"],
  ["25P03", "broken"],
  ["08006", "broken"],
  ["58030", "disk"],
] as const;

test.each(outages)("SQLSTATE %s is the outage %s, and may be tried again", (sqlState, outage) => {
  const error = toAppError({ sqlState, message: "said the server", constraint: undefined }, "some");

  expect(error).toBeInstanceOf(StoreUnavailable);
  expect(error).toMatchObject({ code: "unavailable", reason: "STORE_UNAVAILABLE", outage, cause: { sqlState } });
});

const others = [
  ["22021", "invalid", "INVALID_TEXT"],
  ["22P05", "invalid", "INVALID_TEXT"],
  ["42601", "internal", "STORE_FAILED"],
  ["23505", "internal", "STORE_FAILED"],
  ["25P02", "internal", "STORE_FAILED"],
] as const;

test.each(others)("SQLSTATE %s is %s, %s", (sqlState, code, reason) => {
  const error = toAppError({ sqlState, message: "said the server", constraint: undefined }, "some");

  expect(error).toBeInstanceOf(AppError);
  expect(error).toMatchObject({ code, reason });
});
