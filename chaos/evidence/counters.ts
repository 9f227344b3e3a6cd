// Counters of services, summed over their lives: a process that is killed takes its own along, but for what was read before.
import { httpGet } from "@sluice/testbed";

export interface CounterSource {
  readonly name: string;
  /** host:port of /metrics. */
  readonly httpAddress: string;
}

export class Counters {
  readonly #sources: () => readonly CounterSource[];
  /** By source and name: what it said last, and the sum of what its earlier lives had said last. */
  readonly #last = new Map<string, Map<string, number>>();
  readonly #before = new Map<string, number>();

  /** `sources` is asked at every look; more may come. */
  constructor(sources: () => readonly CounterSource[]) {
    this.#sources = sources;
  }

  /** Reads all that answer. */
  async look(): Promise<void> {
    await Promise.all(
      this.#sources().map(async ({ name, httpAddress }) => {
        const answer = await httpGet(Number(httpAddress.split(":").at(-1)), "/metrics").catch(() => undefined);
        if (answer?.status === 200) this.take(name, answer.text);
      }),
    );
  }

  /** What a source says now. A counter that is lower than before is that of a new life. */
  take(source: string, text: string): void {
    const now = countersIn(text);
    const last = this.#last.get(source) ?? new Map<string, number>();
    const isNewLife = [...last].some(([name, value]) => value > (now.get(name) ?? 0));
    if (isNewLife) for (const [name, value] of last) this.#before.set(name, (this.#before.get(name) ?? 0) + value);
    this.#last.set(source, now);
  }

  sums(): Record<string, number> {
    const sums = new Map(this.#before);
    for (const last of this.#last.values()) {
      for (const [name, value] of last) sums.set(name, (sums.get(name) ?? 0) + value);
    }
    return Object.fromEntries([...sums].sort(([a], [b]) => (a < b ? -1 : 1)));
  }
}

/** Of a page in the format of Prometheus; all labels together. */
export function countersIn(text: string): Map<string, number> {
  const counters = new Map<string, number>();
  for (const line of text.split("\n")) {
    const type = /^# TYPE (\w+) counter$/.exec(line);
    if (type?.[1]) counters.set(type[1], 0);
    const value = /^(\w+)(?:\{.*\})? (\S+)$/.exec(line);
    const before = counters.get(value?.[1] ?? "");
    if (value?.[1] && before !== undefined) counters.set(value[1], before + Number(value[2]));
  }
  return counters;
}
