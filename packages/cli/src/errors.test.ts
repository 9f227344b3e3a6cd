import { InvalidArgument } from "@sluice/client";
import { expect, test } from "vitest";
import { explain } from "./errors.ts";

const explained = (field: string, message: string, reason = "INVALID_SETTING") => {
  const error = new InvalidArgument("invalid", reason, message, { field });
  return explain(error, { address: "host:1", signal: new AbortController().signal });
};

test("a setting is named as users write it; programs get the field of the protocol", () => {
  expect(explained("settings.rate_max", "a rate is 0 or more")).toMatchObject({
    message: "a rate is 0 or more (rateMax) [INVALID_SETTING]",
    field: "settings.rate_max",
  });
  expect(explained("settings.initializer.timeout_ms", "is too long").message).toContain("(initializer.timeoutMs)");
  expect(explained("task_id", "is too long").message).toContain("(task_id)");
});

test("a filter is named as its option, and statuses as they are typed", () => {
  const { message } = explained("target.tasks.status", "only tasks that are ENQUEUED can be paused", "INVALID_FILTER");
  expect(message).toBe("only tasks that are Enqueued can be paused (--status) [INVALID_FILTER]");
});
