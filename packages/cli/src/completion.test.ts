import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";
import { runLine } from "./testing.ts";

/** What bash offers for a line, with the cursor at its end. */
async function bashOffers(...words: string[]): Promise<string[]> {
  const { stdout } = await runLine(["completion", "bash"]);
  const line = words.map((word) => `'${word}'`).join(" ");
  const script = `${stdout}\nCOMP_WORDS=(${line}); COMP_CWORD=${words.length - 1}; _sluice; printf '%s\\n' "\${COMPREPLY[@]}"`;
  return execFileSync("bash", ["-c", script], { encoding: "utf8" }).split("\n").filter(Boolean);
}

test("bash is offered commands, options and values where they fit", async () => {
  expect(await bashOffers("sluice", "in")).toEqual(["invoke"]);
  expect(await bashOffers("sluice", "functions", "")).toEqual(
    expect.arrayContaining(["list", "get", "delete", "--json"]),
  );
  expect(await bashOffers("sluice", "--json", "functions", "d")).toEqual(["delete"]);
  expect(await bashOffers("sluice", "invoke", "f", "--std")).toEqual(["--stdin-lines"]);
  expect(await bashOffers("sluice", "invoke", "f", "--priority", "")).toEqual(["urgent", "high", "normal", "low"]);
  expect(await bashOffers("sluice", "list", "--status", "S")).toEqual(["Stopping", "Succeeded", "Stopped"]);
  expect(await bashOffers("sluice", "completion", "")).toEqual(["bash", "zsh", "fish"]);
});

test("zsh and fish get every command with its description", async () => {
  const zsh = (await runLine(["completion", "zsh"])).stdout;
  const fish = (await runLine(["completion", "fish"])).stdout;

  for (const name of [
    "deploy",
    "invoke",
    "get",
    "list",
    "watch",
    "logs",
    "stop",
    "status",
    "functions",
    "completion",
  ]) {
    expect(zsh).toContain(`'${name}:`);
    expect(fish).toContain(`complete -c sluice -n '__sluice_at ""' -f -a ${name} -d '`);
  }
  expect(zsh.startsWith("#compdef sluice")).toBe(true);
  expect(fish).toContain(`complete -c sluice -n '__sluice_at "/invoke"' -l priority -x -a 'urgent high normal low'`);
});
