// What a caller of an `Api` may rely on, however it is reached: in process, over gRPC, or through a simulated network.
import { AppError, createChannel } from "@sluice/core";
import { describe, expect, test } from "vitest";
import type { SubmitStreamRequest } from "../gen/sluice/v1/task_service.ts";
import { Task, type TaskServiceService } from "./index.ts";
import type { Api } from "./rpc.ts";

type Tasks = Api<typeof TaskServiceService>;
const aTask = (taskId: string): Task => Task.fromPartial({ function: "f", taskId });
const refusal = () =>
  new AppError("exhausted", "TOO_MANY_TASKS", "too many tasks wait", {
    field: "tasks[3].payload",
    retryAfterMs: 1_500,
  });

/** What the handlers saw. */
export interface Seen {
  headers: Readonly<Record<string, string>> | undefined;
  /** Names of calls whose signal has aborted while they ran. */
  readonly aborted: string[];
  readonly batches: number[];
}

/** Handlers that behave as the function's name says. */
export function exampleApi(seen: Seen): Tasks {
  const unused = () => Promise.reject(new AppError("not_found", "UNUSED", "not part of the suite"));
  return {
    async getTask({ function: behaviour, taskId }, { headers, signal }) {
      seen.headers = headers;
      if (behaviour === "refuse") throw refusal();
      if (behaviour === "bug") throw new TypeError("secret of the inside");
      if (behaviour === "wait") await aborted(signal, () => seen.aborted.push("getTask"));
      return aTask(taskId);
    },
    async *watchTask({ function: behaviour, taskId }, { signal }) {
      yield aTask(`${taskId}-1`);
      if (behaviour === "refuse") throw refusal();
      if (behaviour === "wait") await aborted(signal, () => seen.aborted.push("watchTask"));
      else yield aTask(`${taskId}-2`);
    },
    async *submitStream(requests, { signal }) {
      signal.addEventListener("abort", () => seen.aborted.push("submitStream"), { once: true });
      for await (const { batchId } of requests) {
        seen.batches.push(batchId);
        yield { batchId, results: [] };
      }
      yield { batchId: -1, results: [] };
    },
    submitTask: unused,
    submitTasks: unused,
    listTasks: unused,
    waitTask: unused,
    stopTask: unused,
    // biome-ignore lint/correctness/useYield: it fails before the first chunk.
    async *getTaskLog() {
      throw refusal();
    },
  };
}

function aborted(signal: AbortSignal, then: () => void): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      then();
      resolve();
    };
    // In process the caller may have aborted before the handler goes on.
    if (signal.aborted) end();
    else signal.addEventListener("abort", end, { once: true });
  });
}

export interface ApiUnderTest extends AsyncDisposable {
  readonly api: Tasks;
  readonly seen: Seen;
}

export function describeApi(name: string, open: () => Promise<ApiUnderTest>): void {
  const forever = () => ({ signal: new AbortController().signal });
  const idsOf = async (tasks: AsyncIterable<Task>) => {
    const ids: string[] = [];
    for await (const { taskId } of tasks) ids.push(taskId);
    return ids;
  };

  describe(`an api ${name}`, () => {
    test("answers a unary call, and hands on the caller's headers", async () => {
      await using subject = await open();
      const headers = { authorization: "Bearer a:b" };
      expect(await subject.api.getTask({ function: "f", taskId: "t" }, { ...forever(), headers })).toEqual(aTask("t"));
      expect(subject.seen.headers).toMatchObject(headers);
    });

    test("tells a refusal with its code, reason, field and delay", async () => {
      await using subject = await open();
      const facts = { code: "exhausted", reason: "TOO_MANY_TASKS", field: "tasks[3].payload", retryAfterMs: 1_500 };
      const request = { function: "refuse", taskId: "t" };
      await expect(subject.api.getTask(request, forever())).rejects.toMatchObject(facts);
      await expect(idsOf(subject.api.watchTask(request, forever()))).rejects.toMatchObject(facts);
    });

    test("streams answers until the handler ends", async () => {
      await using subject = await open();
      expect(await idsOf(subject.api.watchTask({ function: "f", taskId: "t" }, forever()))).toEqual(["t-1", "t-2"]);
    });

    test("a caller that stops reading early ends the call", async () => {
      await using subject = await open();
      for await (const task of subject.api.watchTask({ function: "f", taskId: "t" }, forever())) {
        expect(task.taskId).toBe("t-1");
        break;
      }
    });

    test("a stream that its own signal aborted just ends, and the handler hears of it", async () => {
      await using subject = await open();
      const controller = new AbortController();
      const ids: string[] = [];
      for await (const { taskId } of subject.api.watchTask({ function: "wait", taskId: "t" }, controller)) {
        ids.push(taskId);
        controller.abort();
      }
      expect(ids).toEqual(["t-1"]);
      await expect.poll(() => subject.seen.aborted).toContain("watchTask");
    });

    test("both directions of a stream run at the same time, and answers come after the end of the questions, too", async () => {
      await using subject = await open();
      const requests = createChannel<SubmitStreamRequest>(10);
      const answers = subject.api.submitStream(requests, forever())[Symbol.asyncIterator]();
      requests.push({ batchId: 1, tasks: [] });
      expect((await answers.next()).value).toMatchObject({ batchId: 1 });
      requests.push({ batchId: 2, tasks: [] });
      expect((await answers.next()).value).toMatchObject({ batchId: 2 });
      requests.close();
      expect((await answers.next()).value).toMatchObject({ batchId: -1 });
      expect((await answers.next()).done).toBe(true);
    });
  });
}
