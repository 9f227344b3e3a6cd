/** Of a JSON object that another release may have written: nothing is known of its fields. */
export type Fields = Readonly<Record<string, unknown>>;

/** What is no JSON, or no object, has none. */
export function fieldsOf(value: string): Fields {
  try {
    return fieldsIn(JSON.parse(value));
  } catch {
    return {};
  }
}

export function fieldsIn(value: unknown): Fields {
  return typeof value === "object" && value !== null ? (value as Fields) : {};
}
