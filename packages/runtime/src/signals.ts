/** What `untilSignal` needs of a process. */
export interface SignalSource {
  on(name: "SIGINT" | "SIGTERM", listener: () => void): unknown;
  off(name: "SIGINT" | "SIGTERM", listener: () => void): unknown;
  exit(code: number): unknown;
}

/**
 * Runs until it ends by itself, or asks it to end on SIGINT or SIGTERM. A second signal exits at once with 130 or 143, for
 * people who will not wait.
 */
export async function untilSignal(
  run: (signal: AbortSignal) => Promise<void>,
  source: SignalSource = process,
): Promise<void> {
  const controller = new AbortController();
  const onSignal = (name: "SIGINT" | "SIGTERM", exitCode: number) => () => {
    if (controller.signal.aborted) source.exit(exitCode);
    else controller.abort(new DOMException(`received ${name}`, "AbortError"));
  };
  const onInterrupt = onSignal("SIGINT", 130);
  const onTerminate = onSignal("SIGTERM", 143);
  source.on("SIGINT", onInterrupt);
  source.on("SIGTERM", onTerminate);
  try {
    await run(controller.signal);
  } finally {
    source.off("SIGINT", onInterrupt);
    source.off("SIGTERM", onTerminate);
  }
}
