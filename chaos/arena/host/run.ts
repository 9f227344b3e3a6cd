import { execFileSync } from "node:child_process";

/** Runs a program of the system, and waits; returns what it prints. Throws with what it says about its failure. */
export function run(command: string, ...args: readonly string[]): string {
  return execFileSync(command, [...args], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
    env: { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C" },
  });
}

/** Whether it succeeds. */
export function runs(command: string, ...args: readonly string[]): boolean {
  try {
    run(command, ...args);
    return true;
  } catch {
    return false;
  }
}
