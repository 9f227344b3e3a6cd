// What a waiting task costs a scheduler: enters synthetic blocks, as the queue delivers them, into a partition's memory and
// order, and prints the bytes per task and the time. Then one task of another flow comes: it is next, however much waits.
//
//   node --expose-gc --import tsx bench/scheduler-memory.ts [tasks]
import { cpus } from "node:os";
import { AccountId, createFairOrder, FunctionName, urgency } from "@sluice/core";
import type { Delivery } from "@sluice/queue";
import Table from "cli-table3";
import { createMemory, type Waiting } from "../packages/scheduler/src/partition/memory.ts";

const taskCount = Number(process.argv[2] ?? 1_000_000);
const collect = globalThis.gc;
if (!collect) throw new Error("run it with node --expose-gc");

function memoryNow(): number {
  collect?.();
  collect?.();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

/** As a driver decodes it: every text and list is its own. */
function deliveryOf(
  index: number,
  first: number,
  size: number,
  account: string,
): Delivery & { readonly reply: string } {
  return {
    deliveryCount: 1,
    reply: `$JS.ACK.tasks.q0-2-17.1.${index}.${index}.1700000000000000000.${taskCount - index}`,
    block: {
      ...(JSON.parse(`{"queue":"q0","accountId":"${account}","functionName":"thumbnails"}`) as { queue: string }),
      accountId: AccountId(`${account}-${index % 3}`),
      functionName: FunctionName(`thumbnails-${index % 7}`),
      lane: index % 32,
      priority: 2,
      seqs: Array.from({ length: size }, (_, offset) => first + offset),
      enqueuedAt: 1_700_000_000_000 + index,
    },
  };
}

function measure(size: number) {
  const before = memoryNow();
  const memory = createMemory();
  const order = createFairOrder<Waiting>();
  const enter = (delivery: Delivery) => {
    const waiting = memory.enter(delivery);
    if (waiting) order.add(waiting.origin, urgency(waiting.origin), waiting, waiting.seqs.length);
  };
  let decodeMs = 0;
  let enterMs = 0;
  for (let first = 1; first <= taskCount; first += size) {
    const decodedFrom = performance.now();
    const delivery = deliveryOf(Math.floor(first / size), first, Math.min(size, taskCount + 1 - first), "acme");
    const enteredFrom = performance.now();
    enter(delivery);
    decodeMs += enteredFrom - decodedFrom;
    enterMs += performance.now() - enteredFrom;
  }
  const bytes = memoryNow() - before;
  const rssMb = Math.round(process.memoryUsage().rss / 2 ** 20);
  const arrivedAt = performance.now();
  enter(deliveryOf(0, taskCount + 1, 1, "late"));
  let picks = 1;
  while (order.peek()?.origin.accountId.startsWith("late") !== true) {
    order.take();
    picks++;
  }
  const lateMicros = Math.round((performance.now() - arrivedAt) * 1_000);
  return { size, bytes, rssMb, enterMs, decodeMs, picks, lateMicros, held: memory.size };
}

console.log(`${taskCount} waiting tasks, ${cpus().length} cores, Node ${process.version}`);
const table = new Table({
  head: ["tasks per block", "bytes per task", "MB", "RSS MB", "enter, ns per task", "picks until another flow", "µs"],
  style: { head: [], border: [] },
});
const sizes = process.argv[3] ? [Number(process.argv[3])] : [256, 64, 8, 1];
const figures = sizes.map(measure);
for (const { size, bytes, rssMb, enterMs, picks, lateMicros } of figures) {
  table.push([
    size,
    Math.round(bytes / taskCount),
    Math.round(bytes / 2 ** 20),
    rssMb,
    Math.round((enterMs / taskCount) * 1e6),
    picks,
    lateMicros,
  ]);
}
console.log(table.toString());
console.log(JSON.stringify({ taskCount, node: process.version, figures }));
