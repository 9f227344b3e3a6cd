// What happened, line by line. The hash covers every line; only the last ones are kept for people.
import { createHash } from "node:crypto";

export interface Trace {
  add(line: string): void;
  /** Of every line so far, 16 hexadecimal digits: equal for equal seeds. */
  readonly hash: string;
  readonly length: number;
  /** The last lines, oldest first. */
  last(count: number): readonly string[];
}

const keptMax = 20_000;

/** `now`: true time in ms, printed before each line. */
export function createTrace(now: () => number): Trace {
  const hash = createHash("sha256");
  const kept: string[] = [];
  let length = 0;
  return {
    add(text) {
      const line = `${now().toFixed(0).padStart(7)} ${text}`;
      hash.update(line);
      hash.update("\n");
      kept[length % keptMax] = line;
      length++;
    },
    get hash() {
      return hash.copy().digest("hex").slice(0, 16);
    },
    get length() {
      return length;
    },
    last(count) {
      const wanted = Math.min(count, kept.length);
      return Array.from({ length: wanted }, (_, index) => kept[(length - wanted + index) % keptMax] as string);
    },
  };
}
