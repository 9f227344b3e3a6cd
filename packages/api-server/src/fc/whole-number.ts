import { invalid } from "@sluice/core";

/** The number that a text stands for. Throws `reason` unless it is a whole one from `min` to `max`. */
export function wholeNumber(
  text: string,
  range: { readonly field: string; readonly reason: string; readonly min: number; readonly max: number },
): number {
  const number = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (number >= range.min && number <= range.max) return number;
  const message = `must be a whole number from ${range.min} to ${range.max}, not ${text}`;
  throw invalid(range.reason, range.field, message);
}
