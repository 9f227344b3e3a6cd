import { execFile } from "node:child_process";
import { EventEmitter } from "node:events";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { interruptWhenUnread } from "./run-unread.ts";

test("a reader that has gone interrupts once, however much is written after it", () => {
  const [out, err] = [new EventEmitter(), new EventEmitter()];
  let interruptions = 0;
  interruptWhenUnread([out, err], () => {
    interruptions += 1;
  });
  const gone = Object.assign(new Error("write EPIPE"), { code: "EPIPE" });
  for (const stream of [out, err, out]) stream.emit("error", gone);
  expect(interruptions).toBe(1);
  expect(() => out.emit("error", new Error("disk full"))).toThrow("disk full");
});

/** Writes until it is interrupted, and makes a folder that goes with it. */
const program = `
  import { openFolder } from "@sluice/testbed";
  import { untilSignal } from "@sluice/runtime";
  import { interruptWhenUnread } from "${join(import.meta.dirname, "run-unread.ts")}";
  interruptWhenUnread();
  const folder = openFolder({ name: "unread" });
  await untilSignal(async (signal) => {
    while (!signal.aborted) {
      console.log("a line");
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  });
  folder.delete();
  console.error("ended in order");
`;

test("a process whose reader is head ends in order", async () => {
  const command = `"$NODE" --import tsx --input-type=module --eval "$PROGRAM" | head -1`;
  const env = { ...process.env, NODE: process.execPath, PROGRAM: program };
  const { stdout, stderr } = await promisify(execFile)("sh", ["-c", command], { env, cwd: import.meta.dirname });
  expect(stdout).toBe("a line\n");
  expect(stderr).toContain("ended in order");
});
