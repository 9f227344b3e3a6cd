// Checks the repository itself: who may import whom, and where time and chance may come from. The rules are the tables at
// the top; a row that is no longer needed fails as well.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { describe, expect, test } from "vitest";

/** The architecture: a package may import the packages on its row and nothing else of ours. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  core: [],
  protocol: ["core"],
  runtime: ["core", "protocol"],
  testbed: ["core"],
  checkers: ["core", "store"],
  store: ["core", "runtime"],
  queue: ["core", "runtime"],
  coordination: ["core", "runtime"],
  backends: ["core", "runtime", "store", "queue", "coordination"],
  "load-balancer": ["core", "runtime", "coordination", "queue"],
  scheduler: ["core", "protocol", "runtime", "store", "queue", "coordination", "backends", "load-balancer"],
  "api-server": ["core", "protocol", "runtime", "store", "queue", "coordination", "backends"],
  agent: ["core", "protocol", "runtime"],
  client: ["protocol"],
  cli: ["client"],
  standalone: ["core", "protocol", "runtime", "store", "queue", "coordination", "scheduler", "api-server", "agent"],
  cluster: ["core", "protocol", "runtime", "testbed", "client"],
};

/** What any package's tests may import besides. */
const forTests: readonly string[] = ["@sluice/testbed"];

/** Decisions only: these may not even import `node:` modules. */
const pure: readonly string[] = ["core", "load-balancer"];

/** Drivers of the ports are chosen where a process is composed, and nowhere else. */
const composers: readonly string[] = ["standalone", "backends"];

/** Libraries that have one home, so that replacing one touches one package. */
const homes: Readonly<Record<string, readonly string[]>> = {
  "@electric-sql/pglite": ["store"],
  commander: ["runtime", "cli"],
  etcd3: ["coordination"],
  fastify: ["runtime"],
  nats: ["queue"],
  pg: ["store"],
  pino: ["runtime"],
  // Zips are inspected in one place, with one set of limits.
  yauzl: ["runtime"],
};

/** Runs our code from source; the launchers in `bin/` name it, the code does not. */
const interpreter = "tsx";

/** What must come from the injected `Clock` and `Random`, or from the settings. */
const ambient: Readonly<Record<string, RegExp>> = {
  "Date.now": /\bDate\.now\b/g,
  "new Date()": /\bnew Date(?:\(\s*\)|(?!\s*\())/g,
  "Math.random": /\bMath\.random\b/g,
  setTimeout: /\bsetTimeout\b/g,
  setInterval: /\bsetInterval\b/g,
  setImmediate: /\bsetImmediate\b/g,
  "performance.now": /\bperformance\.now\b/g,
  hrtime: /\bhrtime\b/g,
  randomUUID: /\brandomUUID\b/g,
  "random bytes": /\b(?:randomBytes|randomInt|randomFill(?:Sync)?|getRandomValues)\b/g,
  "process.env": /\bprocess\s*(?:\.\s*env\b|\[\s*["']env["'])/g,
  "node:timers": /["'](?:node:)?timers(?:\/promises)?["']/g,
  "AbortSignal.timeout": /\bAbortSignal\.timeout\b/g,
};

/** Where they may come from all the same, and why. `main.ts` of any package may use everything. */
const mayBeAmbient: Readonly<Record<string, { readonly uses: readonly string[]; readonly why: string }>> = {
  "packages/runtime/src/clock.ts": { uses: ["Date.now", "performance.now", "setTimeout"], why: "is the system clock" },
  "packages/runtime/src/random.ts": { uses: ["random bytes"], why: "is the system's randomness" },
  "packages/runtime/src/config/config.ts": { uses: ["process.env"], why: "reads the settings, for main.ts" },
  "packages/protocol/src/rpc.ts": { uses: ["Date.now"], why: "grpc-js takes a deadline as a wall time" },
  "packages/client/src/system.ts": {
    uses: ["Date.now", "performance.now", "setTimeout", "setImmediate", "Math.random", "random bytes"],
    why: "the clock of a library that must not bring our runtime along",
  },
  "packages/api-server/src/accounts/access-key.ts": { uses: ["random bytes"], why: "secrets must be unguessable" },
  "packages/api-server/src/accounts/master-key.ts": { uses: ["random bytes"], why: "secrets must be unguessable" },
  "packages/standalone/src/data-dir.ts": { uses: ["random bytes"], why: "secrets must be unguessable" },
  "packages/agent/src/instances/runner-node.cjs": {
    uses: ["setImmediate", "new Date()"],
    why: "runs in the process of the user's code",
  },
  "packages/agent/src/instances/frames.ts": { uses: ["setImmediate"], why: "one write to a pipe per turn" },
  "packages/agent/src/instances/channel.ts": {
    uses: ["setImmediate"],
    why: "drains the pipes of a process that ended",
  },
  "packages/agent/src/watchdog/watchdog.ts": { uses: ["hrtime"], why: "a time that the watchdog's process shares" },
  "packages/agent/src/watchdog/watchdog.mjs": {
    uses: ["hrtime", "setTimeout", "setInterval", "new Date()"],
    why: "a process of its own, without our code",
  },
  "packages/agent/src/watchdog/host-lock.mjs": {
    uses: ["Date.now", "new Date()"],
    why: "compares with the times of files, in the watchdog's process",
  },
  "packages/cluster/src/services/environment.ts": {
    uses: ["process.env"],
    why: "processes that it starts need the PATH",
  },
  "packages/testbed/src/time.ts": { uses: ["performance.now", "setTimeout"], why: "waits for real servers" },
  "packages/testbed/src/ports.ts": {
    uses: ["random bytes"],
    why: "processes that look for a free port at once must differ",
  },
  "packages/testbed/src/find/find-binary.ts": { uses: ["process.env"], why: "looks through the PATH for tests" },
  "packages/testbed/src/process/guard.mjs": { uses: ["setTimeout"], why: "a process of its own, without our code" },
  "test/simulation/seeds.ts": {
    uses: ["performance.now", "setTimeout", "process.env"],
    why: "starts processes that simulate, and watches them from outside",
  },
  "test/simulation/runner.ts": { uses: ["setTimeout"], why: "gives up a process that does not answer" },
};

const lineMax = 400;
/** Files that are longer, and why that reads better. */
const mayBeLong: Readonly<Record<string, string>> = {
  "packages/agent/src/instances/runner.py": "one file, so that user code cannot import or shadow parts of it",
  "proto/sluice/internal/v1/agent.proto": "one conversation, most of it comments",
};

// ------------------------------------------------------------------------------------------------------------- the files

interface Source {
  /** From the root, with `/`. */
  readonly path: string;
  /** Undefined outside `packages/`. */
  readonly package: string | undefined;
  readonly text: string;
}

const root = join(import.meta.dirname, "..");
const codePattern = /\.(?:ts|tsx|mts|cts|mjs|cjs|js|py|sql|proto)$/;
const packages = readdirSync(join(root, "packages"), { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && existsSync(join(root, "packages", entry.name, "package.json")))
  .map((entry) => entry.name)
  .sort();
const sources: readonly Source[] = ["packages", "test", "examples", "proto", "bench", "chaos", "drill"].flatMap(
  filesIn,
);
const scripts = sources.filter(({ path }) => /\.[mc]?[jt]sx?$/.test(path));
const ours = scripts.filter((source) => source.package !== undefined && !isTest(source));

function filesIn(folder: string): Source[] {
  if (!existsSync(join(root, folder))) return [];
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && codePattern.test(entry.name))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
    .filter((path) => !/node_modules\/|^packages\/protocol\/gen\/|\/\.sluice\//.test(path))
    .sort()
    .map((path) => ({
      path,
      package: /^packages\/([^/]+)\//.exec(path)?.[1],
      text: readFileSync(join(root, path), "utf8"),
    }));
}

/** Tests, and what only tests import. */
function isTest({ path }: Pick<Source, "path">): boolean {
  return /\.(?:test|fixture)\.ts$|\/testing\/|\/testing\.ts$|\/conformance(?:\/|\.ts$|-)|^(?:test|examples|bench|chaos|drill)\//.test(
    path,
  );
}

function isMain({ path }: Pick<Source, "path">): boolean {
  return path.endsWith("/src/main.ts") || isLauncher({ path });
}

function isLauncher({ path }: Pick<Source, "path">): boolean {
  return /^packages\/[^/]+\/bin\//.test(path);
}

/** Without comments, and either without templates, which may hold programs, or without the contents of strings. */
function codeOf(text: string, left: "strings" | "templates"): string {
  const token = /\/\*[\s\S]*?\*\/|\/\/.*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\[\s\S]|[^`\\])*`/g;
  return text.replace(token, (match) => {
    if (match.startsWith("/")) return " ";
    if (match.startsWith("`")) return left === "templates" ? match : "``";
    return left === "strings" || /^["'](?:node:)?timers/.test(match) ? match : '""';
  });
}

/** Every module that the text names: static, dynamic, `require`, and `import.meta.resolve`. */
function importsOf(text: string): string[] {
  const pattern = /(?:\bfrom\s*|(?<![-\w])import\s*\(?\s*|\brequire\s*\(\s*|\bresolve\s*\(\s*)["']([^"'\n]+)["']/g;
  return [...codeOf(text, "strings").matchAll(pattern)].map((match) => match[1] ?? "");
}

function ambientUses(text: string): string[] {
  const code = codeOf(text, "templates");
  return Object.entries(ambient)
    .filter(([, pattern]) => code.match(pattern) !== null)
    .map(([name]) => name);
}

interface Manifest {
  readonly name: string;
  readonly exports?: Readonly<Record<string, unknown>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}
const manifestOf = (folder: string) => JSON.parse(readFileSync(join(root, folder, "package.json"), "utf8")) as Manifest;
const nameOf = (specifier: string) => specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/");
const isBuiltin = (specifier: string) => specifier.startsWith("node:");

/** Tests may use what any part of the repository declares. */
const declaredSomewhere = [".", ...packages.map((name) => `packages/${name}`)].flatMap((folder) => {
  const { dependencies = {}, devDependencies = {} } = manifestOf(folder);
  return Object.keys({ ...dependencies, ...devDependencies });
});

/** What the ports' packages export beside the contract, its conformance suite and test support. */
const drivers = ["store", "queue", "coordination"].flatMap((name) =>
  Object.keys(manifestOf(`packages/${name}`).exports ?? {})
    .filter((subpath) => ![".", "./conformance", "./testing"].includes(subpath))
    .map((subpath) => `@sluice/${name}${subpath.slice(1)}`),
);

// ------------------------------------------------------------------------------------------------------------- the checks

describe("the check itself", () => {
  test("sees the files", () => {
    for (const name of packages) expect(ours.filter((source) => source.package === name)).not.toHaveLength(0);
    expect(scripts.length).toBeGreaterThan(150);
    expect(sources.some(({ path }) => path.endsWith(".py"))).toBe(true);
    expect(drivers).toContain("@sluice/store/pglite");
    expect(scripts.flatMap(({ text }) => importsOf(text)).length).toBeGreaterThan(500);
  });

  test("finds every kind of import", () => {
    const text = `import a from "a"; import { type B,\n c } from 'b/c';\nexport * from "d"; import "e"; await import("f"); require("g");
      // import h from "h"
      import.meta.resolve("./i.mjs"); type J = import("j").J; const program = \`import k from "k"\`;`;
    expect(importsOf(text)).toEqual(["a", "b/c", "d", "e", "f", "g", "./i.mjs", "j"]);
  });

  test("finds every ambient use, and none in comments and strings", () => {
    const uses = `Date.now(); new Date(); new Date; Math.random(); setTimeout(f, 1); setInterval(f); setImmediate(f);
      \`\${performance.now()}\`; process.hrtime.bigint(); randomUUID(); randomBytes(4); process.env.HOME;
      import { setTimeout } from "node:timers/promises"; AbortSignal.timeout(1);`;
    expect(ambientUses(uses)).toEqual(Object.keys(ambient));
    const harmless = `new Date(0); new Date(now); clock.now(); /* Date.now() */ const url = "http://x"; // setTimeout
      log("setTimeout(1)"); process.environment; random.next();`;
    expect(ambientUses(harmless)).toEqual([]);
  });
});

test("every package has a row in the import table, a README and a name", () => {
  expect(packages).toEqual(Object.keys(mayImport).sort());
  for (const name of packages) expect(manifestOf(`packages/${name}`).name).toBe(`@sluice/${name}`);
  expect(packages.filter((name) => !existsSync(join(root, "packages", name, "README.md")))).toEqual([]);
});

test("the import table has no cycle", () => {
  const reaches = (from: string, seen: readonly string[]): void => {
    expect(seen).not.toContain(from);
    for (const next of mayImport[from] ?? []) reaches(next, [...seen, from]);
  };
  for (const name of packages) reaches(name, []);
});

test.each(packages)("%s imports only what its row allows and its package.json declares", (name) => {
  const own = `@sluice/${name}`;
  const declared = Object.keys(manifestOf(`packages/${name}`).dependencies ?? {});
  const allowed = new Set([own, ...(mayImport[name] ?? []).map((other) => `@sluice/${other}`)]);
  const offences = scripts
    .filter((source) => source.package === name)
    .flatMap((source) =>
      importsOf(source.text)
        .filter((specifier) => !specifier.startsWith(".") && !isBuiltin(specifier) && !specifier.startsWith("file:"))
        .map(nameOf)
        .filter((module) => {
          if (module === own) return !isTest(source);
          if (module === interpreter && isLauncher(source)) return false;
          if (forTests.includes(module) && isTest(source)) return false;
          if (module.startsWith("@sluice/") && !allowed.has(module)) return true;
          return !(isTest(source) ? declaredSomewhere : declared).includes(module);
        })
        .map((module) => `${source.path} → ${module}`),
    );
  expect(offences).toEqual([]);
  expect(declared.filter((module) => module.startsWith("@sluice/") && !allowed.has(module))).toEqual([]);
});

test("relative imports stay inside their package, and nothing imports tests, examples or the simulation", () => {
  const offences = scripts.flatMap((source) => {
    const home = source.package === undefined ? root : join(root, "packages", source.package);
    return importsOf(source.text)
      .filter((specifier) => specifier.startsWith("."))
      .filter((specifier) => !resolve(root, source.path, "..", specifier).startsWith(`${home}/`))
      .map((specifier) => `${source.path} → ${specifier}`);
  });
  expect(offences).toEqual([]);
});

test("drivers are imported only where a process is composed, and test support only by tests", () => {
  const offences = ours.flatMap((source) =>
    importsOf(source.text)
      .filter((specifier) => {
        if (/^@sluice\/[^/]+\/(?:conformance|testing)$/.test(specifier)) return true;
        return drivers.includes(specifier) && !isMain(source) && !composers.includes(source.package ?? "");
      })
      .map((specifier) => `${source.path} → ${specifier}`),
  );
  expect(offences).toEqual([]);
});

test("what only tests may import is imported only by tests", () => {
  const offences = ours.flatMap((source) =>
    importsOf(source.text)
      .filter((specifier) => specifier.startsWith("."))
      .filter((specifier) => isTest({ path: relative(root, resolve(root, source.path, "..", specifier)) }))
      .map((specifier) => `${source.path} → ${specifier}`),
  );
  expect(offences).toEqual([]);
});

test.each(pure)("%s imports no module of Node", (name) => {
  const offences = ours
    .filter((source) => source.package === name)
    .flatMap(({ path, text }) =>
      importsOf(text)
        .filter(isBuiltin)
        .map((specifier) => `${path} → ${specifier}`),
    );
  expect(offences).toEqual([]);
});

test("libraries stay in their homes", () => {
  const offences = ours.flatMap(({ path, text, package: name }) =>
    importsOf(text)
      .map(nameOf)
      .filter((module) => homes[module] !== undefined && !homes[module].includes(name ?? ""))
      .map((module) => `${path} → ${module}`),
  );
  expect(offences).toEqual([]);
});

test("time, timers, chance and environment come from outside, but for the listed exceptions, each of which is needed", () => {
  const simulation = scripts.filter(
    ({ path }) => path.startsWith("test/simulation/") && !/\/main\.ts$|\.test\.ts$/.test(path),
  );
  const found = [...ours, ...simulation]
    .filter((source) => !isMain(source))
    .flatMap(({ path, text }) => ambientUses(text).map((use) => `${path}: ${use}`));
  const listed = Object.entries(mayBeAmbient).flatMap(([path, { uses }]) => uses.map((use) => `${path}: ${use}`));
  expect(found.sort()).toEqual(listed.sort());
});

test(`no file is longer than ${lineMax} lines`, () => {
  const long = sources.filter(({ text }) => text.split("\n").length - 1 > lineMax).map(({ path }) => path);
  expect(long.toSorted()).toEqual(Object.keys(mayBeLong).toSorted());
});

test("no test is skipped, postponed, or run alone", () => {
  const pattern = /\b(?:test|it|describe|suite|bench)(?:\.\w+)*\.(?:only|skip|skipIf|runIf|todo|fails)\b/;
  const offences = scripts.filter(({ text }) => pattern.test(codeOf(text, "templates"))).map(({ path }) => path);
  expect(offences).toEqual([]);
});
