import { createHash } from "node:crypto";
import { AppError } from "@sluice/core";
import type { AgentGatewayServiceService, Api } from "@sluice/protocol";

export interface FetchCodeDeps {
  readonly gateway: Pick<Api<typeof AgentGatewayServiceService>, "getCode">;
  readonly joinToken: string;
  /** A larger package is refused before it fills the memory. */
  readonly bytesMax: number;
}

/** Downloads code packages from the api-servers: the `fetch` of a code cache. */
export function createCodeFetch({ gateway, joinToken, bytesMax }: FetchCodeDeps) {
  return async (sha256: string, signal: AbortSignal): Promise<Uint8Array> => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const { data } of gateway.getCode({ sha256, joinToken }, { signal })) {
      bytes += data.length;
      if (bytes > bytesMax) {
        throw new AppError("invalid", "CODE_TOO_LARGE", `the code package has more than ${bytesMax} bytes`);
      }
      chunks.push(data);
    }
    signal.throwIfAborted();
    const zip = Buffer.concat(chunks);
    // A stream that was cut short may look complete.
    if (createHash("sha256").update(zip).digest("hex") !== sha256) {
      throw new AppError("unavailable", "CODE_INCOMPLETE", "the code package did not arrive as it was stored");
    }
    return zip;
  };
}
