import { basename, resolve } from "node:path";
import type { FunctionSettings } from "@sluice/client";
import type { Context } from "../context.ts";
import { readManifest } from "../deploy/manifest.ts";
import { packFolder } from "../deploy/package.ts";
import { type ExitCode, exitCodes, UsageError } from "../errors.ts";
import { formatBytes, printable } from "../format.ts";
import { writeJson } from "../output.ts";

export interface DeployOptions {
  readonly name?: string;
  readonly runtime?: string;
  readonly handler?: string;
  readonly description?: string;
  readonly timeout?: number;
  readonly memory?: number;
  readonly instanceConcurrency?: number;
  readonly instancesMax?: number;
  readonly idleTimeout?: number;
  readonly retries?: number;
  readonly maxAge?: number;
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
  return exitCodes.ok;
}

function fromFlags(options: DeployOptions, fromFile: FunctionSettings): FunctionSettings {
  const given = {
    runtime: options.runtime,
    handler: options.handler,
    description: options.description,
    timeoutMs: options.timeout,
    memoryMb: options.memory,
    instanceConcurrency: options.instanceConcurrency,
    instancesMax: options.instancesMax,
    idleTimeoutMs: options.idleTimeout,
    maxAsyncRetryAttempts: options.retries,
    maxAsyncEventAgeInSeconds: options.maxAge === undefined ? undefined : Math.ceil(options.maxAge / 1_000),
    environment: options.env && { ...fromFile.environment, ...options.env },
  };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}
