import { readFile } from "node:fs/promises";
import { failure, startFakeServer } from "@sluice/client/testing";
import { createAuthority } from "@sluice/testbed/certificates";
import type { Command } from "commander";
import { expect, test } from "vitest";
import { exitCodes } from "./errors.ts";
import { createProgram } from "./program.ts";
import { runLine, startWorld } from "./testing.ts";

const dangerous = "\u001b]0;title\u0007\u001b[2J\u202eevil\r\nnext\u0000\u009b31m";

test("a wrong command line ends with 2 and one hint on stderr", async () => {
  const lines = [
    ["fly"],
    ["get", "f"],
    ["get", "f", "t", "more"],
    ["invoke", "f", "--delay", "10"],
    ["invoke", "f", "--priority", "asap"],
    ["invoke", "f", "-e", "x", "--file", "y"],
    ["invoke", "f", "--async", "--wait"],
    ["invoke", "f", "--stdin-lines", "--task-id", "a"],
    ["list", "--status", "Finished"],
    ["list", "--limit", "-1"],
    ["list", "--since", "yesterday"],
    ["completion", "tcsh"],
    ["deploy", "/nonexistent/folder"],
    ["invoke", "f", "--file", "/nonexistent/file"],
    ["status", "--access-key-id", "only-the-id"],
  ];

  for (const line of lines) {
    const { exitCode, stdout, stderr } = await runLine(line);
    expect([line, exitCode, stdout]).toEqual([line, exitCodes.usage, ""]);
    expect(stderr).not.toBe("");
  }
});

test("help and version go to stdout and end with 0", async () => {
  for (const line of [["--help"], ["help", "invoke"], ["list", "--help"], ["--version"]]) {
    const { exitCode, stdout, stderr } = await runLine(line);
    expect([exitCode, stderr]).toEqual([exitCodes.ok, ""]);
    expect(stdout).not.toBe("");
  }
});

test("a server that is not there ends with 5, and the line says what to do", async () => {
  const server = await startFakeServer();
  server.stop();

  const { exitCode, stdout, stderr } = await runLine([
    "get",
    "f",
    "t",
    "--address",
    server.address,
    "--retry-timeout",
    "100ms",
  ]);

  expect(exitCode).toBe(exitCodes.unavailable);
  expect(stdout).toBe("");
  expect(stderr).toMatch(/^sluice: cannot reach 127\.0\.0\.1:\d+: .*--address\n$/);
});

test("a server that wants TLS, and one that should not be trusted, end with 5 and name the flags", async () => {
  using authority = createAuthority();
  using other = createAuthority();
  const files = authority.files(authority.issue("server"));
  await using server = await startFakeServer({ tls: { files, clientAuth: "none", watch: () => () => undefined } });
  const status = (...args: string[]) => runLine(["status", "--address", server.address, ...args]);

  const fine = await status("--ca", authority.ca);
  const plain = await status();
  const untrusted = await status("--ca", other.ca, "--json");
  const broken = await status("--ca", authority.ca, "--cert", authority.ca, "--key", authority.ca);

  expect(fine.exitCode).toBe(exitCodes.ok);
  expect(plain.exitCode).toBe(exitCodes.unavailable);
  expect(plain.stderr).toBe(
    `sluice: cannot reach ${server.address}: the server wants TLS; connect with it; give --ca with its authority, or --tls\n`,
  );
  expect(untrusted.exitCode).toBe(exitCodes.unavailable);
  expect(JSON.parse(untrusted.stderr)).toMatchObject({
    error: { code: "unavailable", reason: "CERTIFICATE_UNTRUSTED", message: expect.stringContaining("give --ca") },
  });
  expect([broken.exitCode, broken.stderr]).toEqual([exitCodes.usage, expect.stringContaining("INVALID_TLS")]);
});

test("what is not found ends with 3, what is refused with 4", async () => {
  await using world = await startWorld();
  world.server.faults.refuse = ({ function: name }) =>
    name === "f" ? undefined : { reason: name === "g" ? "FUNCTION_NOT_FOUND" : "TOO_DEEP", message: "no" };

  expect((await world.sluice(["get", "f", "none"])).exitCode).toBe(exitCodes.notFound);
  expect((await world.sluice(["functions", "get", "none"])).exitCode).toBe(exitCodes.notFound);
  expect((await world.sluice(["invoke", "g"])).exitCode).toBe(exitCodes.notFound);
  expect((await world.sluice(["invoke", "h"])).exitCode).toBe(exitCodes.rejected);
  await world.sluice(["invoke", "f", "--async", "--task-id", "a"]);
  const duplicate = await world.sluice(["invoke", "f", "--async", "--task-id", "a"]);
  expect(duplicate.exitCode).toBe(exitCodes.rejected);
  expect(duplicate.stderr).toContain("f/a exists already (Enqueued)");
});

test("a credential that is refused ends with 4 and names the flags", async () => {
  await using server = await startFakeServer({ authorization: "Bearer a:b" });

  const { exitCode, stderr } = await runLine(["status", "--address", server.address]);
  const functions = await runLine(["functions", "list", "--address", server.address]);

  expect([exitCode, functions.exitCode]).toEqual([exitCodes.rejected, exitCodes.rejected]);
  expect(stderr).toContain("--access-key-id");
});

test("an interrupted command ends with 130", async () => {
  await using world = await startWorld();
  await world.sluice(["invoke", "f", "--async", "--task-id", "a"]);
  const interrupt = new AbortController();
  world.server.faults.afterWatchState = () => interrupt.abort();

  const { exitCode } = await world.sluice(["watch", "f", "a"], { signal: interrupt.signal });

  expect(exitCode).toBe(exitCodes.interrupted);
});

test("with --json an error is one JSON document on stderr, and stdout stays empty", async () => {
  await using world = await startWorld();

  const { stdout, stderr } = await world.sluice(["get", "f", "none", "--json"]);

  expect(stdout).toBe("");
  expect(JSON.parse(stderr)).toEqual({
    error: { code: "not_found", reason: "NOT_FOUND", message: expect.stringContaining("f/none") },
  });
});

test("nothing that a user or a server sends can move the cursor or start a line", async () => {
  await using world = await startWorld();
  const error = { type: dangerous, message: dangerous, body: Buffer.from(dangerous) };
  const events = [{ eventId: 1, status: "Failed", timeMs: 1, attempt: 1, detail: dangerous }];
  const payload = Buffer.from(dangerous);
  world.server.faults.becomes = () => ({
    status: 6,
    error,
    events,
    payload,
    result: payload,
    progress: dangerous,
    startedAtMs: 1,
    endedAtMs: 2,
  });
  await world.sluice(["invoke", "f", "--async", "--task-id", "a"]);
  const setting = { runtime: dangerous, handler: dangerous, description: dangerous };
  const times = { createdAtMs: 0, updatedAtMs: 0 };
  world.server.functions.set("f", {
    queue: undefined,
    name: dangerous,
    settings: setting,
    revision: 1,
    codeSha256: "",
    codeBytes: 0,
    ...times,
  });
  world.server.faults.beforeCall = (name) => {
    if (name === "stopTask") throw failure("INTERNAL", dangerous);
  };
  const lines = [
    ["get", "f", "a"],
    ["list", "--payload"],
    ["watch", "f", "a"],
    ["invoke", "f"],
    ["stop", "f", "a"],
  ];

  for (const line of [...lines, ["functions", "list"], ["functions", "get", "f"]]) {
    const { stdout, stderr } = await world.sluice(line, { isTerminal: true });
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these must not come through.
    expect(stdout + stderr).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
    expect(stdout + stderr).not.toMatch(/^next/m);
  }
});

test("colours come only where they are wanted", async () => {
  await using world = await startWorld();
  world.server.faults.becomes = () => ({ status: 5 });
  await world.sluice(["invoke", "f", "--async", "--task-id", "a"]);

  const plain = await world.sluice(["list"], { isTerminal: true });
  const colored = await world.sluice(["list"], { isTerminal: true, hasColors: true });

  expect(plain.stdout).not.toContain("\u001b");
  expect(colored.stdout).toContain("\u001b[32mSucceeded\u001b[0m");
});

test("the manual names every command, every option and every exit code", async () => {
  const manual = await readFile(new URL("../../../docs/cli.md", import.meta.url), "utf8");
  const program = createProgram({ connected: async () => {}, print: async () => {} });
  const missing: string[] = [];
  const check = (command: Command, path: string) => {
    if (!manual.includes(`\`${path}`)) missing.push(path);
    for (const option of command.options)
      if (!manual.includes(`\`${option.flags.replace("|", "\\|")}`)) missing.push(`${path}: ${option.flags}`);
    for (const child of command.commands) check(child, `${path} ${child.name()}`);
  };

  check(program, "sluice");

  expect(missing).toEqual([]);
  for (const code of Object.values(exitCodes)) expect(manual).toContain(`| ${code} |`);
});
