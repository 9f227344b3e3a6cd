import type { FunctionInfo } from "@sluice/client";
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

export async function deleteFunction({ client, output, signal, json }: Context, name: string): Promise<ExitCode> {
  await client.functions.delete(name, { signal });
  await (json ? writeJson(output, { deleted: name }) : output.write(`${printable(name)} deleted\n`));
  return exitCodes.ok;
}

function rowOf({ name, settings, revision, codeBytes, updatedAtMs }: FunctionInfo): Cell[] {
  const texts = [settings.runtime ?? "-", settings.handler ?? "-", String(revision), formatBytes(codeBytes)];
  return [name, ...texts, formatTime(updatedAtMs)].map((text) => ({ text }));
}
