import type { FunctionInfo, FunctionQueue, FunctionSettings } from "@sluice/client";
import type { Context } from "../context.ts";
import { type ExitCode, exitCodes } from "../errors.ts";
import { formatBytes, formatTime, printable } from "../format.ts";
import { type Cell, writeJson, writeNote, writeTable } from "../output.ts";

export async function listFunctions(context: Context, { prefix = "" }: { prefix?: string }): Promise<ExitCode> {
  const { client, output, signal, json } = context;
  const rows: Cell[][] = [];
  for await (const found of client.functions.list({ namePrefix: prefix }, { signal })) {
    if (json) await writeJson(output, found);
    else rows.push(rowOf(found));
  }
  if (json) return exitCodes.ok;
  if (rows.length === 0) await writeNote(output, "no functions; add one with sluice deploy DIR");
  else await writeTable(output, ["FUNCTION", "RUNTIME", "HANDLER", "REVISION", "CODE", "UPDATED"], rows);
  return exitCodes.ok;
}

export async function getFunction({ client, output, signal, json }: Context, name: string): Promise<ExitCode> {
  const found = await client.functions.get(name, { signal });
  if (json) await writeJson(output, found);
  else {
    const facts = {
      function: found.name,
      revision: found.revision,
      code: `${found.codeSha256}, ${formatBytes(found.codeBytes)}`,
      created: formatTime(found.createdAtMs),
      updated: formatTime(found.updatedAtMs),
      queue: queueText(found.queue),
      ...found.settings,
    };
    const rows = Object.entries(facts).map(([key, value]): Cell[] => [
      { text: key, style: "bold" },
      { text: typeof value === "object" ? JSON.stringify(value) : String(value) },
    ]);
    await writeTable(output, undefined, rows);
  }
  return exitCodes.ok;
}

/** Only the settings that are given are changed. */
export async function setFunction(context: Context, name: string, settings: FunctionSettings): Promise<ExitCode> {
  const { client, output, signal, json } = context;
  const before = await client.functions.get(name, { signal });
  const changed = await client.functions.update({ name, settings }, { signal });
  if (json) await writeJson(output, changed);
  else {
    const changes = (Object.keys(settings) as (keyof FunctionSettings)[]).map(
      (key) => `${key} ${textOf(changed, key)} (was ${textOf(before, key)})`,
    );
    const instances = changed.revision === before.revision ? "its instances stay" : "its instances are started anew";
    const text = `${changed.name} changed: ${changes.join(", ")}; revision ${changed.revision}, ${instances}`;
    await output.write(`${printable(text)}\n`);
  }
  return exitCodes.ok;
}

export async function deleteFunction({ client, output, signal, json }: Context, name: string): Promise<ExitCode> {
  await client.functions.delete(name, { signal });
  await (json ? writeJson(output, { deleted: name }) : output.write(`${printable(name)} deleted\n`));
  return exitCodes.ok;
}

function rowOf({ name, settings, revision, codeBytes, updatedAtMs }: FunctionInfo): Cell[] {
  const texts = [settings.runtime ?? "-", settings.handler ?? "-", String(revision), formatBytes(codeBytes)];
  return [name, ...texts, formatTime(updatedAtMs)].map((text) => ({ text }));
}

const whenZero = new Map<string, string>([
  ["concurrencyMax", "no limit"],
  ["rateMax", "no limit"],
  ["rateBurst", "those of one second"],
]);

function textOf({ settings }: FunctionInfo, key: keyof FunctionSettings): string {
  const value = settings[key];
  return (value === 0 ? whenZero.get(key) : undefined) ?? String(value ?? "default");
}

const whyWithheld = new Map<string, string>([
  ["ACCOUNT_LIMITED", "all functions of an account with limits share one lane"],
  ["TOO_MANY_OF_ACCOUNT", "as many functions of the account have one as may"],
  ["TOO_MANY_ASK", "as many functions that ask have one as may"],
  ["TOO_MANY_ROUTES", "as many functions have one as may"],
  ["NOT_ASKED_YET", "it asks when its next task is dispatched"],
  ["NOT_OPEN_YET", "it is not open"],
]);

function queueText(queue: FunctionQueue | undefined): string {
  if (queue === undefined) return "not known now";
  const { name, state, reason, withheld } = queue;
  const what = name === undefined ? "shared" : `${name} (${state}, ${reason})`;
  if (withheld === undefined) return what;
  const why = whyWithheld.get(withheld);
  return `${what}; one of its own is not used: ${why === undefined ? withheld : `${why} [${withheld}]`}`;
}
