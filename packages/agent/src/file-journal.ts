// The journal as an append-only file:
//
//   +<queue> <lane> <seq> <attempt>     accepted
//   *<seq> <attempt>                    started
//   =<seq> <attempt> <outcome, base64>  ended
//   -<seq> <attempt>                    confirmed
//
// One `write` per batch. No fsync: a killed process leaves what it wrote in the kernel's cache, and a host that loses its
// power loses its processes, too (its attempts are then lost by the death of the incarnation). A torn last line is an
// attempt that never started, or a confirmation that its owner repeats.
import { closeSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { AttemptOutcome, type AttemptRef } from "@sluice/protocol";
import { type Journal, type JournalEntry, journalKey, type Recovered, startedOf } from "./journal.ts";

/** A file that holds mostly confirmed attempts is written anew beyond this. */
const compactAtBytes = 1024 * 1024;

export interface FileJournal extends Journal, Disposable {}

/** Opens the journal at `path`, which only the holder of the host lock may do. Throws what the file system throws. */
export function openFileJournal(path: string): FileJournal {
  mkdirSync(dirname(path), { recursive: true });
  return new AppendedFile(path);
}

class AppendedFile implements FileJournal {
  readonly #path: string;
  readonly #live: Map<string, JournalEntry>;
  #file: number;
  /** Lines that the next write takes along. */
  #unwritten = "";
  #bytes = 0;
  #compactAt = compactAtBytes;

  constructor(path: string) {
    this.#path = path;
    this.#live = read(path);
    this.#file = openSync(path, "a");
    this.#compact();
  }

  recover(): readonly Recovered[] {
    return startedOf(this.#live.values());
  }

  accepted(attempts: readonly AttemptRef[]): void {
    this.#append(attempts.map(acceptedLine).join(""));
    for (const ref of attempts) this.#live.set(journalKey(ref), { ref, hasStarted: false, outcome: undefined });
    this.#compactIfLarge();
  }

  started(attempt: AttemptRef): void {
    const entry = this.#live.get(journalKey(attempt));
    if (!entry) return;
    this.#unwritten += startedLine(attempt);
    entry.hasStarted = true;
  }

  ended(attempt: AttemptRef, outcome: AttemptOutcome): void {
    const entry = this.#live.get(journalKey(attempt));
    if (!entry) return;
    this.#unwritten += endedLine(attempt, outcome);
    entry.outcome = outcome;
  }

  flush(): void {
    if (this.#unwritten === "") return;
    this.#append("");
    this.#compactIfLarge();
  }

  confirmed(attempts: readonly AttemptRef[]): void {
    const known = attempts.filter((ref) => this.#live.delete(journalKey(ref)));
    this.#append(known.map(({ seq, attempt }) => `-${seq} ${attempt}\n`).join(""));
    this.#compactIfLarge();
  }

  reset(): void {
    this.#live.clear();
    this.#compact();
  }

  [Symbol.dispose](): void {
    this.flush();
    closeSync(this.#file);
  }

  /** With what waits. That is not tried again when it fails: a repeat after a crash is all that it costs. */
  #append(text: string): void {
    const lines = this.#unwritten + text;
    this.#unwritten = "";
    this.#bytes += writeAll(this.#file, lines);
  }

  #compactIfLarge(): void {
    if (this.#bytes > this.#compactAt) this.#compact();
  }

  /** Complete or not at all: a new file takes the place of the old one. */
  #compact(): void {
    // The table says the same.
    this.#unwritten = "";
    const next = `${this.#path}.next`;
    rmSync(next, { force: true });
    const file = openSync(next, "a");
    try {
      this.#bytes = writeAll(file, [...this.#live.values()].map(entryLines).join(""));
      renameSync(next, this.#path);
    } catch (cause) {
      closeSync(file);
      throw cause;
    }
    closeSync(this.#file);
    this.#file = file;
    // A table that is large by itself must not be copied with every batch.
    this.#compactAt = Math.max(compactAtBytes, 2 * this.#bytes);
  }
}

function acceptedLine({ queue, lane, seq, attempt }: AttemptRef): string {
  return `+${encodeURIComponent(queue)} ${lane} ${seq} ${attempt}\n`;
}

function startedLine({ seq, attempt }: AttemptRef): string {
  return `*${seq} ${attempt}\n`;
}

function endedLine({ seq, attempt }: AttemptRef, outcome: AttemptOutcome): string {
  return `=${seq} ${attempt} ${Buffer.from(AttemptOutcome.encode(outcome).finish()).toString("base64")}\n`;
}

function entryLines({ ref, hasStarted, outcome }: JournalEntry): string {
  return acceptedLine(ref) + (hasStarted ? startedLine(ref) : "") + (outcome ? endedLine(ref, outcome) : "");
}

function writeAll(file: number, text: string): number {
  const bytes = Buffer.from(text);
  for (let written = 0; written < bytes.length; ) written += writeSync(file, bytes, written);
  return bytes.length;
}

function read(path: string): Map<string, JournalEntry> {
  const live = new Map<string, JournalEntry>();
  const lines = textOf(path).split("\n");
  // What follows the last newline was not written to its end.
  for (const line of lines.slice(0, -1)) {
    const accepted = /^\+(\S+) (\d+) (\d+) (\d+)$/.exec(line);
    const later = /^([*=-])(\d+) (\d+)(?: (\S*))?$/.exec(line);
    if (accepted) {
      const [, queue = "", lane, seq, attempt] = accepted;
      const ref = { queue: decodeURIComponent(queue), lane: Number(lane), seq: Number(seq), attempt: Number(attempt) };
      live.set(journalKey(ref), { ref, hasStarted: false, outcome: undefined });
    } else if (later) {
      const key = journalKey({ seq: Number(later[2]), attempt: Number(later[3]) });
      const entry = live.get(key);
      if (later[1] === "-") live.delete(key);
      else if (entry && later[1] === "*") entry.hasStarted = true;
      else if (entry) entry.outcome = AttemptOutcome.decode(Buffer.from(later[4] ?? "", "base64"));
    }
  }
  return live;
}

function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return "";
    throw cause;
  }
}
