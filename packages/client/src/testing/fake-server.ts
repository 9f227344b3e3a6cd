// A small server for tests of the client and of programs that use it: real gRPC on a free port, tasks in a map, and faults
// on demand.

import { createHash } from "node:crypto";
import { Server } from "@grpc/grpc-js";
import {
  type Api,
  addApi,
  type Cluster,
  ClusterServiceService,
  type FunctionMessage,
  FunctionServiceService,
  OperationServiceService,
  type Rejected,
  type SubmitStreamRequest,
  serverCredentials,
  serverOptions,
  type Task,
  type TaskLogChunk,
  TaskServiceService,
  TaskStatus,
  type TaskSubmission,
  type TlsSource,
} from "@sluice/protocol";
import { HealthService } from "../health.ts";
import { aCluster, clusterApi } from "./fake-cluster.ts";
import { aPlace, type FakeOperations, operationApi } from "./fake-operations.ts";
import { FakeTasks, failure } from "./fake-tasks.ts";

export interface Faults {
  /** Called for each batch; throwing breaks the stream, with or without the batch being stored. */
  beforeBatch?: (batch: SubmitStreamRequest) => Promise<void> | void;
  /** Called once the batch is stored, before it is answered; throwing loses the answer. */
  afterBatch?: (batch: SubmitStreamRequest) => Promise<void> | void;
  refuse?: (submission: TaskSubmission) => (Pick<Rejected, "reason" | "message"> & Partial<Rejected>) | undefined;
  /** What a task is as soon as it is submitted, such as final. */
  becomes?: (submission: TaskSubmission) => Partial<Task>;
  /** Called for every unary call with its name; throwing fails it. */
  beforeCall?: (name: string) => Promise<void> | void;
  /** Called once a unary call has taken effect; throwing loses its answer. */
  afterCall?: (name: string) => void;
  /** Called after each state that a watcher was sent; throwing breaks the stream. */
  afterWatchState?: (task: Task) => void;
}

export interface FakeServerOptions {
  /** Default: a free one. */
  readonly port?: number;
  /** Only this `authorization` is let in. Default: anyone. */
  readonly authorization?: string;
  /** Default: none. */
  readonly tls?: TlsSource;
}

export interface FakeServer extends AsyncDisposable {
  readonly address: string;
  readonly port: number;
  readonly faults: Faults;
  readonly tasks: FakeTasks;
  readonly functions: Map<string, FunctionMessage>;
  /** What operators see; commands change it at once. */
  cluster: Cluster;
  /** Pauses and operations. */
  readonly place: FakeOperations;
  /** Sizes of the batches that came. */
  readonly batches: number[];
  readonly logs: Map<string, TaskLogChunk[]>;
  /** How many submission streams were opened. */
  streamCount: number;
  /** Stops without a good-bye and listens again on the same port. */
  restart(): Promise<void>;
  stop(): void;
}

export async function startFakeServer(options: FakeServerOptions = {}): Promise<FakeServer> {
  const faults: Faults = {};
  const state = {
    faults,
    tasks: new FakeTasks(faults),
    functions: new Map(),
    cluster: aCluster(),
    place: aPlace(),
    batches: [],
    logs: new Map(),
    streamCount: 0,
  };
  let [server, port] = await listen(state, options, options.port ?? 0);
  return Object.assign(state, {
    address: `127.0.0.1:${port}`,
    port,
    stop: () => server.forceShutdown(),
    async restart() {
      server.forceShutdown();
      [server, port] = await listen(state, options, port);
    },
    async [Symbol.asyncDispose]() {
      server.forceShutdown();
    },
  });
}

type State = Pick<
  FakeServer,
  "faults" | "tasks" | "functions" | "cluster" | "place" | "batches" | "logs" | "streamCount"
>;

async function listen(state: State, options: FakeServerOptions, port: number): Promise<[Server, number]> {
  const server = new Server(serverOptions);
  addApi(server, TaskServiceService, guarded(taskApi(state), state, options));
  addApi(server, FunctionServiceService, guarded(functionApi(state), state, options), {
    messageBytesMax: { createFunction: 64 * 1024 * 1024, updateFunction: 64 * 1024 * 1024 },
  });
  addApi(server, ClusterServiceService, guarded(clusterApi(state), state, options));
  addApi(server, OperationServiceService, guarded(operationApi(state), state, options));
  addApi(server, HealthService, { check: async () => "serving" as const });
  const bound = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`127.0.0.1:${port}`, serverCredentials(options.tls), (cause, value) =>
      cause ? reject(cause) : resolve(value),
    );
  });
  return [server, bound];
}

/** Checks the credential, and lets the fault of unary calls happen. */
function guarded<T extends object>(api: T, { faults }: State, { authorization }: FakeServerOptions): T {
  const entries = Object.entries(api).map(([name, handler]) => [
    name,
    (input: unknown, context: { headers?: { authorization?: string } }) => {
      const isForbidden = authorization !== undefined && context.headers?.authorization !== authorization;
      const check = () => {
        if (isForbidden) throw failure("UNAUTHENTICATED", "the access key is not known");
      };
      if (streams.has(name)) {
        check();
        return handler(input, context);
      }
      return (async () => {
        check();
        await faults.beforeCall?.(name);
        const answer = await (handler(input, context) as Promise<unknown>);
        faults.afterCall?.(name);
        return answer;
      })();
    },
  ]);
  return Object.fromEntries(entries) as T;
}
const streams = new Set(["submitStream", "watchTask", "getTaskLog"]);

function taskApi(state: State): Api<typeof TaskServiceService> {
  const { faults, tasks, batches, logs } = state;
  return {
    async submitTask({ task }) {
      if (!task) throw failure("INVALID_ARGUMENT", "no task");
      tasks.submit(task);
      return { taskId: task.taskId };
    },
    submitTasks: async (request) => ({ results: request.tasks.map((task) => tasks.submit(task)) }),
    async *submitStream(requests) {
      state.streamCount += 1;
      for await (const batch of requests) {
        batches.push(batch.tasks.length);
        await faults.beforeBatch?.(batch);
        const results = batch.tasks.map((task) => tasks.submit(task));
        await faults.afterBatch?.(batch);
        yield { batchId: batch.batchId, results };
      }
    },
    getTask: async (request) => tasks.get(request),
    listTasks: async (request) => tasks.list(request),
    async *watchTask(request, { signal }) {
      for await (const task of tasks.states(request, signal)) {
        yield task;
        faults.afterWatchState?.(task);
      }
    },
    async waitTask(request, { signal }) {
      const timeout = AbortSignal.timeout(request.timeoutMs);
      const ended = AbortSignal.any([signal, timeout]);
      for await (const task of tasks.states(request, ended)) if (task.status >= TaskStatus.SUCCEEDED) return task;
      return tasks.get(request);
    },
    async stopTask(request) {
      tasks.change(tasks.get(request).taskId, { status: TaskStatus.STOPPED, stopRequested: true }, request.function);
      return tasks.get(request);
    },
    async *getTaskLog(request) {
      tasks.get(request);
      yield* logs.get(request.taskId) ?? [];
    },
  };
}

function functionApi({ functions }: State): Api<typeof FunctionServiceService> {
  const find = (name: string): FunctionMessage => {
    const found = functions.get(name);
    if (!found) throw failure("NOT_FOUND", `there is no function ${name}`);
    return found;
  };
  const put = (name: string, settings: FunctionMessage["settings"], codeZip: Buffer): FunctionMessage => {
    const old = functions.get(name);
    const code = codeZip.length > 0 || !old ? codeFacts(codeZip) : old;
    const given = Object.fromEntries(Object.entries(settings ?? {}).filter(([, value]) => value !== undefined));
    const updated: FunctionMessage = {
      name,
      settings: { ...old?.settings, ...given },
      revision: (old?.revision ?? 0) + 1,
      codeSha256: code.codeSha256,
      codeBytes: code.codeBytes,
      createdAtMs: 1_700_000_000_000,
      updatedAtMs: 1_700_000_000_000,
      queue: undefined,
    };
    functions.set(name, updated);
    return updated;
  };
  return {
    async createFunction({ name, settings, codeZip }) {
      if (functions.has(name)) throw failure("ALREADY_EXISTS", `function ${name} exists already`);
      return put(name, settings, codeZip);
    },
    updateFunction: async ({ name, settings, codeZip }) => put(find(name).name, settings, codeZip),
    getFunction: async ({ name }) => find(name),
    async listFunctions({ namePrefix }) {
      return {
        functions: [...functions.values()].filter(({ name }) => name.startsWith(namePrefix)),
        nextPageToken: "",
      };
    },
    async deleteFunction({ name }) {
      functions.delete(find(name).name);
      return {};
    },
  };
}

function codeFacts(zip: Buffer): { codeSha256: string; codeBytes: number } {
  return { codeSha256: createHash("sha256").update(zip).digest("hex"), codeBytes: zip.length };
}
