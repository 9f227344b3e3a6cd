import { type ServiceError, status } from "@grpc/grpc-js";
import {
  type Api,
  fromServiceError,
  type SubmitResult,
  type Task,
  type TaskServiceService,
  TaskStatus,
  type TaskSubmission,
} from "@sluice/protocol";
import type { Faults } from "./fake-server.ts";

/** A task on the wire of which only some fields matter. */
export function aTask(fields: Partial<Task> = {}): Task {
  return {
    function: "f",
    taskId: "t1",
    status: TaskStatus.ENQUEUED,
    priority: 3,
    attempt: 1,
    retries: 0,
    enqueuedAtMs: 1_700_000_000_000,
    dueAtMs: 0,
    parkReason: "",
    expiresAtMs: 0,
    startedAtMs: 0,
    endedAtMs: 0,
    payload: Buffer.alloc(0),
    result: Buffer.alloc(0),
    error: undefined,
    agentId: "",
    instanceId: "",
    stopRequested: false,
    events: [],
    progress: "",
    tags: [],
    eventsLeftOut: 0,
    ...fields,
  };
}

/** A failure as the transport reports it; handlers may throw it. */
export function failure(code: keyof typeof status, message: string): Error {
  const error = Object.assign(new Error(message), { code: status[code], details: message });
  return fromServiceError(error as unknown as ServiceError);
}

interface Stored {
  task: Task;
  readonly token: string;
}

/** Keeps tasks in a map and tells those who watch of every change. */
export class FakeTasks {
  readonly stored = new Map<string, Stored>();
  readonly #watchers = new Set<() => void>();
  readonly #faults: Faults;

  constructor(faults: Faults) {
    this.#faults = faults;
  }

  submit(submission: TaskSubmission): SubmitResult {
    const refusal = this.#faults.refuse?.(submission);
    if (refusal) return { outcome: { $case: "rejected", value: { field: "", retryAfterMs: 0, ...refusal } } };
    const key = keyOf(submission);
    const known = this.stored.get(key);
    if (known && known.token !== submission.submissionToken) {
      return { outcome: { $case: "duplicate", value: { existing: { ...known.task, payload: Buffer.alloc(0) } } } };
    }
    const { function: function_, taskId, payload, priority, tags } = submission;
    if (!known) {
      const task = aTask({
        function: function_,
        taskId,
        payload,
        priority,
        tags,
        ...this.#faults.becomes?.(submission),
      });
      this.stored.set(key, { task, token: submission.submissionToken });
    }
    return { outcome: { $case: "accepted", value: { taskId, repeated: known !== undefined } } };
  }

  get(ref: { readonly function: string; readonly taskId: string }): Task {
    const found = this.stored.get(keyOf(ref));
    if (!found) throw failure("NOT_FOUND", `there is no task ${keyOf(ref)}`);
    return found.task;
  }

  /** Changes a task as the cluster would. */
  change(taskId: string, fields: Partial<Task>, function_ = "f"): void {
    const stored = this.stored.get(keyOf({ function: function_, taskId }));
    if (!stored) throw new Error(`no task ${taskId}`);
    stored.task = { ...stored.task, ...fields };
    this.wake();
  }

  wake(): void {
    for (const wake of this.#watchers) wake();
  }

  /** The task now and after every change until it is final. */
  async *states(ref: { function: string; taskId: string }, signal: AbortSignal): AsyncGenerator<Task> {
    let last: Task | undefined;
    while (!signal.aborted) {
      const task = this.get(ref);
      if (task !== last) yield task;
      last = task;
      if (task.status >= TaskStatus.SUCCEEDED) return;
      if (this.get(ref) === last) await this.#change(signal);
    }
  }

  #change(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        this.#watchers.delete(wake);
        signal.removeEventListener("abort", wake);
        resolve();
      };
      this.#watchers.add(wake);
      signal.addEventListener("abort", wake, { once: true });
    });
  }

  list(request: Parameters<Api<typeof TaskServiceService>["listTasks"]>[0]): { tasks: Task[]; nextPageToken: string } {
    const size = request.pageSize || 20;
    const start = Number(request.pageToken || 0);
    const found = [...this.stored.values()]
      .map(({ task }) =>
        request.includePayload ? task : { ...task, payload: Buffer.alloc(0), result: Buffer.alloc(0) },
      )
      .filter(
        (task) =>
          (!request.function || task.function === request.function) &&
          (!request.status || task.status === request.status) &&
          (!request.tag || task.tags.includes(request.tag)) &&
          (!request.priority || task.priority === request.priority) &&
          task.taskId.startsWith(request.taskIdPrefix),
      );
    const nextPageToken = start + size < found.length ? String(start + size) : "";
    return { tasks: found.slice(start, start + size), nextPageToken };
  }
}

function keyOf(ref: { readonly function: string; readonly taskId: string }): string {
  return `${ref.function}/${ref.taskId}`;
}
