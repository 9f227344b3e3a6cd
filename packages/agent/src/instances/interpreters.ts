import { execFile } from "node:child_process";
import { promisify } from "node:util";

const run = promisify(execFile);

/** An interpreter that can run a runtime. */
export interface Interpreter {
  readonly language: "node" | "python";
  /** Of the program itself, not of a version manager's shim, which would cost a second start. */
  readonly path: string;
  readonly version: string;
}

export type InterpreterAnswer = Interpreter | { readonly missing: string };

const oldestNode = 18;
const oldestPython = 9;
const newestNode = 26;
const newestPython = 15;

/**
 * Finds the interpreter of a runtime: the exact version when the host has it, else the nearest newer one (what ran on
 * Node 18 runs on 20; the reverse does not hold). Answers are remembered.
 */
export class Interpreters {
  readonly #configured: Readonly<Record<string, string>>;
  readonly #answers = new Map<string, Promise<InterpreterAnswer>>();
  readonly #probes = new Map<string, Promise<Interpreter | undefined>>();

  /** `configured`: runtime → path, for hosts on which the search would choose another. */
  constructor(configured: Readonly<Record<string, string>> = {}) {
    this.#configured = configured;
  }

  find(runtime: string): Promise<InterpreterAnswer> {
    const known = this.#answers.get(runtime);
    if (known) return known;
    const answer = this.#search(runtime);
    // Only runtimes that exist are remembered; the names of others come from outside and have no bound.
    if (parse(runtime)) this.#answers.set(runtime, answer);
    return answer;
  }

  async #search(runtime: string): Promise<InterpreterAnswer> {
    const wanted = parse(runtime);
    if (!wanted) return { missing: `unknown runtime ${JSON.stringify(runtime)}` };
    const configured = this.#configured[runtime];
    const candidates = configured === undefined ? candidatesOf(wanted) : [configured];
    for (const candidate of candidates) {
      const found = await this.#probe(candidate, wanted.language);
      if (found && minorOf(found) >= wanted.version) return found;
    }
    return { missing: `this host has no interpreter for ${runtime}` };
  }

  #probe(command: string, language: Interpreter["language"]): Promise<Interpreter | undefined> {
    let probe = this.#probes.get(command);
    if (!probe) {
      probe = probeInterpreter(command, language);
      this.#probes.set(command, probe);
    }
    return probe;
  }
}

interface Wanted {
  readonly language: Interpreter["language"];
  /** Node: major; Python: minor of 3. */
  readonly version: number;
  readonly isExact: boolean;
}

function parse(runtime: string): Wanted | undefined {
  const node = /^nodejs(18|20|22)$/.exec(runtime);
  if (node) return { language: "node", version: Number(node[1]), isExact: true };
  const python = /^python3(?:\.(9|10|11|12))?$/.exec(runtime);
  return python
    ? { language: "python", version: Number(python[1] ?? oldestPython), isExact: python[1] !== undefined }
    : undefined;
}

/** In the order of preference: exact, then newer ones. */
function candidatesOf({ language, version, isExact }: Wanted): string[] {
  if (language === "node") {
    const exact = [`node${version}`, `nodejs${version}`, "node", process.execPath];
    const ownMajor = Number(process.versions.node.split(".")[0]);
    if (ownMajor === version) exact.unshift(process.execPath);
    return [...exact, ...between(Math.max(version, oldestNode) + 1, newestNode).map((major) => `node${major}`)];
  }
  const versions = between(version, newestPython).map((minor) => `python3.${minor}`);
  return isExact ? [...versions.slice(0, 1), "python3", ...versions.slice(1)] : ["python3", ...versions];
}

async function probeInterpreter(command: string, language: Interpreter["language"]): Promise<Interpreter | undefined> {
  const script =
    language === "node"
      ? ["-p", "process.execPath + ' ' + process.versions.node"]
      : ["-c", "import sys; print(sys.executable, '.'.join(map(str, sys.version_info[:3])))"];
  try {
    const { stdout } = await run(command, script, { timeout: 20_000 });
    const [, path, version] = /^(.*) (\d+\.\d+\.\d+)\s*$/.exec(stdout) ?? [];
    return path && version ? { language, path, version } : undefined;
  } catch {
    return undefined;
  }
}

function minorOf({ language, version }: Interpreter): number {
  const [major, minor] = version.split(".").map(Number);
  if (language === "node") return major ?? 0;
  return major === 3 ? (minor ?? 0) : -1;
}

function between(first: number, last: number): number[] {
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => first + index);
}
