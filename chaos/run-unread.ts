import type { EventEmitter } from "node:events";

/**
 * Interrupts a run whose reader has gone, as `head` goes: once, so that it ends in order and leaves nothing behind. Default: as
 * Ctrl-C does.
 */
export function interruptWhenUnread(
  streams: readonly EventEmitter[] = [process.stdout, process.stderr],
  interrupt: () => void = () => process.kill(process.pid, "SIGINT"),
): void {
  let isUnread = false;
  for (const stream of streams) {
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EPIPE") throw error;
      // Every line after it fails as well.
      if (!isUnread) interrupt();
      isUnread = true;
    });
  }
}
