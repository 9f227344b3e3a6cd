// What handlers wrote about their own executions (`handler/index.cjs` says how), outside of everything that is broken.
import { closeSync, openSync, readSync } from "node:fs";
import { ledgerStart, ledgerTime } from "./clock.ts";

/** One execution of an attempt. Times in ms of the ledger's clock. */
export interface LedgerExecution {
  readonly account: string;
  readonly taskId: string;
  readonly seq: number;
  readonly attempt: number;
  readonly epoch: number;
  readonly agentId: string;
  readonly instanceId: string;
  readonly pid: number;
  readonly startedAt: number;
  /** The last sign of life: start, tick or end. */
  readonly seenAt: number;
  /** Undefined: it runs, or died before it could write. */
  readonly how: "ok" | "failed" | "stopped" | "crashed" | undefined;
}

export interface Ledger extends Disposable {
  /** In the order of their starts in the file. */
  readonly executions: readonly LedgerExecution[];
  /** Lines that make no sense. */
  readonly problems: readonly string[];
  /** Takes in what was appended since the last call. */
  read(): void;
  /** Started, not ended, and seen within the last second before `now`. */
  running(now: number): LedgerExecution[];
}

/** Opens a file that exists. `start` is the 0 of its times, in ns of CLOCK_MONOTONIC. */
export function openLedger(path: string, start = ledgerStart): Ledger {
  const file = openSync(path, "r");
  const parser = new LedgerParser(start);
  const chunk = Buffer.alloc(1024 * 1024);
  let offset = 0;
  return {
    executions: parser.executions,
    problems: parser.problems,
    read() {
      for (;;) {
        const bytes = readSync(file, chunk, 0, chunk.length, offset);
        if (bytes === 0) return;
        offset += bytes;
        parser.add(chunk.toString("latin1", 0, bytes));
      }
    },
    running: (now) => parser.running(now),
    [Symbol.dispose]: () => closeSync(file),
  };
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };

/** Handlers tick every 100 ms; a busy machine lets them wait. */
const aliveMs = 1_000;
const problemsMax = 20;

export class LedgerParser {
  readonly executions: LedgerExecution[] = [];
  readonly problems: string[] = [];
  /** By instance, then by number. */
  readonly #open = new Map<string, Map<string, Writable<LedgerExecution>>>();
  readonly #zero: bigint;
  #rest = "";

  /** `start` is the 0 of its times, in ns of CLOCK_MONOTONIC. */
  constructor(start: bigint) {
    this.#zero = start;
  }

  /** Takes any piece of the file, in order; the last line may be incomplete. */
  add(text: string): void {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) this.#line(line);
  }

  running(now: number): LedgerExecution[] {
    return [...this.#open.values()].flatMap((ofInstance) =>
      [...ofInstance.values()].filter(({ seenAt }) => now - seenAt < aliveMs),
    );
  }

  #line(line: string): void {
    const words = line.split(" ");
    const ns = words.at(-1) ?? "";
    const at = /^\d+$/.test(ns) ? ledgerTime(BigInt(ns), this.#zero) : undefined;
    const isKnown =
      at !== undefined &&
      ((words[0] === "start" && words.length === 11 && this.#start(words, at)) ||
        (words[0] === "tick" && words.length === 3 && this.#tick(words, at)) ||
        (words[0] === "end" && words.length === 5 && this.#end(words, at)));
    if (!isKnown && this.problems.length < problemsMax) this.problems.push(`the ledger has a line "${line}"`);
  }

  #start(words: readonly string[], at: number): boolean {
    const [, account = "", taskId = "", seq, attempt, epoch, agentId = "", instanceId = "", number = "", pid] = words;
    const execution = {
      account,
      taskId,
      seq: Number(seq),
      attempt: Number(attempt),
      epoch: Number(epoch),
      agentId,
      instanceId,
      pid: Number(pid),
      startedAt: at,
      seenAt: at,
      how: undefined,
    };
    this.executions.push(execution);
    const ofInstance = this.#open.get(instanceId);
    if (ofInstance) ofInstance.set(number, execution);
    else this.#open.set(instanceId, new Map([[number, execution]]));
    return [execution.seq, execution.attempt, execution.epoch].every(Number.isSafeInteger);
  }

  /** Says that everything open in its process runs; a process without anything open does not tick. */
  #tick([, instanceId = ""]: readonly string[], at: number): boolean {
    const ofInstance = this.#open.get(instanceId);
    if (!ofInstance) return false;
    for (const execution of ofInstance.values()) execution.seenAt = at;
    return true;
  }

  #end([, instanceId = "", number = "", how]: readonly string[], at: number): boolean {
    const execution = this.#open.get(instanceId)?.get(number);
    if (!execution || (how !== "ok" && how !== "failed" && how !== "stopped" && how !== "crashed")) return false;
    this.#open.get(instanceId)?.delete(number);
    execution.seenAt = at;
    execution.how = how;
    return true;
  }
}
