// `readConfig` ends the process, so it is tested in one of its own.
import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";

const program = `
  import { readConfig, setting } from "${import.meta.resolve("../index.ts")}";
  const port = setting.integer({ default: 1, min: 0, max: 9, why: "Where." });
  console.log(JSON.stringify(readConfig({ service: "", summary: "Everything.", settings: { port } })));
`;

function run(...flags: string[]) {
  const argv = ["--import", "tsx", "--input-type=module", "--eval", program, "--", "main.ts", ...flags];
  const { status, stdout, stderr } = spawnSync(process.execPath, argv, { encoding: "utf8" });
  return { status, stdout, stderr };
}

test("a wrong flag ends the process with 2 and says what is wrong", () => {
  expect(run("--port", "10")).toEqual({
    status: 2,
    stdout: "",
    stderr:
      "sluice: cannot start, the configuration is wrong:\n" +
      '  --port must be a whole number from 0 to 9, not "10"\nSee --help.\n',
  });
});

test("help is printed to standard output and is no failure", () => {
  const { status, stdout } = run("--help");
  expect(status).toBe(0);
  expect(stdout).toContain("SLUICE_PORT");
});
