import { readFileSync } from "node:fs";
import { createAccessKey } from "@sluice/api-server";
import { AccountId } from "@sluice/core";
import type { Store } from "@sluice/store";
import type { StandaloneConfig } from "./settings.ts";

export interface ClientProfile {
  /** host:port of the gRPC API. */
  readonly address: string;
  readonly accessKeyId?: string;
  readonly accessKeySecret?: string;
}

export interface FirstKey {
  readonly accessKeyId: string;
  readonly accessKeySecret: string;
  /** Made just now, so that the person who started the instance has not seen it yet. */
  readonly isNew: boolean;
}

/** The account of standalone's own access key. */
export const defaultAccount = AccountId("default");

/** The key that the settings name, else the one in the client profile, else a new one. */
export async function ensureAccessKey(
  store: Store,
  masterKey: Uint8Array,
  config: Pick<StandaloneConfig, "accessKeyId" | "accessKeySecret">,
  clientFile: string,
): Promise<FirstKey> {
  const known = readProfile(clientFile);
  const keyId = config.accessKeyId ?? known?.accessKeyId;
  const secret = config.accessKeySecret ?? known?.accessKeySecret;
  const key = await createAccessKey(store, masterKey, {
    accountId: defaultAccount,
    ...(keyId !== undefined && secret !== undefined && { keyId, secret }),
  });
  return { accessKeyId: key.keyId, accessKeySecret: key.secret, isNew: key.created };
}

function readProfile(file: string): ClientProfile | undefined {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as ClientProfile;
  } catch {
    // Absent at the first start, and made anew when it was damaged.
    return undefined;
  }
}
