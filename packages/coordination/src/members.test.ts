import { expect, test } from "vitest";
import { parseMember } from "./members.ts";

test("what a member says that cannot be read is as if it were left out", () => {
  const entry = { createRevision: 1, modRevision: 1, leaseId: "1", key: "/members/a" };
  const read = (value: string) => parseMember({ ...entry, value });
  const usual = { id: "a", capacity: 1, isDraining: false };
  for (const value of ["", "null", "[]", "7", '{"capacity":"4"}', '{"capacity":-1}', '{"draining":"yes"}']) {
    expect(read(value)).toEqual(usual);
  }
  expect(read('{"capacity":4,"draining":true,"address":"x"}')).toEqual({ id: "a", capacity: 4, isDraining: true });
});
