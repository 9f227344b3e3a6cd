import Table from "cli-table3";
import { colored, printable, type Style } from "./format.ts";

/** Where a command writes to. Results go to stdout and nothing else does; what people should know goes to stderr. */
export interface Output {
  /** To stdout; resolves when there is room for more. */
  write(data: string | Uint8Array): Promise<void>;
  /** To stderr. */
  writeError(data: string | Uint8Array): Promise<void>;
  /** Whether stdout is a terminal: user data is escaped there. */
  readonly isTerminal: boolean;
  /** Whether stderr is a terminal: progress is shown there. */
  readonly isErrorTerminal: boolean;
  /** Whether colours are wanted on stdout. */
  readonly hasColors: boolean;
  /** For the progress bar, which draws over its own line. */
  readonly errorStream: NodeJS.WritableStream;
}

/** One JSON document, on a line of its own. */
export function writeJson(output: Output, value: unknown): Promise<void> {
  return output.write(`${JSON.stringify(value)}\n`);
}

/** A line for people on stderr. */
export function writeNote(output: Output, text: string): Promise<void> {
  return output.writeError(`${printable(text)}\n`);
}

export interface Cell {
  readonly text: string;
  readonly style?: Style | undefined;
}

/** A table without frames, so that lines can be cut and sorted; `head` undefined: rows only. */
export function writeTable(
  output: Output,
  head: readonly string[] | undefined,
  rows: readonly Cell[][],
): Promise<void> {
  const table = new Table({
    ...(head && { head: head.map((name) => paint(output, { text: name, style: "bold" })) }),
    chars: noFrame,
    // The library's own colours do not know whether they are wanted.
    style: { head: [], border: [], "padding-left": 0, "padding-right": 2 },
  });
  for (const row of rows) table.push(row.map((cell) => paint(output, cell)));
  const lines = table
    .toString()
    .split("\n")
    .map((line) => line.trimEnd());
  return output.write(`${lines.join("\n")}\n`);
}

function paint(output: Output, { text, style }: Cell): string {
  const safe = printable(text);
  return output.hasColors && style ? colored(safe, style) : safe;
}

const noFrame = {
  top: "",
  "top-mid": "",
  "top-left": "",
  "top-right": "",
  bottom: "",
  "bottom-mid": "",
  "bottom-left": "",
  "bottom-right": "",
  left: "",
  "left-mid": "",
  mid: "",
  "mid-mid": "",
  right: "",
  "right-mid": "",
  middle: "",
} as const;
