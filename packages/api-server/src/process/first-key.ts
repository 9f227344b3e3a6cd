// Creates the access key that the settings name, as soon as the store answers.
import { AccountId, type Clock, isRetryable, type Random } from "@sluice/core";
import type { Logger } from "@sluice/runtime";
import type { Store } from "@sluice/store";
import { createAccessKey } from "../accounts/access-key.ts";

export interface FirstKeyOptions {
  readonly config: {
    readonly accessKeyId: string | undefined;
    readonly accessKeySecret: string | undefined;
    readonly accessKeyAccount: string;
  };
  readonly store: Store;
  readonly masterKey: Uint8Array;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

export interface FirstKey {
  /** Whether it is there, or none is wanted. */
  readonly exists: boolean;
  /** Tries until it is there. Rejects when it cannot be: the id is taken, or the master key is another one. */
  run(signal: AbortSignal): Promise<void>;
}

const retryMs = 1_000;

export function createFirstKey({ config, store, masterKey, clock, random, log }: FirstKeyOptions): FirstKey {
  const { accessKeyId: keyId, accessKeySecret: secret } = config;
  let exists = keyId === undefined || secret === undefined;
  return {
    get exists() {
      return exists;
    },
    async run(signal) {
      while (!exists && !signal.aborted) {
        try {
          const accountId = AccountId(config.accessKeyAccount);
          const { created } = await createAccessKey(store, masterKey, {
            accountId,
            ...(keyId !== undefined && { keyId }),
            ...(secret !== undefined && { secret }),
          });
          exists = true;
          if (created) log.info("created an access key", { keyId, accountId });
        } catch (cause) {
          if (!isRetryable(cause)) throw cause;
          await clock.sleep(retryMs * (0.5 + random.next()), signal);
        }
      }
    },
  };
}
