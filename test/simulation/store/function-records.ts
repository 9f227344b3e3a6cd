import { isDeepStrictEqual } from "node:util";
import { type AccountId, type Flow, type FunctionName, flowKey, isLimited } from "@sluice/core";
import {
  type CodePackage,
  type FunctionRecord,
  type FunctionRecords,
  type FunctionSettings,
  isOfInstances,
  reservationsMax,
} from "@sluice/store";
import type { Model } from "./model-store.ts";
import { assertBatch, copyJson, storable } from "./storable.ts";
import { inOrder, type Tables } from "./tables.ts";

const deletedKeptMs = 3 * 24 * 3_600_000;

/** A package lives as long as a function uses it. Revisions are taken even by a creation that is refused. */
export function functionRecords({ tables, now }: Model): FunctionRecords {
  const { functions, deletedFunctions, packages } = tables;
  const keep = (key: string, record: FunctionRecord, code: CodePackage | undefined): FunctionRecord => {
    if (code !== undefined && !packages.has(code.sha256)) packages.set(code.sha256, new Uint8Array(code.zip));
    functions.set(key, record);
    return copyOf(record);
  };
  return {
    async create(flow, settings, code) {
      const { accountId, functionName } = storableFlow(flow);
      const stored = storableSettings(settings) as FunctionSettings;
      const key = flowKey({ accountId, functionName });
      const revision = ++tables.lastRevision;
      if (functions.has(key)) return undefined;
      const at = now();
      const limitsChangedAt = deletedFunctions.has(key) ? at : 0;
      const times = { createdAt: at, updatedAt: at, limitsChangedAt };
      const place = { accountId, functionName, settings: stored, revision, ...times };
      return keep(key, { ...place, codeSha256: storable(code.sha256), codeBytes: code.zip.byteLength }, code);
    },
    async update(flow, settings, code) {
      const key = flowKey(storableFlow(flow));
      const stored = storableSettings(settings);
      const before = functions.get(key);
      if (before === undefined) return undefined;
      const after = { ...before.settings, ...stored };
      const record: FunctionRecord = {
        ...before,
        settings: after,
        revision: isSameToInstances(before, after, code) ? before.revision : ++tables.lastRevision,
        ...(code && { codeSha256: storable(code.sha256), codeBytes: code.zip.byteLength }),
        updatedAt: Math.max(now(), before.updatedAt + 1),
        limitsChangedAt:
          isLimited(before.settings) === isLimited(after)
            ? before.limitsChangedAt
            : Math.max(now(), before.limitsChangedAt + 1),
      };
      const kept = keep(key, record, code);
      deleteUnused(tables, before.codeSha256);
      return kept;
    },
    async read(flows) {
      assertBatch(flows, "functions");
      return flows.flatMap((flow) => {
        const record = functions.get(flowKey(storableFlow(flow)));
        return record === undefined ? [] : [copyOf(record)];
      });
    },
    async list(accountId, { prefix, after, limit }) {
      assertBatch(limit, "functions");
      return [...functions.values()]
        .filter((record) => record.accountId === accountId && record.functionName.startsWith(storable(prefix)))
        .filter((record) => inOrder(record.functionName, storable(after)) > 0)
        .sort((a, b) => inOrder(a.functionName, b.functionName))
        .slice(0, limit)
        .map(copyOf);
    },
    async delete(flow) {
      const key = flowKey(storableFlow(flow));
      const record = functions.get(key);
      functions.delete(key);
      if (record !== undefined) {
        deletedFunctions.set(key, now());
        for (const [name, at] of [...deletedFunctions]) if (at < now() - deletedKeptMs) deletedFunctions.delete(name);
      }
      if (record !== undefined) deleteUnused(tables, record.codeSha256);
      return record !== undefined;
    },
    async reserved(accountIds) {
      assertBatch(accountIds, "accounts");
      const ids = [...new Set(accountIds.map((id) => storable(id)))].sort(inOrder);
      return ids.flatMap((id) =>
        [...functions.values()]
          .filter(({ accountId, settings }) => accountId === id && settings.concurrencyReserved > 0)
          .sort((a, b) => inOrder(a.functionName, b.functionName))
          .slice(0, reservationsMax)
          .map(({ accountId, functionName, settings: { concurrencyReserved, concurrencyMax } }) => {
            const slots = concurrencyMax > 0 ? Math.min(concurrencyReserved, concurrencyMax) : concurrencyReserved;
            return { accountId, functionName, slots };
          }),
      );
    },
    async code(sha256) {
      const zip = packages.get(storable(sha256));
      return zip && new Uint8Array(zip);
    },
  };
}

function isSameToInstances(before: FunctionRecord, after: FunctionSettings, code: CodePackage | undefined): boolean {
  const theirs = (Object.keys(isOfInstances) as (keyof FunctionSettings)[]).filter((name) => isOfInstances[name]);
  return (
    (code === undefined || storable(code.sha256) === before.codeSha256) &&
    theirs.every((name) => isDeepStrictEqual(after[name], before.settings[name]))
  );
}

function deleteUnused({ functions, packages }: Tables, sha256: string): void {
  for (const { codeSha256 } of functions.values()) {
    if (codeSha256 === sha256) return;
  }
  packages.delete(sha256);
}

function storableFlow({ accountId, functionName }: Flow): Flow {
  return { accountId: storable(accountId) as AccountId, functionName: storable(functionName) as FunctionName };
}

/** `undefined` is a value here ("no initializer") and overwrites what was there. */
function storableSettings(settings: Partial<FunctionSettings>): Partial<FunctionSettings> {
  return Object.fromEntries(Object.entries(settings).map(([name, value]) => [name, copyJson(value, storable)]));
}

function copyOf(record: FunctionRecord): FunctionRecord {
  const settings = Object.entries(record.settings).map(([name, value]) => [name, copyJson(value)]);
  return { ...record, settings: Object.fromEntries(settings) };
}
