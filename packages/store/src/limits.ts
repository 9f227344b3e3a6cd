// What functions and accounts have in common: settings that may limit, and when they began or ended to do so.

/** Whether settings (jsonb) limit anything. */
function limits(settings: string): string {
  const above0 = (name: string) => `coalesce((${settings} ->> '${name}')::float8, 0) > 0`;
  return `(${above0("concurrencyMax")} or ${above0("rateMax")})`;
}

/**
 * The new `limits_changed_at` of a row whose settings get `change`. It grows also when the clock does not: whoever dispatched
 * by older settings can be told by it.
 */
export function limitsChangedAt(table: string, change: string, now: string): string {
  const before = limits(`${table}.settings`);
  const after = limits(`(${table}.settings || ${change}::jsonb)`);
  const column = `${table}.limits_changed_at`;
  return `case when ${before} <> ${after} then greatest(${now}, ${column} + 1) else ${column} end`;
}
