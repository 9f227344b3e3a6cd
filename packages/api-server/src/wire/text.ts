import { invalid } from "@sluice/core";

// Decoding replaces invalid UTF-8 by U+FFFD without a word, so a text that contains it is refused: it would not be the text
// that was sent. PostgreSQL cannot keep NUL, and half a surrogate pair has no encoding.
const unkeepable = /[\0\uFFFD]|\p{Surrogate}/u;

/** Throws `INVALID_TEXT` unless the text can be kept and read back as it is and has at most `max` characters. */
export function checkText(text: string, field: string, max: number): string {
  if (text.length > max) throw invalid("INVALID_TEXT", field, `at most ${max} characters are accepted`);
  if (unkeepable.test(text)) {
    throw invalid(
      "INVALID_TEXT",
      field,
      "must be valid UTF-8 without NUL and without the replacement character U+FFFD",
    );
  }
  return text;
}

const tagLengthMax = 64;

/** Throws `INVALID_TAG` unless it is a text of 1 to 64 characters that can be kept. */
export function checkTag(tag: string, field: string): string {
  if (tag.length > 0 && tag.length <= tagLengthMax && !unkeepable.test(tag)) return tag;
  throw invalid(
    "INVALID_TAG",
    field,
    `a tag is valid UTF-8 of 1 to ${tagLengthMax} characters, without NUL and U+FFFD`,
  );
}

/** Throws `reason` unless `value` is a whole number from `min` to `max`. */
export function checkInteger(
  value: number,
  range: { readonly field: string; readonly reason: string; readonly min: number; readonly max: number },
): number {
  if (Number.isSafeInteger(value) && value >= range.min && value <= range.max) return value;
  throw invalid(range.reason, range.field, `must be a whole number from ${range.min} to ${range.max}, not ${value}`);
}
