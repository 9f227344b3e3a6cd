import { TaskId } from "@sluice/core";
import { seededRandom } from "@sluice/core/testing";
import { type PostgresBackend, startPostgres } from "@sluice/testbed";
import { afterAll, beforeAll, expect, test } from "vitest";
import { aNewTask } from "../conformance/subject.ts";
import { open } from "./testing.ts";

let postgres: PostgresBackend;
beforeAll(async () => {
  postgres = await startPostgres({ fsync: false });
});
afterAll(() => postgres[Symbol.asyncDispose]());

test("64 writers on two api-servers insert the same 500 ids in different orders: each is accepted once", async () => {
  await using first = await open(postgres.url);
  await using second = await open(postgres.url);
  const ids = Array.from({ length: 500 }, (_, at) => TaskId(`same-${at}`));
  const random = seededRandom(1);
  const writers = Array.from({ length: 64 }, (_, writer) => {
    const { store } = writer % 2 === 0 ? first : second;
    const order = ids.map((id) => ({ id, key: random.next() })).sort((a, b) => a.key - b.key);
    const tasks = order.map(({ id }) => aNewTask({ taskId: id, submissionToken: `writer-${writer}` }));
    const size = 1 + Math.floor(random.next() * 200);
    return {
      store,
      batches: Array.from({ length: Math.ceil(tasks.length / size) }, (_, at) =>
        tasks.slice(at * size, (at + 1) * size),
      ),
    };
  });

  const outcomes = await Promise.all(
    writers.map(async ({ store, batches }) => {
      const kinds: string[] = [];
      for (const batch of batches) kinds.push(...(await store.tasks.insert(batch)).map((outcome) => outcome.kind));
      return kinds;
    }),
  );

  const counts = new Map<string, number>();
  for (const kind of outcomes.flat()) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  expect(Object.fromEntries(counts)).toEqual({ inserted: 500, duplicate: 31_500 });
  for (const opened of [first, second]) expect(await opened.metric("sluice_postgres_errors_total")).toBe(0);
  expect(await first.store.tasks.countWaiting(aNewTask().accountId, 10_000)).toBe(500);
});
