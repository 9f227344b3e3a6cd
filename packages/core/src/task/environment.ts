// Names of the environment variables that a function may set. Api-servers refuse the others, and agents leave them out.

const namePattern = /^[A-Za-z_][A-Za-z0-9_]{0,127}$/;

// They would have the shell that starts an instance run something before it has joined its cgroups, undo the options that the
// interpreter is started with, or pretend to be ours; or that shell, dash or bash, has them itself, so that others would
// arrive, or nothing starts: dash ends at an OPTIND that is no number. What else an interpreter heeds, such as NODE_ENV, NODE_PATH or
// PYTHONPATH, its function may set: it changes nothing but its own process, in which it can do all of that anyway.
const reservedPrefix = /^(LD_|DYLD_|BASH|SLUICE_|FC_)/i;
const reservedNames = new Set([
  ...["PATH", "HOME", "TMPDIR", "SHELL", "SHELLOPTS", "IFS", "ENV", "PS4", "PWD", "OLDPWD"],
  ...["_", "PPID", "OPTIND", "OPTERR", "SHLVL", "PS1", "PS2", "LINENO", "HISTCMD", "RANDOM", "SRANDOM"],
  ...["EPOCHSECONDS", "EPOCHREALTIME", "COMP_WORDBREAKS", "POSIXLY_CORRECT"],
  ...["GCONV_PATH", "LOCPATH", "GLIBC_TUNABLES"],
  ...["NODE_OPTIONS", "NODE_CHANNEL_FD", "NODE_CHANNEL_SERIALIZATION_MODE", "NODE_UNIQUE_ID"],
  ...["PYTHONHOME", "PYTHONSTARTUP", "PYTHONINSPECT", "PYTHONSAFEPATH", "PYTHONUTF8", "PYTHONDONTWRITEBYTECODE"],
  "__proto__",
]);

/** A letter or `_`, followed by letters, digits or `_`; at most 128 characters. */
export function isVariableName(name: string): boolean {
  return namePattern.test(name);
}

export function isReservedVariable(name: string): boolean {
  return reservedNames.has(name) || reservedPrefix.test(name);
}
