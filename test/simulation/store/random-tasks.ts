// Calls about tasks as clients know them, and about their logs.
import { priorities, TaskId } from "@sluice/core";
import type { NewTask, TaskKey } from "@sluice/store";
import type { Call } from "./calls.ts";
import { accounts, type Draws, names, queues, tags } from "./random-draws.ts";

export function insertCall(draws: Draws): Call {
  return ["tasks", "insert", draws.some(6, () => task(draws))];
}

export function taskCall(draws: Draws): Call {
  const { dice } = draws;
  const key = draws.key();
  const account = dice.pick(accounts);
  return dice.pick<() => Call>([
    // By turns and not by dice, so that the seeds still meet what they did.
    () => (draws.lastSeq % 2 === 0 ? ["tasks", "get", key] : ["tasks", "known", [nobody(key), key, key]]),
    () => ["tasks", "requestStop", key],
    () => ["tasks", "settled", draws.some(6, () => ({ seq: draws.seq(), attempt: dice.between(1, 2) }))],
    () => ["tasks", "countWaiting", account, dice.pick([0, 2, 1_000])],
    () => ["tasks", "list", draws.filter()],
  ])();
}

function nobody(key: TaskKey): TaskKey {
  return { ...key, taskId: TaskId("nobody") };
}

export function logCall(draws: Draws): Call {
  const { dice } = draws;
  const seq = draws.seq();
  const attempt = dice.between(1, 2);
  const first = dice.between(0, 20);
  if (dice.chance(0.5)) return ["logs", "read", { seq, attempt, after: dice.between(-1, 10), limit: 5 }];
  const piece = (nth: number) => ({
    seq,
    attempt,
    index: first + nth,
    stream: "stdout" as const,
    at: draws.now(),
    data: draws.bytes(),
  });
  return ["logs", "append", [0, 1].map(piece)];
}

function task(draws: Draws): NewTask {
  const { dice } = draws;
  const known = dice.chance(0.25) ? draws.tables.rows.bySeq(draws.seq()) : undefined;
  const token = dice.pick(["", "", `token ${dice.between(1, 3)}`, dice.chance(0.02) ? "a\0b" : "😀\ud800"]);
  return {
    accountId: known?.accountId ?? dice.pick(accounts),
    functionName: known?.functionName ?? dice.pick(names),
    taskId: known?.taskId ?? TaskId(`t${draws.lastSeq}-${dice.between(1, 1_000)}`),
    queue: dice.pick(queues),
    lane: dice.between(0, 31),
    priority: dice.pick(priorities),
    payload: draws.bytes(),
    delayMs: dice.chance(0.3) ? dice.between(1, 20_000) : 0,
    expiresAfterMs: dice.chance(0.3) ? dice.between(1, 20_000) : 0,
    tags: draws.some(2, () => dice.pick(tags)),
    submissionToken: known && dice.chance(0.7) ? known.submissionToken : token,
  };
}
