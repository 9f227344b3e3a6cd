// The downstreams that adaptive dispatch is judged by; `docs/flow-control.md` shows their time series.
import type { Random } from "@sluice/core";
import { bucket, connections, quota } from "./downstream.ts";
import type { DriveOptions } from "./drive.ts";

export interface Scenario extends DriveOptions {
  readonly name: string;
  /** Seconds at which its limit changes. */
  readonly changesAt?: readonly number[];
  /** Of its capacity from the 30th second on, whatever the seed; default 0.9. */
  readonly goodputMin?: number;
  /** Share of its calls; default 0.05. */
  readonly errorsMax?: number;
}

/** From 5 ms to 5 s, each decade as often as the other; 0.72 s on average. */
const anyTask = (random: Random) => 5 * 1_000 ** random.next();
const changesAt = [60, 150];
const stepped = (now: number) => (now < 60_000 || now >= 150_000 ? 50 : 500);

export const scenarios: readonly Scenario[] = [
  { name: "1/s", downstream: () => bucket({ rate: 1, burst: 2 }), seconds: 600 },
  { name: "50/s", downstream: () => bucket({ rate: 50, burst: 10 }), seconds: 120 },
  { name: "50/s, no burst", downstream: () => bucket({ rate: 50, burst: 1 }), seconds: 120, isSteady: true },
  { name: "5/s, no burst", downstream: () => bucket({ rate: 5, burst: 1 }), seconds: 300, isSteady: true },
  // Their way varies by ± 1 ms.
  { name: "50/s, no burst, uneven", downstream: () => bucket({ rate: 50, burst: 1 }), seconds: 120, goodputMin: 0.85 },
  { name: "200/s, no burst, uneven", downstream: () => bucket({ rate: 200, burst: 1 }), seconds: 120, goodputMin: 0.7 },
  {
    name: "50/s, no burst, uneven, 4 partitions",
    downstream: () => bucket({ rate: 50, burst: 1 }),
    seconds: 240,
    partitions: 4,
    goodputMin: 0.09,
    errorsMax: 0.1,
  },
  { name: "50/s, burst of 500", downstream: () => bucket({ rate: 50, burst: 500 }), seconds: 120 },
  { name: "50 in each second", downstream: () => quota(50, 1_000), seconds: 120 },
  { name: "50/s, tasks of 5 ms", downstream: () => bucket({ rate: 50, burst: 10 }), seconds: 120, taskMs: () => 5 },
  { name: "50/s, tasks of 5 s", downstream: () => bucket({ rate: 50, burst: 10 }), seconds: 120, taskMs: () => 5_000 },
  {
    name: "50/s, tasks of 5 ms to 5 s",
    downstream: () => bucket({ rate: 50, burst: 10 }),
    seconds: 120,
    taskMs: anyTask,
  },
  {
    name: "50/s, refused after 1 s",
    downstream: () => bucket({ rate: 50, burst: 10 }),
    seconds: 240,
    refusalMs: 1_000,
  },
  {
    name: "50/s, retry after 1 s",
    downstream: () => bucket({ rate: 50, burst: 10, retryAfterMs: 1_000 }),
    seconds: 240,
  },
  {
    name: "5/s, retry after 1 s",
    downstream: () => bucket({ rate: 5, burst: 3, retryAfterMs: 1_000 }),
    seconds: 240,
  },
  {
    name: "50/s, retry after 1 s, 4 partitions",
    downstream: () => bucket({ rate: 50, burst: 10, retryAfterMs: 1_000 }),
    seconds: 240,
    partitions: 4,
  },
  {
    name: "50/s, rows read in 200 ms",
    downstream: () => bucket({ rate: 50, burst: 10 }),
    seconds: 120,
    readMs: 200,
  },
  { name: "50/s, 4 partitions", downstream: () => bucket({ rate: 50, burst: 10 }), seconds: 240, partitions: 4 },
  { name: "5,000/s", downstream: () => bucket({ rate: 5_000, burst: 100 }), seconds: 120 },
  { name: "50 to 500 to 50/s", downstream: () => bucket({ rate: stepped, burst: 10 }), seconds: 240, changesAt },
  {
    name: "50 to 500 to 50/s, 4 partitions",
    downstream: () => bucket({ rate: stepped, burst: 10 }),
    seconds: 240,
    changesAt,
    partitions: 4,
  },
  {
    name: "50 to 500 to 50/s, retry after 1 s",
    downstream: () => bucket({ rate: stepped, burst: 10, retryAfterMs: 1_000 }),
    seconds: 240,
    changesAt,
  },
  {
    name: "500/s, nothing from 60 to 120 s",
    downstream: () => bucket({ rate: (now) => (now >= 60_000 && now < 120_000 ? 0 : 500), burst: 10 }),
    seconds: 240,
    changesAt: [60, 120],
  },
  { name: "20 at a time", downstream: () => connections(20, 200), seconds: 120, taskMs: () => 200 },
];
