import { Worker } from "node:worker_threads";
import type { Pipe } from "./pglite-connection.ts";
import { pgliteSettings } from "./pglite-settings.ts";

interface Reply {
  /** 0: the database is open. */
  readonly id: number;
  readonly answer?: Uint8Array;
  readonly error?: string;
}

interface Waiter {
  resolve(answer: Uint8Array): void;
  reject(cause: Error): void;
}

/** Starts the worker thread and resolves when its database is open. */
export async function openWorkerPipe(dataDir: string): Promise<Pipe> {
  // Without the flags of this process: the loader of TypeScript has nothing to do in there.
  const worker = new Worker(new URL("./pglite-worker.mjs", import.meta.url), {
    workerData: { dataDir, settings: pgliteSettings },
    execArgv: [],
  });
  const waiting = new Map<number, Waiter>();
  let lastId = 0;
  let ended: Error | undefined;

  const end = (cause: Error) => {
    ended ??= cause;
    for (const waiter of waiting.values()) waiter.reject(ended);
    waiting.clear();
  };
  worker.on("error", (cause) => end(cause as Error));
  worker.on("exit", (code) => end(new Error(`the database's thread ended with ${code}`)));
  worker.on("message", (reply: Reply) => {
    const waiter = waiting.get(reply.id);
    waiting.delete(reply.id);
    if (reply.error !== undefined) waiter?.reject(new Error(reply.error));
    else waiter?.resolve(reply.answer ?? new Uint8Array());
  });

  const answerTo = (id: number) =>
    new Promise<Uint8Array>((resolve, reject) => {
      if (ended !== undefined) reject(ended);
      else waiting.set(id, { resolve, reject });
    });

  await answerTo(0);
  return {
    exchange(request) {
      const id = ++lastId;
      const answer = answerTo(id);
      worker.postMessage({ id, request }, [request.buffer as ArrayBuffer]);
      return answer;
    },
    async close() {
      const id = ++lastId;
      const closed = answerTo(id);
      worker.postMessage({ id });
      await closed.catch(() => {});
      await worker.terminate();
    },
  };
}
