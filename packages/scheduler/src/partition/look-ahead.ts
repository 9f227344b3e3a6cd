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
  /** Blocks that the consumer with this load may pull now; at least one if it holds less than a full one. */
  roomFor(load: Load): number;
  /** Whether the consumer may pull nothing more, or soon will not. */
  isTight(load: Load): boolean;
  /** Whether it holds less than half of what it may. */
  isCalm(load: Load): boolean;
  /** Tasks that it should have less, so that it can pull freely for a while. */
  excessOf(load: Load): number;
  /** Tasks, each in a block of its own, that it could have more and still pull freely. */
  spareOf(load: Load): number;
  /** Whether something may be taken in beyond what may be pulled. */
  hasReserve(): boolean;
}

const hogFactor = 4;
/** Of what a consumer may hold: from where on it is tight, and to where its excess is cut down. */
const tight = 7 / 8;
const easy = 3 / 4;
const calm = 1 / 2;
/** On top of what may be pulled. */
const reserve = 1 / 16;
/** Less is not worth a round trip. */
const roomMin = 8;

/** Bytes of memory for a block and for each of its numbers, rounded up; `bench/scheduler-memory.ts` measures them. */
const blockBytes = 1_000;
const taskBytes = 40;

const bytesOf = ({ blocks, tasks }: Load) => blocks * blockBytes + tasks * taskBytes;
const fullBlock: Load = { blocks: 1, tasks: blockSizeMax };
const smallBlock: Load = { blocks: 1, tasks: 1 };

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
  /** What a consumer may hold beside what the others do. */
  const limit = (own: number, used: number, max: number) => (hogFactor * (max - used + own)) / (hogFactor + 1);
  const room = (own: number, used: number, max: number) => Math.min(max - used, hogFactor * (max - used) - own);

  const fillOf = (load: Load) => {
    const all = total();
    const bytes = bytesOf(load);
    return Math.max(load.tasks / limit(load.tasks, all.tasks, tasksMax), bytes / limit(bytes, bytesOf(all), bytesMax));
  };
  const roomFor = (load: Load) => {
    const all = total();
    const tasks = room(load.tasks, all.tasks, tasksMax) / fullBlock.tasks;
    const bytes = room(bytesOf(load), bytesOf(all), bytesMax) / bytesOf(fullBlock);
    const blocks = Math.floor(Math.min(tasks, bytes));
    // Whoever has next to nothing goes on, however full it is: else a less urgent task would go first, whose consumer has nothing.
    if (bytesOf(load) < bytesOf(fullBlock)) return Math.max(1, blocks);
    return blocks < roomMin ? 0 : blocks;
  };

  /** What it can hold and pull freely. Where little is allowed at all, what is not worth a pull counts. */
  const easyOf = (load: Load) => {
    const all = total();
    const below = (most: number, worthIt: number) => Math.max(0, Math.min(easy * most, most - worthIt));
    const bytes = limit(bytesOf(load), bytesOf(all), bytesMax);
    return {
      tasks: below(limit(load.tasks, all.tasks, tasksMax), 2 * roomMin * fullBlock.tasks),
      bytes: below(bytes, 2 * roomMin * bytesOf(fullBlock)),
    };
  };

  return {
    roomFor,
    isTight: (load) => load.blocks > 0 && (fillOf(load) >= tight || roomFor(load) === 0),
    isCalm: (load) => fillOf(load) < calm,
    excessOf(load) {
      if (load.tasks === 0) return 0;
      const most = easyOf(load);
      return Math.ceil(
        Math.max(0, load.tasks - most.tasks, (bytesOf(load) - most.bytes) / (bytesOf(load) / load.tasks)),
      );
    },
    spareOf(load) {
      const most = easyOf(load);
      const spare = Math.min(most.tasks - load.tasks, (most.bytes - bytesOf(load)) / bytesOf(smallBlock));
      return Math.floor(Math.max(0, spare));
    },
    hasReserve() {
      const all = total();
      return all.tasks < tasksMax * (1 + reserve) && bytesOf(all) < bytesMax * (1 + reserve);
    },
    join(loads) {
      joined.add(loads);
      return () => joined.delete(loads);
    },
  };
}
