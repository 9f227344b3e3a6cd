// What a failed run leaves for who looks for the reason: the logs of all services, and what is known of the tasks that broke
// something.
import { cpSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Arena, Evidence } from "../contract.ts";
import type { KeptRun } from "../run-harness.ts";

/**
 * Writes `<folder>/<scenario>/logs` and `evidence.json`, which has less in it when the run left no evidence; replaces what an
 * earlier run of the scenario has left.
 */
export function keepIn(folder: string) {
  return async ({ cluster }: Pick<Arena, "cluster">, run: KeptRun, evidence: Evidence | undefined): Promise<string> => {
    const kept = join(folder, run.scenario);
    rmSync(kept, { recursive: true, force: true });
    mkdirSync(kept, { recursive: true });
    cpSync(join(cluster.dataDir, "logs"), join(kept, "logs"), { recursive: true });
    writeFileSync(join(kept, "evidence.json"), `${JSON.stringify(concerning(run, evidence), null, 2)}\n`);
    return kept;
  };
}

function concerning({ violations, marks }: KeptRun, evidence: Evidence | undefined) {
  if (!evidence) return { violations, marks };
  const { history, submissions } = evidence;
  const seqs = new Set(violations.flatMap(({ seq }) => seq ?? []));
  const rows = history.rows?.filter(({ seq }) => seqs.has(seq)) ?? [];
  const taskIds = new Set(rows.map(({ accountId, taskId }) => `${accountId}/${taskId}`));
  return {
    wallStart: history.wallStart,
    violations,
    marks,
    lives: history.lives?.map(({ incarnation, ...life }) => ({ ...life, incarnation: incarnation() })),
    rows,
    executions: history.executions?.filter(({ seq }) => seqs.has(seq)),
    submissions: submissions.filter(({ account, taskId }) => taskIds.has(`${account}/${taskId}`)),
  };
}
