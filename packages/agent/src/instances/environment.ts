import { isReservedVariable, isVariableName } from "@sluice/core";
import type { FunctionSpec } from "./pool.ts";

/** Of the agent's own environment an instance sees these only. */
const inherited = ["PATH", "HOME", "TZ", "LANG"];

export interface EnvironmentParts {
  readonly spec: FunctionSpec;
  readonly instanceId: string;
  readonly codeDir: string;
  readonly temporaryDir: string;
  /** "NAME=value" entries by which the processes of the instance are found. */
  readonly markers: Readonly<Record<string, string>>;
}

/** The whole environment of an instance: the user's variables, the conventional ones, and nothing else of the agent. */
export function instanceEnvironment(
  parts: EnvironmentParts,
  agentEnvironment: Readonly<Record<string, string | undefined>>,
): Record<string, string> {
  const { spec, instanceId, codeDir, temporaryDir } = parts;
  const own = inherited.flatMap((name) => {
    const value = agentEnvironment[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  // Functions that were stored before a name was reserved may have it.
  const users = Object.entries(spec.environment).filter(
    ([name, value]) => isVariableName(name) && !isReservedVariable(name) && !value.includes("\0"),
  );
  return {
    ...Object.fromEntries(own),
    ...Object.fromEntries(users),
    TMPDIR: temporaryDir,
    // The code folder is shared by all instances of the same code; nothing may appear in it.
    PYTHONDONTWRITEBYTECODE: "1",
    PYTHONUTF8: "1",
    FC_FUNC_CODE_PATH: codeDir,
    FC_FUNCTION_NAME: spec.functionName,
    FC_FUNCTION_HANDLER: spec.handler,
    FC_FUNCTION_MEMORY_SIZE: String(spec.memoryMb),
    FC_ACCOUNT_ID: spec.accountId,
    FC_REGION: "local",
    FC_QUALIFIER: "LATEST",
    FC_VER_ID: String(spec.revision),
    FC_INSTANCE_ID: instanceId,
    FC_RUNTIME_VERSION: spec.runtime,
    ...parts.markers,
  };
}
