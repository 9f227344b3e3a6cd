import { type AccountId, AppError, FunctionName, type Task, TaskId } from "@sluice/core";
import type { Store } from "@sluice/store";

/** A task as requests name it. */
export interface NamedTask {
  readonly function: string;
  readonly taskId: string;
}

/** The key of a task of this account. Throws `INVALID_FUNCTION_NAME` or `INVALID_TASK_ID`. */
export function parseKey(accountId: AccountId, named: NamedTask) {
  return { accountId, functionName: FunctionName(named.function), taskId: TaskId(named.taskId) };
}

/** The task, complete. Throws `TASK_NOT_FOUND`. */
export async function findTask(store: Store, accountId: AccountId, named: NamedTask): Promise<Task> {
  return found(await store.tasks.get(parseKey(accountId, named)), named);
}

/** The task, or `TASK_NOT_FOUND`. */
export function found(task: Task | undefined, named: NamedTask): Task {
  if (task !== undefined) return task;
  throw new AppError(
    "not_found",
    "TASK_NOT_FOUND",
    `there is no task ${named.taskId} of the function ${named.function}, or its retention has ended`,
    { field: "task_id" },
  );
}
