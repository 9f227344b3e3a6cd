// Node keeps a composite signal (`AbortSignal.any`) that somebody listens to until it aborts, with all that hangs on it. A
// crashed process of a simulated world never stops in order, so its signals never abort: 5 MB a seed, which is what ended
// processes after some dozens of seeds. Here a composite signal lives as long as those that it is made of.

/** Aborts as soon as one of `signals` does, with its reason. */
function anyOf(signals: Iterable<AbortSignal>): AbortSignal {
  const sources = [...signals];
  const composite = new AbortController();
  const aborted = sources.find((source) => source.aborted);
  if (aborted !== undefined) composite.abort(aborted.reason);
  else {
    for (const source of sources) {
      source.addEventListener("abort", () => composite.abort(source.reason), { once: true });
    }
  }
  return composite.signal;
}

AbortSignal.any = anyOf;
