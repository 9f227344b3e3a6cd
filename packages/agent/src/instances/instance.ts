// One instance: a process of one revision of a function, from its start until nothing of it is left.
//
//   starting ── ready ──▶ serving ── retired (idle, evicted, timed out, stopped, crashed) ──▶ ending ──▶ gone
//
// Only `live` moves it along; everything else asks for an end by `destroy`. A request ends by the runner's frame, or
// with the process. "Timed out" and "stopped" are verdicts that are pronounced at once but told only when the request
// has really ended, so that no later attempt can run beside it.
import { rm } from "node:fs/promises";
import type { CodeLease } from "../code/code-cache.ts";
import { scopeVariable } from "../watchdog/host-lock.ts";
import { killTargets } from "../watchdog/kill-tree.mjs";
import type { AttemptLog, OutputStream } from "./attempt-log.ts";
import { Channel } from "./channel.ts";
import { Flight } from "./flight.ts";
import { encodeFrame, encodeInvoke, type Frame, fromRunner, toRunner } from "./frames.ts";
import { IdleTimer } from "./idle-timer.ts";
import type { Interpreter } from "./interpreters.ts";
import { type Launched, launch } from "./launch.ts";
import * as outcomes from "./outcomes.ts";
import type { FunctionSpec, InstanceLimits, InstancePoolOptions, Invocation, Outcome } from "./pool.ts";
import { runnerSettings } from "./runner-settings.ts";
import { Startup, type StartupOptions } from "./startup.ts";
import type { StopSignal } from "./stop-signal.ts";
import { deferred, within } from "./within.ts";

export interface InstanceOptions extends Omit<InstancePoolOptions, "limits">, StartupOptions {
  readonly limits: InstanceLimits;
  readonly interpreter: Interpreter;
  keepsWarm(instance: Instance): boolean;
}

/** How long a runner may take to answer that it has seen a stop, before it counts as blocked. */
const [cancelAnswerMs, lastOutputMs] = [250, 500];
const frameOverheadBytes = 128 * 1024;

export class Instance {
  readonly id: string;
  /** As it was sent last; all that the process was started with is the same in every spec of a revision. */
  spec: FunctionSpec;
  usedAt: number;
  isReady = false;
  /** It takes no more requests, and ends, or has ended. */
  isRetired = false;
  readonly #options: InstanceOptions;
  readonly #flights = new Map<number, Flight>();
  readonly #startup: Startup;
  readonly #gone = deferred<void>();
  readonly #preStopDone = deferred<void>();
  readonly #stopFetch = new AbortController();
  readonly #idle: IdleTimer;
  #isFinishing = false;
  #reserved = 0;
  #lastNumber = 0;
  #launched: Launched | undefined;
  #channel: Channel | undefined;

  constructor(options: InstanceOptions) {
    this.#options = options;
    this.spec = options.spec;
    this.#startup = new Startup(options, () => void this.destroy({ runsPreStop: false }));
    this.id = `i-${options.random.hex(8)}`;
    this.usedAt = options.clock.monotonic();
    this.#idle = new IdleTimer({
      clock: options.clock,
      isIdle: () => this.isIdle,
      usedAt: () => this.usedAt,
      stays: () => options.keepsWarm(this),
      end: () => void this.destroy({ runsPreStop: true }),
    });
  }

  get hasRoom(): boolean {
    return !this.isRetired && !this.#isFinishing && this.#reserved < Math.max(1, this.spec.instanceConcurrency);
  }

  get isIdle(): boolean {
    return this.isReady && !this.isRetired && this.#reserved === 0;
  }

  /** Takes no more requests, and ends when those that it has are done. */
  finish(): void {
    this.#isFinishing = true;
    if (this.#reserved === 0) void this.destroy({ runsPreStop: true });
  }

  reserve(): void {
    this.#reserved++;
  }

  release(): void {
    this.#reserved--;
    this.usedAt = this.#options.clock.monotonic();
    if (this.#reserved > 0) return;
    if (this.#isFinishing) void this.destroy({ runsPreStop: true });
    else if (!this.isRetired) this.#idle.watch(this.spec.idleTimeoutMs);
  }

  /** Starts the process, and resolves when nothing of it is left. */
  async live(): Promise<void> {
    const lease = await this.#fetch();
    if (lease) {
      await this.#liveIn(lease);
      lease.release();
    }
    this.isRetired = true;
    this.#startup.fail(outcomes.notStarted("The instance was ended before it could start"));
    this.#gone.resolve();
  }

  /** Runs a request in a reserved slot. */
  async run(invocation: Invocation, log: AttemptLog, signal: StopSignal): Promise<Outcome> {
    if (!this.isReady) {
      const failure = await within(this.#startup.answer, signal);
      if (failure) return failure;
    }
    if (signal.aborted) return outcomes.stopped;
    if (!this.#channel || this.isRetired) return outcomes.notStarted("The instance ended before it was used");
    const { startBefore } = invocation;
    if (startBefore !== undefined && this.#options.clock.monotonic() >= startBefore) return outcomes.expired;
    return this.#fly(this.#channel, new Flight(++this.#lastNumber, invocation, log, this.#options.clock), signal);
  }

  /** Ends the process: preStop hook if asked, SIGTERM, the grace, SIGKILL. Resolves when nothing of it is left. */
  async destroy({
    runsPreStop,
    graceMs = this.#options.limits.graceMs,
  }: {
    runsPreStop: boolean;
    graceMs?: number;
  }): Promise<void> {
    this.isRetired = true;
    for (const flight of this.#flights.values()) flight.knowsOfStop = true;
    this.#idle.cancel();
    this.#stopFetch.abort();
    if (runsPreStop) await this.#preStop();
    if (this.#launched) await this.#kill(this.#launched, graceMs);
    await this.#gone.promise;
  }

  // ---- Life ----

  async #fetch(): Promise<CodeLease | undefined> {
    try {
      return await this.#options.code.acquire(this.spec.codeSha256, this.#stopFetch.signal);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      const isBad = error instanceof Error && error.name === "BadPackage";
      const invalid: Outcome = { kind: "invalid", reason: "BadPackage", message };
      this.#startup.fail(isBad ? invalid : outcomes.notStarted(`The code could not be fetched: ${message}`));
      return undefined;
    }
  }

  async #liveIn({ dir }: CodeLease): Promise<void> {
    const { guard, limits, scope } = this.#options;
    if (this.isRetired) return;
    try {
      this.#launched = launch({
        ...this.#options,
        instanceId: this.id,
        codeDir: dir,
        pidsMax: limits.pidsMax,
        scopeMarkers: { [scopeVariable]: scope },
        agentEnvironment: this.#options.environment,
        onTarget: (target) => guard.add(target),
      });
    } catch (error) {
      this.#startup.fail(outcomes.notStarted(`The process could not be started: ${String(error)}`));
      guard.remove(this.id);
      return;
    }
    this.#channel = this.#open(this.#launched, dir);
    await this.#channel.exited;
    await this.#bury(this.#launched, this.#channel);
    guard.remove(this.id);
  }

  #open(launched: Launched, codeDir: string): Channel {
    const { clock, limits } = this.#options;
    const channel = new Channel({
      launched,
      clock,
      frameBytesMax: limits.resultBytesMax + frameOverheadBytes,
      isShared: this.#isShared,
      events: {
        onSend: () => this.#options.beforeSend?.(),
        onFrame: (frame) => this.#receive(frame),
        onOutput: (stream, chunk) => this.#distribute(stream, chunk),
        onViolation: (error) => this.#onViolation(error),
      },
    });
    const settings = runnerSettings(this.#options, codeDir);
    channel.send(encodeFrame(toRunner.initialize, 0, Buffer.from(JSON.stringify(settings))));
    this.#startup.begin(limits.startTimeoutMs);
    return channel;
  }

  /** The leader has ended: nothing that it started may survive it, and what waits for it is told. */
  async #bury(launched: Launched, channel: Channel): Promise<void> {
    this.isRetired = true;
    this.#idle.cancel();
    const memoryPeakMb = launched.cgroups.memoryPeakMb();
    await this.#kill(launched, 0);
    await channel.closed(lastOutputMs);
    const now = this.#options.clock.monotonic();
    for (const flight of [...this.#flights.values()])
      this.#end(flight, outcomes.crashed(now - flight.startedAt, memoryPeakMb));
    const crash = outcomes.crashed(now - this.usedAt, memoryPeakMb);
    this.#startup.crash(crash);
    this.#preStopDone.resolve();
    await rm(launched.temporaryDir, { recursive: true, force: true }).catch(() => undefined);
  }

  async #preStop(): Promise<void> {
    if (!this.spec.preStop || !this.isReady || !this.#channel) return;
    this.#mark("FC PreStop Start RequestId:");
    this.#channel.send(encodeFrame(toRunner.preStop, 0));
    await within(this.#preStopDone.promise, undefined, this.#options.clock, this.spec.preStop.timeoutMs);
    this.#mark("FC PreStop End RequestId:");
  }

  async #kill({ target }: Launched, graceMs: number): Promise<void> {
    const { clock } = this.#options;
    await killTargets([target], { graceMs, sleep: (ms) => clock.sleep(ms), now: () => clock.monotonic() });
  }

  // ---- Requests ----

  #fly(channel: Channel, flight: Flight, signal: StopSignal): Promise<Outcome> {
    const { clock } = this.#options;
    const { invocation, number } = flight;
    const { requestId, taskId, attempt, retryCount, fenceToken } = invocation;
    const timeoutMs = Math.max(0, Math.min(this.spec.timeoutMs, (invocation.deadlineMs ?? Infinity) - clock.now()));
    const deadlineMs = clock.now() + timeoutMs;
    this.#flights.set(number, flight);
    flight.log.open(`FC Invoke Start RequestId: ${requestId}`);
    invocation.onStarted(this.id);
    const header = { requestId, taskId, attempt, retryCount, fenceToken, deadlineMs };
    channel.send(encodeInvoke(number, header, invocation.payload));

    const cancelTimer = clock.timer(timeoutMs, () => this.#timeOut(flight, timeoutMs));
    const onAbort = () => void this.#stop(flight);
    signal.addEventListener("abort", onAbort);
    flight.release = () => {
      cancelTimer();
      signal.removeEventListener("abort", onAbort);
    };
    return flight.ended;
  }

  #timeOut(flight: Flight, timeoutMs: number): void {
    if (flight.isEnding) return;
    flight.verdict ??= outcomes.timedOut(timeoutMs, this.#launched?.cgroups.memoryPeakMb() ?? 0);
    // The instance that a request has outstayed is not used again.
    this.isRetired = true;
    if (this.#isShared) void this.#endShared(flight);
    else void this.destroy({ runsPreStop: false });
  }

  async #stop(flight: Flight): Promise<void> {
    if (flight.isEnding) return;
    flight.verdict ??= outcomes.stopped;
    if (this.#isShared) return this.#endShared(flight);
    this.#channel?.send(encodeFrame(toRunner.cancel, flight.number));
    const { clock, limits } = this.#options;
    const answer = await within(Promise.race([flight.cancelSeen, flight.ended]), undefined, clock, cancelAnswerMs);
    // A handler that looks at its signal may end in order, and keeps its instance warm.
    if (answer && "listens" in answer && answer.listens) await within(flight.ended, undefined, clock, limits.graceMs);
    if (this.#flights.has(flight.number)) await this.destroy({ runsPreStop: answer !== undefined });
  }

  /** Ends one request among others. It cannot be killed alone; the instance is, when it does not even answer. */
  async #endShared(flight: Flight): Promise<void> {
    const { clock, limits } = this.#options;
    this.#channel?.send(encodeFrame(toRunner.cancel, flight.number));
    let isAnswered = false;
    void flight.cancelSeen.then(() => {
      isAnswered = true;
    });
    await within(flight.ended, undefined, clock, limits.graceMs);
    if (!this.#flights.has(flight.number)) return;
    if (!isAnswered) return this.destroy({ runsPreStop: false, graceMs: 0 });
    // Its code goes on until the others are done; then the instance ends, and it with it.
    this.isRetired = true;
    this.#end(flight, outcomes.stopped);
  }

  #answer(flight: Flight, outcome: Outcome): void {
    // It came to its own end before the stop reached it. Were it called stopped, and handed back, it would run again.
    if (outcome.kind === "succeeded" && !flight.knowsOfStop) flight.unstop();
    // The output of several requests travels with their results; that of one comes on pipes of its own.
    if (this.#isShared) this.#end(flight, outcome);
    else void this.#endAfterOutput(flight, outcome);
  }

  async #endAfterOutput(flight: Flight, outcome: Outcome): Promise<void> {
    if (flight.isEnding) return;
    flight.isEnding = true;
    // The process may end while we read: the answer that it has given still counts.
    flight.verdict ??= outcome;
    await this.#channel?.drained();
    this.#end(flight, outcome);
  }

  /** The first end counts, and a verdict counts more. */
  #end(flight: Flight, outcome: Outcome): void {
    if (!this.#flights.delete(flight.number)) return;
    flight.release();
    flight.end(flight.verdict ?? outcome);
    if (this.isRetired && this.#flights.size === 0) void this.destroy({ runsPreStop: true });
  }

  // ---- What the process says ----

  #receive({ type, request, body }: Frame): void {
    const flight = this.#flights.get(request);
    if (request === 0) this.#receiveOfInstance(type, body);
    // A request that was given up may still speak.
    else if (flight) this.#receiveOfRequest(flight, type, body);
  }

  #receiveOfRequest(flight: Flight, type: number, body: Buffer): void {
    const { resultBytesMax } = this.#options.limits;
    switch (type) {
      case fromRunner.result:
        this.#answer(flight, outcomes.succeeded(body, resultBytesMax));
        break;
      case fromRunner.failed:
        this.#answer(flight, outcomes.requestFailed(body, resultBytesMax));
        break;
      case fromRunner.log:
        flight.log.write(body[0] === 2 ? "stderr" : "stdout", body.subarray(1));
        break;
      case fromRunner.progress:
        flight.sawProgress(body);
        break;
      case fromRunner.cancelSeen:
        flight.sawCancel(body[0] === 1);
        break;
    }
  }

  #receiveOfInstance(type: number, body: Buffer): void {
    switch (type) {
      case fromRunner.loaded:
        this.#startup.loaded();
        break;
      case fromRunner.ready:
        void this.#endStart(undefined);
        break;
      case fromRunner.startFailed:
        void this.#endStart(outcomes.startFailed(body));
        break;
      case fromRunner.preStopDone:
        this.#preStopDone.resolve();
        break;
    }
  }

  async #endStart(failure: Outcome | undefined): Promise<void> {
    this.#startup.noteFailure(failure);
    await this.#channel?.drained();
    if (!failure && this.isRetired) return;
    this.isReady = !failure;
    this.#startup.end(failure);
    if (failure) await this.destroy({ runsPreStop: false });
    // The attempt that asked for it may have been stopped meanwhile.
    else if (this.#reserved === 0) this.#idle.watch(this.spec.idleTimeoutMs);
  }

  /** Raw output: with one request in flight it is that one's; with several, it is shown with each of them. */
  #distribute(stream: OutputStream, chunk: Buffer): boolean {
    if (this.#startup.stage !== "serve") {
      this.#startup.log.write(stream, chunk);
      return !this.#startup.log.isTruncated;
    }
    let isKept = false;
    for (const { log } of this.#flights.values()) {
      log.write(stream, chunk);
      isKept ||= !log.isTruncated;
    }
    return isKept;
  }

  #mark(line: string): void {
    for (const { log, invocation } of this.#flights.values()) log.mark(`${line} ${invocation.requestId}`);
  }

  #onViolation(error: unknown): void {
    const failure = outcomes.protocolViolated(String(error));
    this.#startup.fail(failure);
    for (const flight of this.#flights.values()) flight.verdict ??= failure;
    void this.destroy({ runsPreStop: false, graceMs: 0 });
  }

  get #isShared(): boolean {
    return this.spec.instanceConcurrency > 1;
  }
}
