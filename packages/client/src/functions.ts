import { createHash } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import { type CallOptions, type Connection, once, repeat } from "./connection.ts";
import { AlreadyExists, NotFound } from "./errors.ts";
import type { FunctionInfo, FunctionSettings, Hook } from "./types.ts";
import { functionFromWire, settingsToWire } from "./wire.ts";

/** A function to create or to deploy. */
export interface FunctionDefinition {
  /** A letter or `_`, then letters, digits, `_` or `-`, at most 64 characters. */
  readonly name: string;
  readonly settings: FunctionSettings;
  /** The code as a zip of at most 50 MiB; at most 200 MiB and 10,000 files unpacked. */
  readonly codeZip: Uint8Array;
}
/** What to change; what is absent stays as it is. */
export interface FunctionChange {
  readonly name: string;
  readonly settings?: FunctionSettings;
  readonly codeZip?: Uint8Array;
}
export interface FunctionFilter {
  readonly namePrefix?: string;
}
export interface Deployment {
  readonly outcome: "created" | "updated" | "unchanged";
  readonly function: FunctionInfo;
}

export interface FunctionsClient {
  /** Throws `AlreadyExists` if the name is taken. */
  create(definition: FunctionDefinition, options?: CallOptions): Promise<FunctionInfo>;
  /** Attempts that run go on with the old code and settings. Throws `NotFound`. */
  update(change: FunctionChange, options?: CallOptions): Promise<FunctionInfo>;
  /** Throws `NotFound`. */
  get(name: string, options?: CallOptions): Promise<FunctionInfo>;
  /** All functions by name, page after page. */
  list(filter?: FunctionFilter, options?: CallOptions): AsyncGenerator<FunctionInfo, void, undefined>;
  /** Waiting tasks end as Invalid; running ones go on. Throws `NotFound`. */
  delete(name: string, options?: CallOptions): Promise<void>;
  /** Creates the function, or changes it to these settings and this code; settings that are not given stay. */
  deploy(definition: FunctionDefinition, options?: CallOptions): Promise<Deployment>;
}

/** A zip of 50 MiB needs its time. */
const uploadTimeoutMs = 300_000;

export function createFunctionsClient(connection: Connection): FunctionsClient {
  const api = connection.functions;
  const client: FunctionsClient = {
    async create({ name, settings, codeZip }, options = {}) {
      const request = { name, settings: settingsToWire(settings), codeZip: asBuffer(codeZip) };
      return functionFromWire(
        await once(options, (context) => api.createFunction(request, { ...context, timeoutMs: uploadTimeoutMs })),
      );
    },
    async update({ name, settings = {}, codeZip = new Uint8Array() }, options = {}) {
      const request = { name, settings: settingsToWire(settings), codeZip: asBuffer(codeZip) };
      return functionFromWire(
        await once(options, (context) => api.updateFunction(request, { ...context, timeoutMs: uploadTimeoutMs })),
      );
    },
    async get(name, options = {}) {
      return functionFromWire(await repeat(connection, options, (context) => api.getFunction({ name }, context)));
    },
    async *list({ namePrefix = "" } = {}, options = {}) {
      let pageToken = "";
      do {
        const request = { namePrefix, pageSize: 500, pageToken };
        const page = await repeat(connection, options, (context) => api.listFunctions(request, context));
        yield* page.functions.map(functionFromWire);
        pageToken = page.nextPageToken;
      } while (pageToken);
    },
    async delete(name, options = {}) {
      await once(options, (context) => api.deleteFunction({ name }, context));
    },
    async deploy(definition, options = {}) {
      const existing = await find(definition.name, options);
      if (existing) return change(existing, definition, options);
      try {
        return { outcome: "created", function: await client.create(definition, options) };
      } catch (cause) {
        // Somebody else created it in between.
        if (!(cause instanceof AlreadyExists)) throw cause;
        return change(await client.get(definition.name, options), definition, options);
      }
    },
  };
  return client;

  async function find(name: string, options: CallOptions): Promise<FunctionInfo | undefined> {
    try {
      return await client.get(name, options);
    } catch (cause) {
      if (cause instanceof NotFound) return undefined;
      throw cause;
    }
  }

  /** Sends new code only if it differs, and nothing at all where nothing does. */
  async function change(
    existing: FunctionInfo,
    { name, settings, codeZip }: FunctionDefinition,
    options: CallOptions,
  ): Promise<Deployment> {
    const hasNewCode = createHash("sha256").update(codeZip).digest("hex") !== existing.codeSha256;
    const hasNewSettings = !isIncluded(settings, existing.settings);
    if (!hasNewCode && !hasNewSettings) return { outcome: "unchanged", function: existing };
    const updated = await client.update({ name, settings, ...(hasNewCode && { codeZip }) }, options);
    return { outcome: "updated", function: updated };
  }
}

/** Whether the settings say nothing new. Of a hook, too, only what is given counts; an environment is given as a whole. */
function isIncluded(given: FunctionSettings, existing: FunctionSettings): boolean {
  return Object.entries(given).every(([key, value]) => {
    const old = existing[key as keyof FunctionSettings];
    if (value === undefined) return true;
    if (key !== "initializer" && key !== "preStop") return isDeepStrictEqual(value, old);
    return isDeepStrictEqual({ ...(old as Hook | undefined), ...(value as Hook) }, old);
  });
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
