import { Presets, SingleBar } from "cli-progress";
import type { Output } from "./output.ts";

/** Shows how far many tasks are. */
export interface Progress {
  update(done: number, total: number): void;
  stop(): void;
}

/** A bar on a terminal; nothing elsewhere. */
export function startProgress(output: Output, verb: string): Progress {
  if (!output.isErrorTerminal) return { update() {}, stop() {} };
  const bar = new SingleBar(
    {
      format: `${verb} [{bar}] {value}/{total} | {duration_formatted}`,
      stream: output.errorStream,
      hideCursor: true,
      clearOnComplete: true,
      // A redraw per task would cost more than the task.
      fps: 10,
    },
    Presets.legacy,
  );
  return {
    update(done, total) {
      // Not before there is something: a bar of 0 out of 0 looks full.
      if (!bar.isActive) bar.start(total, done);
      bar.setTotal(total);
      bar.update(done);
    },
    stop: () => bar.stop(),
  };
}
