// I11: one task per account, function and task id. An id is accepted once, and again only for the same token; who asks with
// a token of its own is never told that its own submission is a duplicate.
import { createChecker } from "./checker.ts";
import type { Inserted, StoreEvent, Submission, Violation } from "./history.ts";
import { batchesOf, deletedKeys, groupBy, keyOf, taskKeyOf } from "./rows.ts";

const invariant = "I11";

export const i11 = createChecker({
  invariant,
  about: "There is one task per account, function and task id, however often and wherever it is submitted.",
  needs: ["rows", "submissions"],
  check: ({ rows, submissions, store = [] }) => {
    const byKey = groupBy(rows, taskKeyOf);
    const deleted = deletedKeys(store);
    const twice = [...byKey].filter(([, same]) => same.length > 1);
    return [
      ...twice.map(([key, same]) => ({ invariant, message: `${key} is in ${same.length} rows` })),
      ...insertedTwice(store),
      // What was deleted may be submitted again, and nobody can tell which of them an answer was about.
      ...[...groupBy(submissions, keyOf)]
        .filter(([key]) => !deleted.has(key))
        .flatMap(([key, same]) => answersOf(key, same, byKey.has(key))),
    ];
  },
});

function insertedTwice(store: readonly StoreEvent[]): Violation[] {
  const inserts = store.filter((event): event is Inserted => event.kind === "inserted");
  const batches = batchesOf(store);
  const deletedAt = (seq: number) => batches.get(seq)?.find(({ did }) => did === "deleted")?.at;
  return [...groupBy(inserts, keyOf)].flatMap(([key, same]) => {
    const isFree = same.every(({ at }, index) => {
      const before = same[index - 1];
      return before === undefined || (deletedAt(before.seq) ?? Number.POSITIVE_INFINITY) <= at;
    });
    if (isFree) return [];
    const numbers = same.map(({ seq }) => seq).join(", ");
    return [{ invariant, message: `${key} was inserted ${same.length} times, as ${numbers}` }];
  });
}

function answersOf(key: string, same: readonly Submission[], exists: boolean): Violation[] {
  const accepted = same.filter(({ answer }) => answer === "accepted");
  const violations: Violation[] = [];
  const isOne = accepted.every(({ token }) => token !== "" && token === accepted[0]?.token);
  if (accepted.length > 1 && !isOne)
    violations.push({ invariant, message: `${key} was accepted ${accepted.length} times, for different tokens` });
  for (const { answer, token } of same) {
    if (answer !== "duplicate") continue;
    if (!exists) violations.push({ invariant, message: `${key} was called a duplicate and is nowhere` });
    const isOwn = token !== "" && same.every((other) => other.token === token);
    if (isOwn) violations.push({ invariant, message: `${key} was called a duplicate of itself` });
  }
  return violations;
}
