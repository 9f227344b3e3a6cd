import { AppError } from "@sluice/core";

/** Why an incarnation is over. */
export type FenceReason =
  /** No valid answer to a heartbeat for too long: the agent cannot prove that it is alive. */
  | "SILENCE"
  /** An api-server said so: the incarnation was marked dead. */
  | "DEAD"
  /** The watchdog is gone, and with it the host lock. */
  | "WATCHDOG";

/** The incarnation is over and everything it ran was killed. A new one starts from nothing, in the same process. */
export class Fenced extends AppError {
  override readonly name = "Fenced";
  readonly fenceReason: FenceReason;

  constructor(reason: FenceReason) {
    super("unavailable", "AGENT_FENCED", `the incarnation of the agent is over: ${descriptions[reason]}`);
    this.fenceReason = reason;
  }
}

const descriptions: Readonly<Record<FenceReason, string>> = {
  SILENCE: "no api-server has answered for too long",
  DEAD: "it was marked dead",
  WATCHDOG: "its watchdog is gone",
};
