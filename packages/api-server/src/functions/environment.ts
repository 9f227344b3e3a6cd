import { invalid } from "@sluice/core";
import { checkText } from "../wire/text.ts";

const namesMax = 64;
const bytesMax = 32 * 1024;
const field = "settings.environment";

// These decide how the process is started, before the function's runtime is there, or are set by the agent. Agents leave out the
// same (`instances/environment.ts` there says why): a name that is accepted here is one that the function gets.
const reservedNames = new Set([
  ...["PATH", "HOME", "TMPDIR", "SHELL", "SHELLOPTS", "IFS", "ENV", "PS4", "PWD", "OLDPWD"],
  ...["_", "PPID", "OPTIND", "OPTERR", "SHLVL", "PS1", "PS2", "LINENO", "HISTCMD", "RANDOM", "SRANDOM"],
  ...["EPOCHSECONDS", "EPOCHREALTIME", "COMP_WORDBREAKS", "POSIXLY_CORRECT"],
  ...["GCONV_PATH", "LOCPATH", "GLIBC_TUNABLES"],
  ...["NODE_OPTIONS", "NODE_CHANNEL_FD", "NODE_CHANNEL_SERIALIZATION_MODE", "NODE_UNIQUE_ID"],
  ...["PYTHONHOME", "PYTHONSTARTUP", "PYTHONINSPECT", "PYTHONSAFEPATH", "PYTHONUTF8", "PYTHONDONTWRITEBYTECODE"],
  "__proto__",
]);
const reservedPrefix = /^(LD_|DYLD_|BASH|SLUICE_|FC_)/i;

/** The environment of a function. Throws `INVALID_ENVIRONMENT`, `RESERVED_ENVIRONMENT_NAME` or `INVALID_TEXT`. */
export function parseEnvironment(variables: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const entries = Object.entries(variables);
  if (entries.length > namesMax) throw wrong(`at most ${namesMax} names are accepted, not ${entries.length}`);
  let bytes = 0;
  for (const [name, value] of entries) {
    checkName(name);
    bytes += name.length + Buffer.byteLength(checkText(value, `${field}.variables.${name}`, bytesMax));
  }
  if (bytes > bytesMax) throw wrong(`names and values have ${bytes} bytes, at most ${bytesMax} are accepted`);
  return variables;
}

function checkName(name: string): void {
  if (!/^[A-Za-z_][A-Za-z0-9_]{0,127}$/.test(name)) {
    throw wrong("a name starts with a letter or `_`, followed by letters, digits or `_`, at most 128 characters");
  }
  if (reservedNames.has(name) || reservedPrefix.test(name)) {
    throw invalid(
      "RESERVED_ENVIRONMENT_NAME",
      `${field}.variables.${name}`,
      `${name} is reserved; choose another name`,
    );
  }
}

function wrong(message: string): Error {
  return invalid("INVALID_ENVIRONMENT", field, message);
}
