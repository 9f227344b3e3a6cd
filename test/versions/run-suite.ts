import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Suite } from "./releases.ts";

export interface Result {
  readonly passed: number;
  readonly failed: number;
  readonly seconds: number;
  /** What failed, and why. */
  readonly failures: readonly string[];
}

/** As vitest writes it. */
interface Report {
  readonly success: boolean;
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly testResults: readonly {
    readonly name: string;
    readonly message: string;
    readonly assertionResults: readonly {
      readonly status: string;
      readonly fullName: string;
      readonly failureMessages: readonly string[];
    }[];
  }[];
}

const root = join(import.meta.dirname, "../..");

/** Runs the suite on this program, or on the one that the testbed finds. */
export async function runSuite(suite: Suite, program: string | undefined): Promise<Result> {
  const folder = mkdtempSync(join(tmpdir(), "sluice-versions-"));
  try {
    const reportFile = join(folder, "report.json");
    const startedAt = performance.now();
    const vitest = [join(root, "node_modules/vitest/vitest.mjs"), "run", suite.files];
    const child = spawn(process.execPath, [...vitest, "--reporter=json", `--outputFile=${reportFile}`], {
      cwd: root,
      env: { ...process.env, [suite.variable]: program ?? "" },
      stdio: ["ignore", "ignore", "inherit"],
    });
    await once(child, "exit");
    const seconds = (performance.now() - startedAt) / 1_000;
    return resultOf(JSON.parse(readFileSync(reportFile, "utf8")) as Report, seconds);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function resultOf(report: Report, seconds: number): Result {
  const failures = report.testResults.flatMap(({ name, message, assertionResults }) => {
    const failed = assertionResults.filter(({ status }) => status === "failed");
    const told = failed.map(({ fullName, failureMessages }) => `${fullName}\n${failureMessages.join("\n")}`);
    // A file that could not be loaded has no tests, only a message.
    return told.length === 0 && message !== "" ? [`${name}\n${message}`] : told;
  });
  const hasPassed = report.success && report.numPassedTests > 0;
  return {
    passed: report.numPassedTests,
    failed: Math.max(report.numFailedTests, hasPassed ? 0 : 1),
    seconds,
    failures,
  };
}
