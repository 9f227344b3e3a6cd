// How far ahead the partitions of a scheduler pull, all together: so that memory is bounded, however much waits, and so that
// nobody who waits much keeps the others from pulling.
//
// A consumer may hold `hogFactor` times what is still free (the dynamic threshold of switches with a shared buffer): one that
// is alone gets four fifths of everything, of n each gets 4 / (4 n + 1), and something is always free for the next one.
import { blockSizeMax } from "@sluice/queue";

/** What one consumer has in memory. Written by the partition's memory. */
export interface Load {
  blocks: number;
  tasks: number;
}

export interface LookAhead {
  /** Counts these loads from now on. Returns how to stop. */
  join(loads: readonly Load[]): () => void;
  /** Blocks that the consumer with this load may pull now; at least one if it holds none. */
  roomFor(load: Load): number;
}

const hogFactor = 4;
/** Less is not worth a round trip. */
const roomMin = 8;

/** Bytes of memory for a block and for each of its numbers, rounded up; `bench/scheduler-memory.ts` measures them. */
const blockBytes = 1_000;
const taskBytes = 40;

const bytesOf = ({ blocks, tasks }: Load) => blocks * blockBytes + tasks * taskBytes;
const fullBlock: Load = { blocks: 1, tasks: blockSizeMax };

export function createLookAhead({ tasksMax, bytesMax }: { tasksMax: number; bytesMax: number }): LookAhead {
  const joined = new Set<readonly Load[]>();
  const total = () => {
    const sum: Load = { blocks: 0, tasks: 0 };
    for (const loads of joined) {
      for (const { blocks, tasks } of loads) {
        sum.blocks += blocks;
        sum.tasks += tasks;
      }
    }
    return sum;
  };
  const room = (own: number, used: number, max: number) => Math.min(max - used, hogFactor * (max - used) - own);

  return {
    join(loads) {
      joined.add(loads);
      return () => joined.delete(loads);
    },
    roomFor(load) {
      const all = total();
      const tasks = room(load.tasks, all.tasks, tasksMax) / fullBlock.tasks;
      const bytes = room(bytesOf(load), bytesOf(all), bytesMax) / bytesOf(fullBlock);
      const blocks = Math.floor(Math.min(tasks, bytes));
      if (load.blocks === 0) return Math.max(1, blocks);
      return blocks < roomMin ? 0 : blocks;
    },
  };
}
