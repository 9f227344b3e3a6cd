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
  readonly cert?: string;
  readonly key?: string;
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
    ...(await resolveTls(flags, environment, directory)),
    retryTimeoutMs: flags.retryTimeout,
  };
}

/** Any of the files switches TLS on. */
async function resolveTls(
  flags: ConnectionFlags,
  environment: Readonly<Record<string, string | undefined>>,
  directory: string,
): Promise<Pick<ConnectOptions, "tls">> {
  const read = async (path: string | undefined) => path && (await readFile(resolve(directory, path)));
  const ca = await read(flags.ca ?? text(environment["SLUICE_TLS_CA"]));
  const cert = await read(flags.cert ?? text(environment["SLUICE_TLS_CERT"]));
  const key = await read(flags.key ?? text(environment["SLUICE_TLS_KEY"]));
  if ((cert === undefined) !== (key === undefined)) {
    throw new UsageError("give both a client certificate and its key, or neither");
  }
  if (ca || cert || key) return { tls: { ...(ca && { ca }), ...(cert && key && { cert, key }) } };
  return flags.tls ? { tls: true } : {};
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
