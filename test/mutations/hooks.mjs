// The load hook of `register.mjs`. Hooks that were registered later are asked first, so tsx, registered behind this one, asks
// here for the text of a file, and translates what it gets. Its disk cache is keyed by that text.
const sources = new Map();

export function initialize(data) {
  for (const { url, original, source } of data) sources.set(url, { original, source });
}

export async function load(url, context, nextLoad) {
  const loaded = await nextLoad(url, context);
  const altered = sources.get(url.split("?")[0]);
  if (altered === undefined) return loaded;
  if (String(loaded.source) !== altered.original) {
    throw new Error(`${url} came here translated: test/mutations/register.mjs must be imported before tsx`);
  }
  return { ...loaded, source: altered.source };
}
