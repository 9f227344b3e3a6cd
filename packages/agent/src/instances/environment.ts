import type { FunctionSpec } from "./pool.ts";

/** Of the agent's own environment an instance sees these only. */
const inherited = ["PATH", "HOME", "TZ", "LANG"];

const namePattern = /^[A-Za-z_][A-Za-z0-9_]*$/;
// They would have the shell of `launch.ts` run something before it has joined the cgroups, undo the options that the
// interpreter is started with, or pretend to be ours; or that shell, dash or bash, has them itself, so that others would
// arrive, or nothing starts: dash ends at an OPTIND that is no number. What else an interpreter heeds, such as NODE_ENV, NODE_PATH or
// PYTHONPATH, its function may set: it changes nothing but its own process, in which it can do all of that anyway.
const blockedPrefix = /^(LD_|DYLD_|BASH|SLUICE_|FC_)/i;
const blockedNames = new Set([
  ...["PATH", "HOME", "TMPDIR", "SHELL", "SHELLOPTS", "IFS", "ENV", "PS4", "PWD", "OLDPWD"],
  ...["_", "PPID", "OPTIND", "OPTERR", "SHLVL", "PS1", "PS2", "LINENO", "HISTCMD", "RANDOM", "SRANDOM"],
  ...["EPOCHSECONDS", "EPOCHREALTIME", "COMP_WORDBREAKS", "POSIXLY_CORRECT"],
  ...["GCONV_PATH", "LOCPATH", "GLIBC_TUNABLES"],
  ...["NODE_OPTIONS", "NODE_CHANNEL_FD", "NODE_CHANNEL_SERIALIZATION_MODE", "NODE_UNIQUE_ID"],
  ...["PYTHONHOME", "PYTHONSTARTUP", "PYTHONINSPECT", "PYTHONSAFEPATH", "PYTHONUTF8", "PYTHONDONTWRITEBYTECODE"],
  "__proto__",
]);

/** Whether a function may not set this variable. Api-servers refuse these; what comes all the same is left out. */
export function isBlockedVariable(name: string): boolean {
  return !namePattern.test(name) || blockedNames.has(name) || blockedPrefix.test(name);
}

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
  const users = Object.entries(spec.environment).filter(
    ([name, value]) => !isBlockedVariable(name) && !value.includes("\0"),
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
