import { AppError, invalid } from "@sluice/core";
import type { Api, SubmitResult, TaskServiceService } from "@sluice/protocol";
import type { Authenticate } from "../accounts/authenticate.ts";
import { statusOf, toWireTask } from "../wire/task.ts";
import type { Submit, Submitted } from "./submit.ts";

type SubmitApi = Pick<Api<typeof TaskServiceService>, "submitTask" | "submitTasks">;

/** The unary submissions; `submit-stream.ts` has the stream. */
export function createSubmitApi({ authenticate, submit }: { authenticate: Authenticate; submit: Submit }): SubmitApi {
  return {
    async submitTask({ task }, context) {
      const accountId = await authenticate(context);
      if (task === undefined) throw invalid("MISSING_TASK", "task", "the request has no task");
      const [answer] = await submit({ accountId, tasks: [task], pathOf: () => "task", signal: context.signal });
      return { taskId: acceptedId(answer as Submitted) };
    },
    async submitTasks({ tasks }, context) {
      const accountId = await authenticate(context);
      const answers = await submit({ accountId, tasks, pathOf: pathInBatch, signal: context.signal });
      return { results: answers.map(toResult) };
    },
  };
}

export const pathInBatch = (index: number): string => `tasks[${index}]`;

export function toResult(answer: Submitted): SubmitResult {
  switch (answer.kind) {
    case "accepted":
      return { outcome: { $case: "accepted", value: { taskId: answer.taskId, repeated: answer.repeated } } };
    case "duplicate":
      return { outcome: { $case: "duplicate", value: { existing: toWireTask(answer.existing) } } };
    case "rejected": {
      const { reason, field, message, retryAfterMs } = answer.error;
      const value = { reason, field: field ?? "", message, retryAfterMs: retryAfterMs ?? 0 };
      return { outcome: { $case: "rejected", value } };
    }
  }
}

function acceptedId(answer: Submitted): string {
  switch (answer.kind) {
    case "accepted":
      return answer.taskId;
    case "duplicate":
      throw new AppError(
        "exists",
        "TASK_EXISTS",
        `the task ${answer.existing.taskId} exists already, its status is ${statusOf(answer.existing)}`,
        { field: "task.task_id" },
      );
    case "rejected":
      throw answer.error;
  }
}
