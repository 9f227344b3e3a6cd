// Values of options, from text.
import { InvalidArgumentError } from "commander";

const units: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Such as `500ms`, `10s`, `1.5m`, `2h`, `1d`; in milliseconds. A number alone is refused: nobody remembers its unit. */
export function parseDuration(text: string): number {
  const found = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text);
  const ms = found ? Number(found[1]) * (units[found[2] as string] as number) : text === "0" ? 0 : Number.NaN;
  if (!Number.isSafeInteger(Math.round(ms)))
    throw new InvalidArgumentError("Use a duration like 500ms, 10s, 5m, 2h or 1d.");
  return Math.round(ms);
}

export interface PartitionName {
  readonly queue: string;
  readonly prefix: string;
}

/** `q0` or `q0/-`, the whole queue, or `q0/01`, the lanes whose bits begin so. */
export function parsePartition(text: string): PartitionName {
  const found = /^([^/]+)(?:\/(-|[01]{1,5}))?$/.exec(text);
  if (!found) throw new InvalidArgumentError("Use QUEUE, or QUEUE/PREFIX with 1 to 5 digits 0 or 1, like q0/01.");
  const [, queue = "", prefix = "-"] = found;
  return { queue, prefix: prefix === "-" ? "" : prefix };
}

export interface FlowName {
  readonly account: string;
  readonly name: string;
}

export function parseFlow(text: string): FlowName {
  const [account, name, ...more] = text.split("/");
  if (!account || !name || more.length > 0) throw new InvalidArgumentError("Use ACCOUNT/FUNCTION.");
  return { account, name };
}

/** A whole number, 0 or more. */
export function parseCount(text: string): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(value)) throw new InvalidArgumentError("Use a whole number.");
  return value;
}

/** A number, 0 or more. */
export function parseNumber(text: string): number {
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text);
  throw new InvalidArgumentError("Use a number, 0 or more.");
}

/** A whole number, or `none`, which is 0. */
export function parseLimit(text: string): number {
  const value = text === "none" ? 0 : /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(value)) throw new InvalidArgumentError("Use a whole number, or none.");
  return value;
}

/** A number, 0 or more, or `none`, which is 0. */
export function parseRate(text: string): number {
  if (text === "none") return 0;
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text);
  throw new InvalidArgumentError("Use a number of attempts per second, or none.");
}

/** `NAME=VALUE`, added to those before it. */
export function parseVariable(text: string, before: Readonly<Record<string, string>> = {}): Record<string, string> {
  const split = text.indexOf("=");
  if (split < 1) throw new InvalidArgumentError("Use NAME=VALUE.");
  return { ...before, [text.slice(0, split)]: text.slice(split + 1) };
}

/** Added to those before it. */
export function parseTag(text: string, before: readonly string[] = []): string[] {
  if (text === "" || text.length > 64) throw new InvalidArgumentError("A tag has 1 to 64 characters.");
  return [...before, text];
}

/** A time like `2026-11-21T10:00:00Z`, or a duration before now like `2h`; a function, because only the caller knows now. */
export function parseTime(text: string): (nowMs: number) => number {
  if (/^\d+(\.\d+)?(ms|s|m|h|d)$/.test(text)) {
    const ago = parseDuration(text);
    return (nowMs) => Math.round(nowMs - ago);
  }
  const at = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(at))
    throw new InvalidArgumentError("Use a time like 2026-11-21T10:00:00Z, or a duration before now like 2h.");
  return () => at;
}
