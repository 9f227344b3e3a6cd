// Delta debugging, after Zeller's ddmin: from what fails to a small part of it that fails as well.

/** Whether these items alone still fail; undefined: there is no time left to find out. */
export type Fails<T> = (items: readonly T[]) => Promise<boolean | undefined>;

/**
 * A part of `items`, in their order, that fails, and of which no single item can be left out; more is left if the time ran
 * out. The whole is known to fail.
 */
export async function minimise<T>(items: readonly T[], fails: Fails<T>): Promise<readonly T[]> {
  // Often all of them are innocent.
  if (items.length === 0 || (await fails([]))) return [];
  let left = items;
  // Leaves out pieces: halves at first, single items in the end, and those until nothing more can go.
  for (let size = Math.ceil(left.length / 2); size >= 1; ) {
    const before = left.length;
    for (let from = 0; from < left.length; ) {
      const rest = [...left.slice(0, from), ...left.slice(from + size)];
      const failed = rest.length === 0 ? false : await fails(rest);
      if (failed === undefined) return left;
      if (failed) left = rest;
      else from += size;
    }
    if (size > 1) size = Math.ceil(size / 2);
    else if (left.length === before || left.length === 1) return left;
  }
  return left;
}
