import { basename, resolve } from "node:path";
import type { FunctionInfo, FunctionSettings } from "@sluice/client";
import type { Context } from "../context.ts";
import { readManifest } from "../deploy/manifest.ts";
import { packFolder } from "../deploy/package.ts";
import { type ExitCode, exitCodes, UsageError } from "../errors.ts";
import { formatBytes, printable } from "../format.ts";
import { onlyGiven, type SettingOptions, settingsOf, takenAway } from "../function-settings.ts";
import { writeJson, writeNote } from "../output.ts";

export interface DeployOptions extends SettingOptions {
  readonly name?: string;
  readonly runtime?: string;
  readonly handler?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** Creates the function, or changes it, from a folder. */
export async function deploy(context: Context, folder: string, options: DeployOptions): Promise<ExitCode> {
  const path = resolve(context.directory, folder);
  const { name = basename(path), ...fromFile } = await readManifest(path);
  const settings = { ...fromFile, ...fromFlags(options, fromFile) };
  for (const required of ["runtime", "handler"] as const) {
    if (!settings[required])
      throw new UsageError(`${required} is missing; set it in sluice.json or with --${required}`);
  }
  const code = await packFolder(path);
  const definition = { name: options.name ?? name, settings, codeZip: code.zip };
  const { outcome, function: deployed } = await context.client.functions.deploy(definition, { signal: context.signal });

  if (context.json) {
    await writeJson(context.output, { outcome, fileCount: code.fileCount, ...deployed });
  } else {
    const size = `${code.fileCount} files, ${formatBytes(code.bytes)}, zip ${formatBytes(code.zip.length)}`;
    const revision = `revision ${deployed.revision}, code ${deployed.codeSha256.slice(0, 12)}`;
    await context.output.write(`${printable(deployed.name)} ${outcome}: ${size}; ${revision}\n`);
  }
  await tellWhatStays(context, settings, deployed);
  return exitCodes.ok;
}

function fromFlags(options: DeployOptions, fromFile: FunctionSettings): FunctionSettings {
  const { runtime, handler, env } = options;
  const environment = env && { ...fromFile.environment, ...env };
  return { ...settingsOf(options), ...onlyGiven({ runtime, handler, environment }) };
}

/** A limit that was taken out of `sluice.json`, or was never there, holds on: that it does must not be a surprise. */
async function tellWhatStays(
  { output, json }: Context,
  given: FunctionSettings,
  deployed: FunctionInfo,
): Promise<void> {
  if (json) return;
  const stays = Object.entries(takenAway).filter(([name, { value }]) => {
    const now = deployed.settings[name as keyof typeof takenAway];
    return given[name as keyof typeof takenAway] === undefined && now !== undefined && now !== value;
  });
  if (stays.length === 0) return;
  const values = stays.map(([name]) => `${name} ${deployed.settings[name as keyof typeof takenAway]}`).join(", ");
  const options = stays.map(([, { option }]) => option).join(" ");
  const advice = `to take it away: sluice functions set ${deployed.name} ${options}`;
  await writeNote(output, `not in sluice.json, and stays as it is on the server: ${values}; ${advice}`);
}
