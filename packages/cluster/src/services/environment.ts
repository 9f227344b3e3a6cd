export type Environment = Readonly<Record<string, string>>;

/** What a service, and the functions that an agent runs, need of ours; settings of Sluice are not among it. */
export function plainEnvironment(): Environment {
  const names = ["PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR"];
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = process.env[name];
      return value === undefined ? [] : [[name, value]];
    }),
  );
}
