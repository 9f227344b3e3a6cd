import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { ConnectOptions } from "@sluice/client";
import { UsageError } from "./errors.ts";

export interface ConnectionFlags {
  readonly address?: string;
  readonly accessKeyId?: string;
  readonly accessKeySecret?: string;
  readonly tls?: boolean;
  readonly ca?: string;
  readonly dataDir?: string;
  readonly retryTimeout: number;
}

interface Profile {
  readonly address?: string;
  readonly accessKeyId?: string;
  readonly accessKeySecret?: string;
}

const defaultAddress = "127.0.0.1:50051";

/**
 * Flags come first, then the environment, then the profile that a server on this machine wrote into its data folder. A
 * credential is only used with the address of its own profile: another server must not get to see it.
 */
export async function resolveConnection(
  flags: ConnectionFlags,
  { environment, directory }: { environment: Readonly<Record<string, string | undefined>>; directory: string },
): Promise<ConnectOptions & { readonly address: string }> {
  const named = {
    address: flags.address ?? text(environment["SLUICE_ADDRESS"]),
    accessKeyId: flags.accessKeyId ?? text(environment["SLUICE_ACCESS_KEY_ID"]),
    accessKeySecret: flags.accessKeySecret ?? text(environment["SLUICE_ACCESS_KEY_SECRET"]),
  };
  const dataDir = resolve(directory, flags.dataDir ?? text(environment["SLUICE_DATA_DIR"]) ?? ".sluice");
  const profile = await readProfile(join(dataDir, "client.json"));
  const address = named.address ?? profile.address ?? defaultAddress;
  const isNamed = named.accessKeyId !== undefined || named.accessKeySecret !== undefined;
  const credential = isNamed ? named : address === (profile.address ?? defaultAddress) ? profile : {};
  if (isNamed && (named.accessKeyId === undefined || named.accessKeySecret === undefined)) {
    throw new UsageError("give both an access key id and its secret, or neither");
  }
  return {
    address,
    ...(credential.accessKeyId !== undefined && { accessKeyId: credential.accessKeyId }),
    ...(credential.accessKeySecret !== undefined && { accessKeySecret: credential.accessKeySecret }),
    ...(flags.ca !== undefined && { tls: { ca: await readFile(resolve(directory, flags.ca)) } }),
    ...(flags.ca === undefined && flags.tls && { tls: true }),
    retryTimeoutMs: flags.retryTimeout,
  };
}

async function readProfile(path: string): Promise<Profile> {
  let content: string;
  try {
    content = await readFile(path, "utf8");
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && (cause.code === "ENOENT" || cause.code === "ENOTDIR")) return {};
    throw cause;
  }
  const profile = parseObject(content);
  const values = profile && [profile["address"], profile["accessKeyId"], profile["accessKeySecret"]];
  if (!values?.every((value) => value === undefined || typeof value === "string")) {
    throw new UsageError(`${path} is not a profile; remove it, and the server will write it again`);
  }
  return profile as Profile;
}

function parseObject(content: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(content);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

/** An empty variable counts as none. */
function text(value: string | undefined): string | undefined {
  return value || undefined;
}
