import {
  apiClient,
  ClusterServiceService,
  type Definition,
  FunctionServiceService,
  OperationServiceService,
  TaskServiceService,
} from "@sluice/protocol";
import { Aborts } from "./aborts.ts";
import type { SluiceClient } from "./client.ts";
import { createClusterClient } from "./cluster.ts";
import { type Connection, once } from "./connection.ts";
import { InvalidArgument } from "./errors.ts";
import { createFunctionsClient } from "./functions.ts";
import { HealthService } from "./health.ts";
import { createOperationsClient } from "./operations.ts";
import { addPatiently } from "./patience.ts";
import { createPreparer } from "./prepare.ts";
import { submitMany } from "./submit-many.ts";
import { type Settle, Submitter, type SubmitterOptions } from "./submitter.ts";
import { system } from "./system.ts";
import { getTask, list, listPage, log, stopTask, wait, watch } from "./tasks.ts";
import { explainClosing, type TlsOptions, tlsCredentials } from "./tls.ts";

export interface ConnectOptions {
  /** `host:port` of an api-server. Default: 127.0.0.1:50051. */
  readonly address?: string;
  /** Id and secret of an access key; without both the server must run with `--auth none`. */
  readonly accessKeyId?: string;
  readonly accessKeySecret?: string;
  /**
   * Encrypts the connection; `true` trusts the public authorities. Default: false, which sends the secret in the clear: use
   * it only on the same machine or in a network you trust.
   */
  readonly tls?: boolean | TlsOptions;
  /** Milliseconds to go on trying while the server cannot be reached. Default: 60,000. */
  readonly retryTimeoutMs?: number;
  /** How submissions travel. The defaults suit tasks of up to some KiB. */
  readonly submit?: Partial<Omit<SubmitterOptions, "retryTimeoutMs">>;
}

const defaults = {
  batchTasksMax: 1_000,
  batchBytesMax: 1024 * 1024,
  inFlightBatchesMax: 8,
  pendingTasksMax: 100_000,
  answerTimeoutMs: 30_000,
  sentPerAccepted: 2,
};

/** A client of the api-server at `address`. It connects with the first call; close it, or declare it with `await using`. */
export function connect(options: ConnectOptions = {}): SluiceClient {
  const { address = "127.0.0.1:50051", retryTimeoutMs = 60_000 } = options;
  const clientOptions = { channelCredentials: tlsCredentials(options.tls), headers: headers(options) };
  const open = <D extends Definition>(definition: D) => {
    const { api, close } = apiClient(definition, address, clientOptions);
    return { api: explainClosing(definition, api, { address, tls: options.tls }), close };
  };
  const [tasks, functions] = [open(TaskServiceService), open(FunctionServiceService)];
  const [cluster, operations, health] = [
    open(ClusterServiceService),
    open(OperationServiceService),
    open(HealthService),
  ];
  const apis = { tasks: tasks.api, functions: functions.api, cluster: cluster.api, operations: operations.api };
  const connection: Connection = { ...apis, system, retryTimeoutMs };
  const submitter = new Submitter(tasks.api, system, { ...defaults, ...options.submit, retryTimeoutMs });
  const prepare = createPreparer(system);
  const aborts = new Aborts();

  const close = async () => {
    await submitter.close();
    for (const client of [tasks, functions, cluster, operations, health]) client.close();
  };
  return {
    submit: async (submission, { signal, waitMs = 0 } = {}) => {
      signal?.throwIfAborted();
      const prepared = prepare(submission);
      const until = system.monotonic() + waitMs;
      return new Promise((resolve, reject) => {
        const settle: Settle = (answer) => {
          ignoreAbort?.();
          if (answer.ok) resolve({ taskId: answer.taskId, repeated: answer.repeated });
          else reject(answer.error);
        };
        const giveUp = addPatiently({ submitter, system, retryTimeoutMs }, prepared, { until: () => until, settle });
        const ignoreAbort =
          signal &&
          aborts.on(signal, () => {
            giveUp();
            reject(signal.reason);
          });
      });
    },
    submitMany: (source, submitOptions = {}) =>
      submitMany({ submitter, prepare, system, retryTimeoutMs }, source, submitOptions),
    get: (function_, taskId, callOptions = {}) => getTask(connection, { function: function_, taskId }, callOptions),
    list: (filter = {}, callOptions = {}) => list(connection, filter, callOptions),
    listPage: (filter = {}, pageOptions = {}) => listPage(connection, filter, pageOptions),
    watch: (function_, taskId, callOptions = {}) => watch(connection, { function: function_, taskId }, callOptions),
    wait: (function_, taskId, waitOptions = {}) => wait(connection, { function: function_, taskId }, waitOptions),
    stop: (function_, taskId, callOptions = {}) => stopTask(connection, { function: function_, taskId }, callOptions),
    log: (function_, taskId, logOptions = {}) => log(connection, { function: function_, taskId }, logOptions),
    functions: createFunctionsClient(connection),
    cluster: createClusterClient(connection),
    operations: createOperationsClient(connection),
    health: (callOptions = {}) =>
      once(callOptions, (context) => health.api.check({}, { ...context, timeoutMs: 5_000 })),
    close,
    [Symbol.asyncDispose]: close,
  };
}

function headers({ accessKeyId, accessKeySecret }: ConnectOptions): Record<string, string> {
  if (!accessKeyId && !accessKeySecret) return {};
  if (!accessKeyId || !accessKeySecret) {
    throw unusable(
      "give both accessKeyId and accessKeySecret, or neither",
      accessKeyId ? "accessKeySecret" : "accessKeyId",
    );
  }
  if (!/^[\x21-\x39\x3b-\x7e]+$/.test(accessKeyId)) throw unusable("accessKeyId is not one", "accessKeyId");
  if (!/^[\x21-\x7e]+$/.test(accessKeySecret)) throw unusable("accessKeySecret is not one", "accessKeySecret");
  return { authorization: `Bearer ${accessKeyId}:${accessKeySecret}` };
}

function unusable(message: string, field: string): InvalidArgument {
  return new InvalidArgument("invalid", "INVALID_CREDENTIAL", message, { field });
}
