import { expect, test } from "vitest";
import { ConfigError, type ConfigOf, type ConfigSources, helpText, parseConfig, type Settings } from "./config.ts";
import * as setting from "./setting.ts";

const spec = {
  service: "api-server",
  summary: "Accepts tasks.",
  settings: {
    grpcPort: setting.integer({
      default: 50051,
      min: 0,
      max: 65535,
      why: "Where clients connect; 0 takes a free one.",
    }),
    dataDir: setting.text({ default: ".sluice", why: "Where everything is kept." }),
    leaseTtlMs: setting.durationMs({ default: 6000, min: 1000, max: 60_000, why: "How long a crash is unnoticed." }),
    payloadBytesMax: setting.bytes({ default: 131_072, min: 1, max: 2 ** 20, why: "Larger payloads are refused." }),
    auth: setting.choice({ default: "key", of: ["key", "none"], why: "Who may submit." }),
    trace: setting.boolean({ default: false, why: "Log each task." }),
    etcdUrls: setting.list({ default: [], why: "Where etcd is." }),
    dropRatio: setting.decimal({ default: 0.1, min: 0, max: 1, why: "For tests." }),
    databaseUrl: setting.required(setting.text({ default: undefined, why: "Where tasks are kept." })),
    masterKey: setting.secret({ default: undefined, variable: "SLUICE_MASTER_KEY", why: "Encrypts secrets." }),
  },
  checks: [
    (config: { grpcPort: number; dataDir: string }) =>
      config.grpcPort === 1 && config.dataDir === "/" ? ["port 1 does not go with /"] : [],
  ],
};

const enough = ["--database-url", "postgres://localhost/sluice"];
const parse = (sources: Partial<ConfigSources>) =>
  parseConfig(spec, { argv: sources.argv ?? enough, env: sources.env ?? {} });
function problemsOf(sources: Partial<ConfigSources>): readonly string[] {
  try {
    parse(sources);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

test("without anything else the defaults hold, frozen", () => {
  const config: ConfigOf<typeof spec.settings> = parse({});
  expect(config).toEqual({
    grpcPort: 50051,
    dataDir: ".sluice",
    leaseTtlMs: 6000,
    payloadBytesMax: 131_072,
    auth: "key",
    trace: false,
    etcdUrls: [],
    dropRatio: 0.1,
    databaseUrl: "postgres://localhost/sluice",
    masterKey: undefined,
  });
  expect(Object.isFrozen(config)).toBe(true);
});

test("a flag wins over its variable, and the variable over the default", () => {
  const env = { SLUICE_API_SERVER_GRPC_PORT: "1000", SLUICE_API_SERVER_DATA_DIR: "/var/lib", SLUICE_MASTER_KEY: "k" };
  const config = parse({ argv: [...enough, "--grpc-port=2000"], env });
  expect([config.grpcPort, config.dataDir, config.masterKey]).toEqual([2000, "/var/lib", "k"]);
});

test("an empty variable counts as not set", () => {
  expect(parse({ env: { SLUICE_API_SERVER_GRPC_PORT: "" } }).grpcPort).toBe(50051);
});

test("values are read in their units", () => {
  const argv = "--lease-ttl-ms 1.5s --payload-bytes-max 64KiB --trace --etcd-urls a,b --auth none --drop-ratio 0.25";
  expect(parse({ argv: [...enough, ...argv.split(" ")] })).toMatchObject({
    leaseTtlMs: 1500,
    payloadBytesMax: 65_536,
    trace: true,
    etcdUrls: ["a", "b"],
    auth: "none",
    dropRatio: 0.25,
  });
  expect(parse({ argv: [...enough, "--trace", "false", "--lease-ttl-ms", "2000"] })).toMatchObject({
    trace: false,
    leaseTtlMs: 2000,
  });
});

test("all problems are reported at once, each with where the value came from", () => {
  const argv = "--grpc-port 99999 --lease-ttl-ms --bogus stray --auth maybe --etcd-urls a,,b --drop-ratio=-1".split(
    " ",
  );
  const env = { SLUICE_API_SERVER_PAYLOAD_BYTES_MAX: "lots", SLUICE_API_SERVER_TRACE: "perhaps" };
  expect(problemsOf({ argv, env })).toEqual([
    "--bogus is not a flag",
    '"stray" belongs to no flag',
    '--grpc-port must be a whole number from 0 to 65535, not "99999"',
    "--lease-ttl-ms needs a value",
    'SLUICE_API_SERVER_PAYLOAD_BYTES_MAX must be a size such as 4096, 128KiB or 4MiB from 1 to 1048576, not "lots"',
    '--auth must be one of key, none, not "maybe"',
    'SLUICE_API_SERVER_TRACE must be true or false, not "perhaps"',
    '--etcd-urls must be texts separated by commas, not "a,,b"',
    '--drop-ratio must be a number from 0 to 1, not "-1"',
    "--database-url (SLUICE_API_SERVER_DATABASE_URL) is missing: Where tasks are kept.",
  ]);
});

test("values that do not go together are a problem too", () => {
  expect(problemsOf({ argv: [...enough, "--grpc-port", "1", "--data-dir", "/"] })).toEqual([
    "port 1 does not go with /",
  ]);
});

test.each(["0x10", "1e3", "1_000", " 7", "NaN", "Infinity", "7.5", "-1", "٣"])("%j is not a port", (port) => {
  expect(problemsOf({ argv: [...enough, `--grpc-port=${port}`] })).toHaveLength(1);
});

test("a secret is taken from the environment only", () => {
  expect(problemsOf({ argv: [...enough, "--master-key", "x"] })).toHaveLength(2);
});

test("the names of objects' own properties are not flags", () => {
  expect(problemsOf({ argv: [...enough, "--constructor", "--__proto__"] })).toHaveLength(2);
});

test("the help lists every flag with its variable and default", () => {
  const help = helpText(spec).replace(/\s+/g, " ");
  expect(help).toContain("Usage: sluice-api-server [flags] Accepts tasks.");
  for (const [name, { why, isSecret }] of Object.entries(spec.settings as Settings)) {
    const snake = name.replace(/[A-Z]/g, (letter) => `_${letter}`).toLowerCase();
    expect(help).toContain(why);
    expect(help.includes(`--${snake.replaceAll("_", "-")} [`)).toBe(!isSecret);
    if (!isSecret) expect(help).toContain(`SLUICE_API_SERVER_${snake.toUpperCase()}`);
  }
  expect(help).toContain(
    "--lease-ttl-ms [ms] How long a crash is unnoticed. (default: 6s; SLUICE_API_SERVER_LEASE_TTL_MS)",
  );
  expect(help).toContain("(required; SLUICE_API_SERVER_DATABASE_URL)");
  expect(help).toContain("Only from the environment: SLUICE_MASTER_KEY Encrypts secrets.");
});

test("a check of several values does not wait for the others to be right, and is left out if it needs one that is wrong", () => {
  const spec = {
    service: "",
    summary: "",
    settings: {
      from: setting.integer({ default: 5, min: 0, max: 9, why: "First." }),
      until: setting.integer({ default: 3, min: 0, max: 9, why: "Last." }),
      size: setting.integer({ default: 1, min: 1, max: 9, why: "Of each." }),
    },
    checks: [
      (config: { from: number; until: number }) => (config.from > config.until ? ["--from is behind --until"] : []),
      (config: { size: number }) => [`the size is ${config.size}`],
    ],
  };
  const problemsOf = (argv: readonly string[]) => {
    try {
      parseConfig(spec, { argv, env: {} });
    } catch (error) {
      return (error as ConfigError).problems;
    }
    return [];
  };
  expect(problemsOf(["--size", "none"])).toEqual([expect.stringContaining("--size"), "--from is behind --until"]);
  expect(problemsOf(["--until", "none"])).toEqual([expect.stringContaining("--until"), "the size is 1"]);
});
