import type { ConnectOptions, SluiceClient } from "@sluice/client";
import type { Output } from "./output.ts";

/** What a command may touch. */
export interface Ports {
  readonly output: Output;
  readonly input: AsyncIterable<Uint8Array>;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The current folder. */
  readonly directory: string;
  /** Aborts on Ctrl-C. */
  readonly signal: AbortSignal;
  /** Milliseconds since the epoch. */
  now(): number;
  connect(options: ConnectOptions): SluiceClient;
}

/** What an action gets besides its own options. */
export interface Context extends Ports {
  readonly client: SluiceClient;
  readonly address: string;
  /** Whether programs read the output. */
  readonly json: boolean;
}
