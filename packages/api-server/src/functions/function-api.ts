import { AppError, type Clock, type Flow, FunctionName, flowKey, invalid } from "@sluice/core";
import type { Api, FunctionServiceService } from "@sluice/protocol";
import { functionTopic, type Signals } from "@sluice/queue";
import type { Logger } from "@sluice/runtime";
import type { FunctionRecord, Store } from "@sluice/store";
import type { Authenticate } from "../accounts/authenticate.ts";
import type { ApiServerConfig } from "../config.ts";
import { createBudget } from "../submit/budget.ts";
import type { KnownFunctions } from "../submit/known-functions.ts";
import { pageToken, parsePageToken } from "../wire/page-token.ts";
import { checkInteger } from "../wire/text.ts";
import { type InspectZip, parseCode } from "./code.ts";
import { type FunctionQueueDeps, queueOf } from "./function-queue.ts";
import { checkChangedReserved, checkReserved } from "./reserved.ts";
import { parseChangedSettings, parseNewSettings, toWireFunction } from "./settings.ts";

export interface FunctionApiOptions {
  readonly config: Pick<ApiServerConfig, "codeBytesMax" | "admissionWaitMs">;
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signals: Signals;
  readonly known: KnownFunctions;
  readonly routes: FunctionQueueDeps["routes"];
  readonly authenticate: Authenticate;
  readonly inspectZip: InspectZip;
}

const pageSize = { default: 20, max: 500 };
/** Uploads that are inspected and stored at the same time, and those that wait for it. */
const uploads = { atOnce: 2, waiting: 6 };

export function createFunctionApi(options: FunctionApiOptions): Api<typeof FunctionServiceService> {
  const { config, store, clock, log, signals, known, routes, authenticate, inspectZip } = options;
  const budget = createBudget({ clock, total: uploads.atOnce, waitersMax: uploads.waiting });

  async function withCode<T>(
    zip: Buffer,
    signal: AbortSignal,
    use: (code: Awaited<ReturnType<typeof parseCode>>) => Promise<T>,
  ): Promise<T> {
    const release = await budget.take(1, { signal, waitMs: 10 * config.admissionWaitMs });
    if (release === undefined) throw new AppError("cancelled", "CANCELLED", "the caller gave up; nothing was changed");
    try {
      return await use(await parseCode(zip, { inspectZip, bytesMax: config.codeBytesMax }));
    } finally {
      release();
    }
  }

  function changed(flow: Flow, message: string, revision?: number): void {
    known.forget(flowKey(flow));
    signals.send(functionTopic, flowKey(flow));
    log.info(message, { accountId: flow.accountId, functionName: flow.functionName, revision });
  }

  return {
    async createFunction({ name, settings: wire, codeZip }, context) {
      const flow = { accountId: await authenticate(context), functionName: FunctionName(name, "name") };
      const settings = parseNewSettings(wire);
      await checkReserved(store, flow, settings);
      const record = await withCode(codeZip, context.signal, (code) => store.functions.create(flow, settings, code));
      if (record === undefined) {
        throw new AppError("exists", "FUNCTION_EXISTS", `there is a function ${name} already; update it`, {
          field: "name",
        });
      }
      changed(flow, "created a function", record.revision);
      return toWireFunction(record);
    },

    async updateFunction({ name, settings: wire, codeZip }, context) {
      const flow = { accountId: await authenticate(context), functionName: FunctionName(name, "name") };
      const settings = parseChangedSettings(wire ?? {});
      if (Object.keys(settings).length === 0 && codeZip.length === 0) {
        throw invalid("NOTHING_TO_CHANGE", "settings", "name a setting to change, or send new code");
      }
      await checkChangedReserved(store, flow, settings);
      const record = found(
        codeZip.length === 0
          ? await store.functions.update(flow, settings, undefined)
          : await withCode(codeZip, context.signal, (code) => store.functions.update(flow, settings, code)),
        name,
      );
      changed(flow, "updated a function", record.revision);
      return toWireFunction(record);
    },

    async getFunction({ name }, context) {
      const flow = { accountId: await authenticate(context), functionName: FunctionName(name, "name") };
      const record = found((await store.functions.read([flow]))[0], name);
      return { ...toWireFunction(record), queue: await queueOf({ store, routes }, record) };
    },

    async listFunctions(request, context) {
      const accountId = await authenticate(context);
      const prefix = request.namePrefix;
      if (prefix !== "") FunctionName(prefix, "name_prefix");
      const range = { field: "page_size", reason: "INVALID_PAGE_SIZE", min: 0, max: pageSize.max };
      const limit = checkInteger(request.pageSize, range) || pageSize.default;
      const fingerprint = ["functions", accountId, prefix];
      const [after] = parsePageToken(request.pageToken, fingerprint, ["string"]) ?? [""];
      const records = await store.functions.list(accountId, { prefix, after, limit: limit + 1 });
      const page = records.slice(0, limit);
      const nextPageToken = records.length > limit ? pageToken([page.at(-1)?.functionName ?? ""], fingerprint) : "";
      return { functions: page.map(toWireFunction), nextPageToken };
    },

    async deleteFunction({ name }, context) {
      const flow = { accountId: await authenticate(context), functionName: FunctionName(name, "name") };
      if (!(await store.functions.delete(flow))) throw notFound(name);
      changed(flow, "deleted a function");
      return {};
    },
  };
}

function found(record: FunctionRecord | undefined, name: string): FunctionRecord {
  if (record === undefined) throw notFound(name);
  return record;
}

function notFound(name: string): AppError {
  return new AppError("not_found", "FUNCTION_NOT_FOUND", `there is no function ${name}; create it first`, {
    field: "name",
  });
}
