// The agent: its parts, put together, and its life.
//
//   registering ──registered, first valid heartbeat──▶ serving ──signal aborts──▶ draining ──all handed back──▶ deregistered
//                                                         └────────────┴──lifeline lost, marked dead──▶ fenced
//
// One object is one incarnation. A fenced one has killed everything and rejects `run` with `Fenced`; what comes after it, in
// a new process or in the same one, is a new object, with an empty dedupe table and a new registration.
import { AppError, assert, type Clock, type Loop, type Random, runAll } from "@sluice/core";
import type { AgentGatewayServiceService, AgentServiceService, Api } from "@sluice/protocol";
import type { Logger } from "@sluice/runtime";
import type { Registry } from "prom-client";
import { type AttachDeps, attach } from "./attach.ts";
import { callWithin } from "./call-within.ts";
import type { AgentConfig } from "./config.ts";
import { forgetSettledLoop } from "./forget-settled.ts";
import type { Attempt } from "./gate/attempt.ts";
import { Gate } from "./gate/gate.ts";
import type { InstancePool } from "./instances/pool.ts";
import type { Journal } from "./journal.ts";
import { Fenced, type FenceReason } from "./lifeline/fenced.ts";
import { Lifeline } from "./lifeline/lifeline.ts";
import { LogUploader } from "./logs/log-uploader.ts";
import { type AgentMetrics, agentMetrics } from "./metrics.ts";
import { lostOutcome } from "./outcome.ts";
import { OwnersTime } from "./owners-time.ts";
import { Reports } from "./reports/reports.ts";
import { RoomMaker } from "./room-maker.ts";
import { Runner } from "./run.ts";

/** The agent's end of its watchdog, or of its model in the simulation. */
export interface WatchdogPort {
  /** The agent may be trusted for another `ms` from now. */
  extend(ms: number): void;
  /** Resolves when the watchdog is gone, and with it the host lock. */
  readonly exited?: Promise<void>;
}

export interface AgentDeps {
  readonly config: AgentConfig;
  readonly clock: Clock;
  /** Every incarnation needs other numbers: hand on the same generator, or fork it by a name that is new each time. */
  readonly random: Random;
  readonly log: Logger;
  readonly registry: Registry;
  readonly gateway: Api<typeof AgentGatewayServiceService>;
  readonly pool: InstancePool;
  readonly journal: Journal;
  readonly watchdog: WatchdogPort;
  /** Whether the host has too little memory left: attempts are refused until it has more. Default: never. */
  readonly isShortOfMemory?: () => boolean;
  /** Called synchronously when the incarnation is over, before anything is killed. */
  readonly onFenced?: (reason: FenceReason) => void;
}

export interface Agent {
  readonly api: Api<typeof AgentServiceService>;
  /** Whether it is registered and takes work. */
  readonly isReady: boolean;
  /** 0 until it is registered. */
  readonly incarnation: number;
  /** Since the last heartbeat that was answered as valid was sent; undefined: none was. */
  readonly heartbeatAgeMs: number | undefined;
  /** Whether a scheduler has ever owned something, as far as the agent has heard. */
  readonly knowsSchedulers: boolean;
  /** Open streams of schedulers. */
  readonly streamCount: number;
  /** Attempts that run or wait for an instance. */
  readonly runningCount: number;
  /** Attempts that run, or ended and are not confirmed. */
  readonly unconfirmedCount: number;
  /** Writes what the journal holds back; called before anything reaches an instance. */
  flushJournal(): void;
  /**
   * Registers and serves until the signal aborts, then drains and deregisters. Call it once. Rejects with `Fenced`, after
   * everything was killed, or with what the registration was refused with.
   */
  run(signal: AbortSignal): Promise<void>;
}

export function createAgent(deps: AgentDeps): Agent {
  return new Incarnation(deps);
}

/** Between two looks at what a graceful stop waits for. */
const drainLookEveryMs = 50;

class Incarnation implements Agent {
  readonly api: Api<typeof AgentServiceService>;
  readonly #deps: AgentDeps;
  readonly #metrics: AgentMetrics;
  readonly #gate: Gate;
  readonly #lifeline: Lifeline;
  readonly #logs: LogUploader;
  readonly #reports: Reports;
  readonly #runner: Runner;
  readonly #forgetSettled: Loop;
  readonly #waiting = new Set<() => void>();
  #state: "new" | "registering" | "serving" | "draining" | "ended" = "new";
  #killing: Promise<void> | undefined;
  #knowsSchedulers = false;

  constructor(deps: AgentDeps) {
    this.#deps = deps;
    const { config, clock, random, log, gateway, pool, journal, watchdog } = deps;
    const metrics = agentMetrics(deps.registry);
    const time = new OwnersTime(clock);
    const gate = new Gate({
      slots: config.slots,
      instancesMax: config.instancesMax,
      entriesMax: config.tableEntriesMax,
      bytesMax: config.tableBytesMax,
      confirmedMax: config.confirmedMax,
      monotonic: () => clock.monotonic(),
    });
    const onFence = (reason: FenceReason) => this.#onFence(reason);
    this.#metrics = metrics;
    this.#gate = gate;
    this.#lifeline = new Lifeline({ config, clock, random, log, metrics, gateway, watchdog, onFence });
    this.#logs = new LogUploader({ config, clock, random: random.fork("logs"), log, metrics, gateway });
    const warmRevisions = () => this.#runner.warmRevisions();
    const beforeFrame = () => this.flushJournal();
    const isShortOfMemory = deps.isShortOfMemory ?? (() => false);
    this.#reports = new Reports({ config, clock, metrics, gate, beforeFrame, warmRevisions, isShortOfMemory });
    const onConfirmed = (attempts: readonly Attempt[]) => this.#onConfirmed(attempts);
    const roomMaker = new RoomMaker({
      clock,
      metrics,
      gate,
      stop: (attempt) => this.#runner.stop(attempt),
      isShortOfMemory,
      leavingInstances: () => pool.leavingInstances?.() ?? [],
      onChange: () => this.#reports.changed(),
    });
    this.#runner = new Runner({
      config,
      clock,
      log,
      metrics,
      gate,
      pool,
      journal,
      reports: this.#reports,
      logs: this.#logs,
      time,
      roomMaker,
    });
    const attachDeps: AttachDeps = {
      config,
      clock,
      log,
      metrics,
      gate,
      journal,
      reports: this.#reports,
      runner: this.#runner,
      roomMaker,
      time,
      ready: (signal) => this.#ready(signal),
      isTrusted: () => this.#lifeline.isTrusted(),
      isShortOfMemory,
      onConfirmed,
    };
    this.#forgetSettled = forgetSettledLoop({ config, clock, log, gate, gateway, onConfirmed });
    this.api = { attach: (input, context) => attach(attachDeps, input, context) };
  }

  get isReady(): boolean {
    return this.#state === "serving";
  }
  get incarnation(): number {
    return this.#gate.incarnation;
  }
  get heartbeatAgeMs(): number | undefined {
    return this.#lifeline.heartbeatAgeMs;
  }
  get knowsSchedulers(): boolean {
    return this.#knowsSchedulers || this.#reports.hasHadStreams;
  }
  get streamCount(): number {
    return this.#reports.streamCount;
  }
  get runningCount(): number {
    return this.#gate.runningCount;
  }
  get unconfirmedCount(): number {
    return this.#gate.count;
  }

  flushJournal(): void {
    const { journal, log } = this.#deps;
    try {
      journal.flush();
    } catch (cause) {
      // It stops nothing that was accepted: after a crash that may be repeated, as without a journal.
      this.#metrics.journalFailures.inc();
      log.error("cannot write the journal", { cause: String(cause) });
    }
  }

  #onConfirmed(attempts: readonly Attempt[]): void {
    const { journal, log } = this.#deps;
    try {
      journal.confirmed(attempts.map(({ ref }) => ref));
    } catch (cause) {
      // The next incarnation will call them lost; their rows are settled, so that their owners only confirm once more.
      log.warn("cannot write the journal", { count: attempts.length, cause: String(cause) });
      this.#metrics.journalFailures.inc();
    }
    this.#reports.changed();
  }

  async run(signal: AbortSignal): Promise<void> {
    assert(this.#state === "new", "an agent runs once; a new incarnation is a new agent");
    this.#enter("registering");
    try {
      const isOpen = await this.#register(signal);
      if (isOpen) await this.#serve(signal);
    } catch (cause) {
      if (this.#killing) await this.#awaitKilling(this.#killing);
      throw cause;
    } finally {
      this.#enter("ended");
      this.#gate.close();
      this.#reports.stop();
    }
  }

  /** False: the signal aborted. */
  async #register(signal: AbortSignal): Promise<boolean> {
    const { config, clock, journal, log } = this.#deps;
    const recovered = journal.recover();
    const registration = await this.#lifeline.register(signal);
    if (!registration) return false;
    const { incarnation, floors } = registration;
    this.#knowsSchedulers = floors.length > 0;
    const outcome = lostOutcome(
      "the agent was killed while the attempt ran, or before its outcome was recorded",
      clock.now(),
    );
    this.#gate.open({ incarnation, floors, recovered, lostOutcome: outcome });
    this.#metrics.slots.set(config.slots);
    this.#metrics.recovered.inc(recovered.length);
    // They are entries of its table until an owner has confirmed them.
    this.#reports.changed();
    log.info("agent registered", { agentId: config.agentId, incarnation, recovered: recovered.length });
    this.#enter("serving");
    return true;
  }

  async #serve(signal: AbortSignal): Promise<void> {
    const life = new AbortController();
    const { exited } = this.#deps.watchdog;
    void exited?.then(() => {
      if (!life.signal.aborted) this.#lifeline.fence("WATCHDOG");
    });
    await runAll(
      life.signal,
      (stop) => this.#lifeline.run(stop),
      (stop) => this.#logs.run(stop),
      (stop) => this.#forgetSettled(stop),
      async (stop) => {
        await aborted(AbortSignal.any([signal, stop]));
        if (!stop.aborted) await this.#drain(stop);
        life.abort();
      },
    );
  }

  /** Stop taking work, let it finish, hand back the rest, see everything confirmed, leave. */
  async #drain(stop: AbortSignal): Promise<void> {
    const { config, log, pool } = this.#deps;
    this.#enter("draining");
    this.#gate.drain();
    this.#reports.changed();
    log.info("agent drains", { agentId: config.agentId, running: this.#gate.runningCount });
    const hasEnded = () => this.#gate.runningCount === 0;
    if (!(await this.#until(hasEnded, config.drainMs, stop))) {
      log.warn("running attempts are handed back", { count: this.#gate.runningCount });
      this.#runner.handBack();
      await this.#until(hasEnded, config.killWithinMs, stop);
    }
    await this.#within(config.killWithinMs, stop, () => pool[Symbol.asyncDispose]());
    // Of what did not obey.
    await this.#within(config.killWithinMs, stop, () => pool.killAll());
    const isRecorded = () => this.#gate.count === 0 && this.#logs.isEmpty;
    if (!(await this.#until(isRecorded, config.confirmWaitMs, stop))) {
      log.warn("not everything was confirmed", { count: this.#gate.count });
    }
    if (!stop.aborted) await this.#lifeline.deregister(stop);
  }

  /** Whether the condition holds; false after `ms`, or when the signal aborts. */
  async #until(condition: () => boolean, ms: number, signal: AbortSignal): Promise<boolean> {
    const { clock } = this.#deps;
    const giveUpAt = clock.monotonic() + ms;
    while (!condition()) {
      if (signal.aborted || clock.monotonic() >= giveUpAt) return false;
      await clock.sleep(drainLookEveryMs, signal);
    }
    return true;
  }

  async #within(ms: number, signal: AbortSignal, call: () => Promise<void>): Promise<void> {
    try {
      await callWithin({ clock: this.#deps.clock, ms, signal }, call);
    } catch (cause) {
      if (!signal.aborted) this.#deps.log.warn("instances do not end", { cause: String(cause) });
    }
  }

  #onFence(reason: FenceReason): void {
    const { log, pool, journal, config, onFenced } = this.#deps;
    this.#gate.close();
    this.#reports.stop(new Fenced(reason));
    log.error("the agent is fenced and kills everything", { agentId: config.agentId, reason });
    onFenced?.(reason);
    this.#killing = pool.killAll();
    try {
      journal.reset();
    } catch (cause) {
      log.error("cannot reset the journal", { cause: String(cause) });
    }
  }

  /** Until everything is gone, or for as long as it may take; then the watchdog does it. */
  async #awaitKilling(killing: Promise<void>): Promise<void> {
    await this.#within(this.#deps.config.killWithinMs, new AbortController().signal, () => killing);
  }

  #enter(state: "registering" | "serving" | "draining" | "ended"): void {
    this.#state = state;
    for (const wake of [...this.#waiting]) wake();
  }

  async #ready(signal: AbortSignal): Promise<void> {
    while (this.#state === "new" || this.#state === "registering") {
      if (signal.aborted) return;
      await new Promise<void>((resolve) => {
        const wake = () => {
          this.#waiting.delete(wake);
          signal.removeEventListener("abort", wake);
          resolve();
        };
        this.#waiting.add(wake);
        signal.addEventListener("abort", wake, { once: true });
      });
    }
    if (this.#state === "ended" || this.#gate.isShut) throw gone();
  }
}

function gone(): AppError {
  return new AppError("unavailable", "AGENT_STOPPED", "this incarnation of the agent is over");
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
