// Announces to the next owner what has come back, behind the back of who needs it now. What is not announced its sweeper finds.
import type { Block } from "@sluice/queue";
import type { PartitionContext } from "../context.ts";

/** Blocks that may wait while the queue is slow or away. */
const waitingMax = 10_000;

export interface Publisher extends AsyncDisposable {
  publish(blocks: readonly Block[]): void;
}

export function createPublisher({ queue, log }: PartitionContext): Publisher {
  let waiting: Block[] = [];
  let publishing: Promise<void> | undefined;

  async function publishWaiting(): Promise<void> {
    while (waiting.length > 0) {
      const blocks = waiting;
      waiting = [];
      try {
        await queue.publish(blocks);
      } catch (cause) {
        log.warn("cannot announce what has come back", { blocks: blocks.length, cause: String(cause) });
      }
    }
    publishing = undefined;
  }

  return {
    publish(blocks) {
      if (waiting.length + blocks.length > waitingMax) return;
      waiting.push(...blocks);
      publishing ??= publishWaiting();
    },
    async [Symbol.asyncDispose]() {
      waiting = [];
      await publishing;
    },
  };
}
