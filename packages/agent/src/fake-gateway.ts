import { AppError, type Clock } from "@sluice/core";
import type { AgentGatewayServiceService, Api, LogPiece } from "@sluice/protocol";

/** Answers as its fields say, after `delayMs`. */
export class FakeGateway implements Api<typeof AgentGatewayServiceService> {
  answer: "valid" | "invalid" | "dead" | "fails" | "hangs" = "valid";
  registers: "answers" | "fails" | "hangs" | "refuses" | "is replaced" = "answers";
  settles: "answers" | "fails" = "answers";
  /** Tasks that have ended, as the store says. */
  readonly settled = new Set<number>();
  stores: "answers" | "fails" | "refuses" = "answers";
  delayMs = 0;
  floors: { queue: string; floors: number[] }[] = [];
  readonly registrationIds: string[] = [];
  /** Ids of registrations whose incarnations are over. */
  readonly over = new Set<string>();
  /** When heartbeats arrived, monotonic. */
  readonly heartbeats: number[] = [];
  readonly calls: LogPiece[][] = [];
  deregistered = 0;
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  register: Api<typeof AgentGatewayServiceService>["register"] = async ({ registrationId }) => {
    const mode = this.registers;
    this.registrationIds.push(registrationId);
    await this.#travel(mode === "hangs");
    if (mode === "fails") throw new AppError("unavailable", "DOWN", "down");
    if (mode === "is replaced" || this.over.has(registrationId))
      throw new AppError("stale", "AGENT_DEAD", "this incarnation is over");
    if (mode === "refuses") throw new AppError("unauthenticated", "BAD_TOKEN", "bad token");
    return { incarnation: new Set(this.registrationIds).size, floors: this.floors };
  };

  heartbeat: Api<typeof AgentGatewayServiceService>["heartbeat"] = async () => {
    const { answer } = this;
    this.heartbeats.push(this.#clock.monotonic());
    await this.#travel(answer === "hangs");
    if (answer === "fails") throw new AppError("unavailable", "DOWN", "down");
    return { valid: answer === "valid", dead: answer === "dead" };
  };

  deregister: Api<typeof AgentGatewayServiceService>["deregister"] = async () => {
    this.deregistered++;
    return {};
  };

  getCode: Api<typeof AgentGatewayServiceService>["getCode"] = async function* ({ sha256 }) {
    yield { data: Buffer.from(sha256) };
  };

  putLogs: Api<typeof AgentGatewayServiceService>["putLogs"] = async ({ pieces }) => {
    this.calls.push(pieces);
    if (this.stores === "fails") throw new AppError("unavailable", "DOWN", "down");
    if (this.stores === "refuses") throw new AppError("invalid", "BAD_PIECE", "bad piece");
    return {};
  };

  findSettled: Api<typeof AgentGatewayServiceService>["findSettled"] = async ({ attempts }) => {
    if (this.settles === "fails") throw new AppError("unavailable", "DOWN", "down");
    return { settled: attempts.filter(({ seq }) => this.settled.has(seq)) };
  };

  async #travel(hangs: boolean): Promise<void> {
    if (hangs) await new Promise(() => undefined);
    if (this.delayMs > 0) await this.#clock.sleep(this.delayMs);
  }
}
