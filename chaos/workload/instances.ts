// The processes of the workload's functions, found by what the kernel says of them, whoever started them.
import { readdirSync, readFileSync } from "node:fs";
import type { InstanceProcess } from "../evidence/rest.ts";

/** Those whose handlers write to this ledger. Linux only; elsewhere: none. */
export function instancesOf(ledgerPath: string): InstanceProcess[] {
  if (process.platform !== "linux") return [];
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return pids.flatMap((name) => {
    const variables = read(`/proc/${name}/environ`).split("\0");
    if (!variables.includes(`LEDGER=${ledgerPath}`)) return [];
    const pid = Number(name);
    const ancestors = ancestorsOf(pid);
    // It has ended meanwhile.
    if (ancestors.length === 0) return [];
    const id = variables.find((variable) => variable.startsWith("FC_INSTANCE_ID="))?.split("=")[1];
    return [{ pid, instanceId: id ?? "unknown", ancestors }];
  });
}

/** Process ids from the parent on; none: it has ended. */
function ancestorsOf(pid: number): number[] {
  // The name of the program, in brackets, may have blanks in it.
  const [state, parent] = read(`/proc/${pid}/stat`).split(") ").at(-1)?.split(" ") ?? [];
  const above = Number(parent);
  if (state === undefined || state === "Z" || !(above > 0)) return [];
  return [above, ...ancestorsOf(above)];
}

/** Empty: it is gone, or somebody else's. */
function read(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}
