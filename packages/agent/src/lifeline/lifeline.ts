// The lifeline: how the agent proves that it is alive, and what it does when it cannot.
//
//   registering ──answered──▶ proving ──first valid heartbeat──▶ trusted ──deadline passed, or marked dead──▶ fenced
//        ▲─────invalid, once─────┘                                │   ▲
//                                                                 └───┘ valid heartbeat: deadline = its sending + `fenceAfterMs`
//
// The deadline counts from the sending of the last heartbeat that was answered as valid: a slow answer must not lengthen the
// trust. It is kept on both clocks, and has passed when either says so: the monotonic clock stands still while the machine
// is suspended, the wall clock may be set back. The watchdog gets the same deadline.
import { AppError, type Clock, createWake, isRetryable, type Random, runAll, type Wake } from "@sluice/core";
import type { AgentGatewayServiceService, Api, RegisterResponse } from "@sluice/protocol";
import type { Logger } from "@sluice/runtime";
import { callWithin } from "../call-within.ts";
import type { AgentConfig } from "../config.ts";
import type { AgentMetrics } from "../metrics.ts";
import { Fenced, type FenceReason } from "./fenced.ts";

type Gateway = Api<typeof AgentGatewayServiceService>;

export interface LifelineDeps {
  readonly config: AgentConfig;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly metrics: AgentMetrics;
  readonly gateway: Pick<Gateway, "register" | "heartbeat" | "deregister">;
  readonly watchdog: { extend(ms: number): void };
  /** Called once, synchronously, when the incarnation is over: kill everything, accept and report nothing. */
  readonly onFence: (reason: FenceReason) => void;
}

interface Instant {
  readonly wall: number;
  readonly monotonic: number;
}

const backoffFirstMs = 100;
const backoffMaxMs = 5_000;
/** A jump of the wall clock is noticed this soon. */
const lookEveryMs = 1_000;
const heartbeatsInFlightMax = 3;

export class Lifeline {
  readonly #deps: LifelineDeps;
  /** Makes a repeated registration of this incarnation recognisable. */
  #registrationId: string;
  readonly #wake: Wake;
  #incarnation = 0;
  /** Sending of the last heartbeat that was answered as valid. */
  #provenAt: Instant | undefined;
  #fenced: FenceReason | undefined;
  #inFlight = 0;

  constructor(deps: LifelineDeps) {
    this.#deps = deps;
    this.#registrationId = deps.random.hex(16);
    this.#wake = createWake(deps.clock);
  }

  /**
   * Registers, and proves with a first heartbeat that the incarnation still stands: an answer may have taken longer than
   * the incarnation lived. Undefined: the signal aborted. Throws `Fenced`, and what a registration is refused with.
   */
  async register(signal: AbortSignal): Promise<RegisterResponse | undefined> {
    const { config, clock, random, log, gateway } = this.#deps;
    const { agentId, joinToken, address, slots, version } = config;
    let answer: RegisterResponse | undefined;
    let mayAskAgain = true;
    for (let backoffMs = backoffFirstMs; !signal.aborted; backoffMs = Math.min(2 * backoffMs, backoffMaxMs)) {
      const request = { agentId, joinToken, address, slots, version, registrationId: this.#registrationId };
      try {
        answer ??= await callWithin({ clock, ms: config.registerTimeoutMs, signal }, (limit) =>
          gateway.register(request, { signal: limit }),
        );
        this.#incarnation = answer.incarnation;
        const verdict = await this.#beat(signal);
        if (this.#fenced) throw new Fenced(this.#fenced);
        if (this.#provenAt) return answer;
        // It may have been fenced before it could serve anybody, because it took too long. The registration says so, and another
        // incarnation need not wait until this one is dead. Once: owners wait for one that never serves, until it is dead.
        if (verdict === "invalid" && mayAskAgain) {
          answer = undefined;
          mayAskAgain = false;
        }
      } catch (cause) {
        if (signal.aborted) break;
        if (cause instanceof Fenced || !mayRegisterLater(cause)) throw cause;
        log.warn("cannot register, trying again", { agentId, cause: String(cause) });
        // A call of a former life arrived after ours and replaced it, or it was fenced. Nothing was started under this one.
        if (cause instanceof AppError && cause.reason === "AGENT_DEAD") this.#registrationId = random.hex(16);
      }
      await clock.sleep(backoffMs * random.next(), signal);
    }
    return undefined;
  }

  /** Heartbeats until the signal aborts. Rejects with `Fenced` when the incarnation is over. */
  async run(signal: AbortSignal): Promise<void> {
    await runAll(
      signal,
      (stop) => this.#sendHeartbeats(stop),
      (stop) => this.#watchDeadline(stop),
    );
  }

  /**
   * Whether the agent may act now. To be asked right before anything is started: a process that was frozen goes on where
   * it was, with frames in its buffers, before any timer of the lifeline fires.
   */
  isTrusted(): boolean {
    if (!this.#fenced && this.#provenAt && this.#leftMs(this.#provenAt) <= 0) this.fence("SILENCE");
    return !this.#fenced && this.#provenAt !== undefined;
  }

  /** Since the last heartbeat that was answered as valid was sent; undefined: none was. */
  get heartbeatAgeMs(): number | undefined {
    return this.#provenAt && this.#deps.config.fenceAfterMs - this.#leftMs(this.#provenAt);
  }

  /** The incarnation is over. */
  fence(reason: FenceReason): void {
    if (this.#fenced) return;
    this.#fenced = reason;
    this.#deps.metrics.fences.inc();
    this.#deps.onFence(reason);
    this.#wake.notify();
  }

  /** Ends the incarnation after everything it ran was killed. Tries for a while; else it is found dead by its silence. */
  async deregister(signal: AbortSignal): Promise<void> {
    const { config, clock, log, gateway } = this.#deps;
    const request = { agentId: config.agentId, incarnation: this.#incarnation, joinToken: config.joinToken };
    for (let triesLeft = 3; triesLeft > 0 && !signal.aborted; triesLeft--) {
      try {
        await callWithin({ clock, ms: config.heartbeatTimeoutMs, signal }, (limit) =>
          gateway.deregister(request, { signal: limit }),
        );
        return;
      } catch (cause) {
        log.warn("cannot deregister", { agentId: config.agentId, cause: String(cause) });
        await clock.sleep(backoffFirstMs, signal);
      }
    }
  }

  async #sendHeartbeats(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#deps.clock.sleep(this.#deps.config.heartbeatEveryMs, signal);
      // A call that hangs must not keep the next one from being sent.
      if (!signal.aborted && this.#inFlight < heartbeatsInFlightMax) void this.#beat(signal);
    }
  }

  async #watchDeadline(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      if (!this.isTrusted()) throw new Fenced(this.#fenced ?? "SILENCE");
      const leftMs = this.#provenAt ? this.#leftMs(this.#provenAt) : 0;
      await this.#wake.wait(signal, Math.min(leftMs, lookEveryMs));
    }
  }

  /** One heartbeat, and what it was answered. Never rejects. */
  async #beat(signal: AbortSignal): Promise<"valid" | "invalid" | "dead" | "failed"> {
    const { config, clock, log, metrics, gateway } = this.#deps;
    const sentAt = this.#now();
    const request = { agentId: config.agentId, incarnation: this.#incarnation, joinToken: config.joinToken };
    this.#inFlight++;
    try {
      const { valid, dead } = await callWithin({ clock, ms: config.heartbeatTimeoutMs, signal }, (limit) =>
        gateway.heartbeat(request, { signal: limit }),
      );
      const verdict = dead ? "dead" : valid ? "valid" : "invalid";
      metrics.heartbeats.inc({ answer: verdict });
      if (dead) this.fence("DEAD");
      else if (valid) this.#prove(sentAt);
      return verdict;
    } catch (cause) {
      if (signal.aborted) return "failed";
      metrics.heartbeats.inc({ answer: "failed" });
      log.warn("heartbeat failed", { agentId: config.agentId, cause: String(cause) });
      return "failed";
    } finally {
      this.#inFlight--;
    }
  }

  #prove(sentAt: Instant): void {
    // Answers may overtake each other. And one that comes after the deadline revives nobody.
    if (this.#provenAt && sentAt.monotonic <= this.#provenAt.monotonic) return;
    if (this.#provenAt && !this.isTrusted()) return;
    const leftMs = this.#leftMs(sentAt);
    if (leftMs <= 0) return;
    this.#provenAt = sentAt;
    this.#deps.watchdog.extend(leftMs);
  }

  #leftMs(provenAt: Instant): number {
    const now = this.#now();
    return this.#deps.config.fenceAfterMs - Math.max(now.wall - provenAt.wall, now.monotonic - provenAt.monotonic);
  }

  #now(): Instant {
    return { wall: this.#deps.clock.now(), monotonic: this.#deps.clock.monotonic() };
  }
}

/** A wrong token or a bad name stays wrong; a server that fails inside may recover. */
function mayRegisterLater(cause: unknown): boolean {
  if (isRetryable(cause)) return true;
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
  return code !== "invalid" && code !== "unauthenticated" && code !== "forbidden";
}
