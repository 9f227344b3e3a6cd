// Function Compute's HTTP API (3.0) for asynchronous tasks: what its official SDK sends and expects. It stands on the same service as
// gRPC; here a request becomes a call of that, and the answer becomes HTTP.
import { AppError, type Random } from "@sluice/core";
import type { Api, CallContext, TaskServiceService } from "@sluice/protocol";
import type { HttpAnswer, HttpApi, HttpHead, HttpRoute, Logger } from "@sluice/runtime";
import type { ApiServerConfig } from "../config.ts";
import type { ApiServerMetrics } from "../metrics.ts";
import { parseList, toAsyncTask } from "./async-task.ts";
import type { AuthenticateHttp, Caller } from "./authenticate.ts";
import { answerToError, headersOf } from "./errors.ts";
import { checkQualifier, parseInvocation } from "./invocation.ts";

export interface FcApiOptions {
  readonly tasks: Api<typeof TaskServiceService>;
  readonly authenticateHttp: AuthenticateHttp;
  readonly config: Pick<ApiServerConfig, "payloadBytesMax" | "admissionBytesMax" | "delayMsMax">;
  readonly random: Random;
  readonly log: Logger;
  readonly metrics: ApiServerMetrics;
}

interface FcRequest extends HttpHead {
  readonly caller: Caller;
  readonly context: CallContext;
  readonly body: Buffer;
}

interface Operation {
  readonly method: HttpRoute["method"];
  readonly path: string;
  /** Status 200 with this as JSON, unless it says otherwise. */
  answer(request: FcRequest): Promise<Partial<HttpAnswer> & { readonly json?: unknown }>;
}

const functionPath = "/2023-03-30/functions/:functionName";
const tasksPath = `${functionPath}/async-tasks`;

export function createFcApi(options: FcApiOptions): HttpApi {
  const { authenticateHttp, random, log, metrics } = options;
  /** In the form that users of the service know. */
  const newRequestId = () => `1-${random.hex(4)}-${random.hex(12)}`;

  function counted(answer: HttpAnswer): HttpAnswer {
    metrics.httpRequests.inc({ status: String(answer.status) });
    return answer;
  }

  function toRoute({ method, path, answer }: Operation): HttpRoute {
    return {
      method,
      path,
      async begin(head) {
        const caller = await authenticateHttp(head);
        checkQualifier(head.query["qualifier"]);
        const context = { signal: head.signal, accountId: caller.accountId };
        return async (body) => {
          caller.checkBody(body);
          const { json, status = 200, headers, body: text } = await answer({ ...head, caller, context, body });
          return counted({
            status,
            headers: { ...headersOf(newRequestId()), ...headers },
            body: text ?? JSON.stringify(json),
          });
        };
      },
    };
  }

  return {
    routes: operationsOf(options).map(toRoute),
    bodyBytesMax: options.config.payloadBytesMax,
    bodiesBytesMax: options.config.admissionBytesMax,
    failed(cause, { method, url } = { method: "", url: "" }) {
      const requestId = newRequestId();
      if (!(cause instanceof AppError)) log.error("an HTTP request failed", { method, url, requestId, cause });
      return counted(answerToError(cause, requestId));
    },
  };
}

function operationsOf({ tasks, config }: FcApiOptions): readonly Operation[] {
  const nameOf = ({ params }: FcRequest) => params["functionName"] ?? "";
  const keyOf = (request: FcRequest) => ({ function: nameOf(request), taskId: request.params["taskId"] ?? "" });
  return [
    {
      // InvokeFunction
      method: "POST",
      path: `${functionPath}/invocations`,
      async answer(request) {
        const task = parseInvocation(request, request.body, { ...config, requestToken: request.caller.requestToken });
        const { taskId } = await tasks.submitTask({ task }, request.context);
        return { status: 202, headers: { "x-fc-async-task-id": taskId }, body: "" };
      },
    },
    {
      // GetAsyncTask
      method: "GET",
      path: `${tasksPath}/:taskId`,
      async answer(request) {
        const task = await tasks.getTask(keyOf(request), request.context);
        return { json: toAsyncTask(request.caller.accountId, task) };
      },
    },
    {
      // ListAsyncTasks
      method: "GET",
      path: tasksPath,
      async answer(request) {
        const list = parseList(nameOf(request), request.query);
        if (list === undefined) return { json: { tasks: [] } };
        const { tasks: found, nextPageToken } = await tasks.listTasks(list, request.context);
        const page = found.map((task) => toAsyncTask(request.caller.accountId, task));
        return { json: { tasks: page, ...(nextPageToken !== "" && { nextToken: nextPageToken }) } };
      },
    },
    {
      // StopAsyncTask
      method: "PUT",
      path: `${tasksPath}/:taskId/stop`,
      async answer(request) {
        await tasks.stopTask(keyOf(request), request.context);
        return { json: {} };
      },
    },
  ];
}
