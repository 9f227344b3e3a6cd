// The instance pool: warm processes, one kind per revision of a function.
//
// An invocation takes, in this order: a free slot of a warm instance (the one used last, so that the others can idle
// out), a free slot of one that is starting, a new instance; when the host is full (in number or in memory), the place of
// the instance that has been idle longest; else that of one of the function with the most instances, once its requests are done. So a function
// with an endless backlog keeps nobody else out.
import type { Clock, Random } from "@sluice/core";
import type { CodeSource } from "../code/code-cache.ts";
import type { Guard } from "../watchdog/guard.ts";
import { AttemptLog } from "./attempt-log.ts";
import type { Cgroups } from "./cgroup.ts";
import { HostRoom, type HostRoomOptions } from "./host-room.ts";
import { Instance } from "./instance.ts";
import { Interpreters } from "./interpreters.ts";
import type { FunctionSpec, Invocation, Outcome } from "./invocation.ts";
import { expired, notStarted, stopped } from "./outcomes.ts";
import type { StopSignal } from "./stop-signal.ts";

export * from "./invocation.ts";

/** Runs attempts in instances. */
export interface InstancePool extends AsyncDisposable {
  /**
   * Never rejects. When it resolves, nothing of the attempt runs any more. One exception: a request in an instance that
   * it shares with others (`instanceConcurrency` > 1) cannot be killed alone; when it times out or is stopped and
   * ignores `context.signal` beyond the grace, its code may go on until the others are done and the instance ends.
   */
  run(spec: FunctionSpec, invocation: Invocation, signal: StopSignal): Promise<Outcome>;
  /** A free slot of a running instance, for placement. */
  hasWarm(revision: number): boolean;
  /** Processes, including those that are starting or ending. */
  readonly instanceCount: number;
  /** Ids of instances that end, for attempts that wait, as soon as what they run has ended. Default: none. */
  leavingInstances?(): readonly string[];
  /** SIGTERM, the grace, SIGKILL for everything; resolves when nothing is left. The pool takes no more work. */
  killAll(): Promise<void>;
  /** Like `killAll`, but idle instances get their preStop hooks. */
  [Symbol.asyncDispose](): Promise<void>;
}

export interface InstancePoolOptions extends HostRoomOptions {
  readonly clock: Clock;
  /** For instance ids. */
  readonly random: Random;
  readonly code: CodeSource;
  readonly guard: Guard;
  readonly cgroups: Cgroups;
  /** `scopeOf(dataDir)`: marks every process, so that a later agent finds what this one left behind. */
  readonly scope: string;
  /** Temporary folders of the instances are made here. */
  readonly workDir: string;
  /** The agent's environment; only PATH, HOME, TZ and LANG of it are handed on. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Runtime → path of its interpreter, where the search in PATH would choose wrongly. */
  readonly interpreters?: Readonly<Record<string, string>>;
  readonly limits?: Partial<InstanceLimits>;
  /** Called before attempts reach their process, once for many. */
  readonly beforeSend?: () => void;
}

export interface InstanceLimits {
  /** Between SIGTERM and SIGKILL, and for a handler to obey its `signal`. */
  readonly graceMs: number;
  /** From the start of a process until its module is loaded. */
  readonly startTimeoutMs: number;
  readonly resultBytesMax: number;
  readonly logBytesMax: number;
  /** Processes and threads of one instance, where cgroups can limit them. */
  readonly pidsMax: number;
  /** One idle instance of a latency-sensitive function is kept so long, unless others need its place. */
  readonly keptWarmMs: number;
}

export const defaultLimits: InstanceLimits = {
  graceMs: 3_000,
  startTimeoutMs: 60_000,
  resultBytesMax: 256 * 1024,
  logBytesMax: 1024 * 1024,
  pidsMax: 512,
  keptWarmMs: 3_600_000,
};

export function createInstancePool(options: InstancePoolOptions): InstancePool {
  return new ProcessPool(options);
}

/** A function with nothing takes the only instance of another one after so long: else two would take turns at once. */
const patienceMs = 1_000;

interface Waiter {
  readonly spec: FunctionSpec;
  /** Monotonic. */
  readonly since: number;
  start(): Instance;
  resolve(instance: Instance | undefined): void;
}

class ProcessPool implements InstancePool {
  readonly #options: InstancePoolOptions;
  readonly #limits: InstanceLimits;
  readonly #interpreters: Interpreters;
  readonly #instances = new Map<string, Set<Instance>>();
  readonly #waiters = new Set<Waiter>();
  /** How many of them there are of each function. */
  readonly #waiting = new Map<string, number>();
  readonly #room: HostRoom;
  /** Instances that make room. */
  readonly #leaving = new Set<Instance>();
  #isClosed = false;

  constructor(options: InstancePoolOptions) {
    this.#options = options;
    this.#limits = { ...defaultLimits, ...options.limits };
    this.#interpreters = new Interpreters(options.interpreters);
    this.#room = new HostRoom(options);
  }

  get instanceCount(): number {
    return this.#room.count;
  }

  hasWarm(revision: number): boolean {
    return this.#all().some((instance) => instance.spec.revision === revision && instance.isReady && instance.hasRoom);
  }

  leavingInstances(): readonly string[] {
    return [...this.#leaving].map(({ id }) => id);
  }

  async run(spec: FunctionSpec, invocation: Invocation, signal: StopSignal): Promise<Outcome> {
    const log = new AttemptLog(invocation.onLog.bind(invocation), this.#limits.logBytesMax);
    const instance = this.#warm(spec) ?? (await this.#acquire(spec, invocation, log, signal));
    if (!(instance instanceof Instance)) return instance;
    instance.spec = spec;
    try {
      return await instance.run(invocation, log, signal);
    } finally {
      instance.release();
      if (this.#waiters.size > 0) this.#handOn(instance);
    }
  }

  async killAll(): Promise<void> {
    this.#close();
    await Promise.all(this.#all().map((instance) => instance.destroy({ runsPreStop: false })));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#close();
    await Promise.all(this.#all().map((instance) => instance.destroy({ runsPreStop: instance.isIdle })));
  }

  /** Takes a slot that is free now. */
  #warm(spec: FunctionSpec): Instance | undefined {
    if (this.#isClosed) return undefined;
    let best: Instance | undefined;
    for (const instance of this.#instances.get(keyOf(spec)) ?? []) {
      if (!instance.hasRoom) continue;
      const isBetter =
        !best ||
        (instance.isReady && !best.isReady) ||
        (instance.isReady === best.isReady && instance.usedAt > best.usedAt);
      if (isBetter) best = instance;
    }
    best?.reserve();
    return best;
  }

  /** Waits for a slot, of an instance that it may have to start. */
  async #acquire(
    spec: FunctionSpec,
    { requestId: startRequestId, startBefore }: Invocation,
    log: AttemptLog,
    signal: StopSignal,
  ): Promise<Instance | Outcome> {
    const interpreter = await this.#interpreters.find(spec.runtime);
    if ("missing" in interpreter) return { kind: "invalid", reason: "InvalidFunction", message: interpreter.missing };
    if (signal.aborted) return stopped;
    const { clock } = this.#options;
    let isExpired = false;
    const instance = await new Promise<Instance | undefined>((resolve) => {
      const waiter: Waiter = {
        spec,
        since: this.#options.clock.monotonic(),
        start: () => {
          const keepsWarm = (instance: Instance) => this.#keepsWarm(instance);
          const own = { limits: this.#limits, spec, interpreter, log, startRequestId, keepsWarm };
          return this.#start(new Instance({ ...this.#options, ...own }));
        },
        resolve: (slot) => {
          cancelTimer?.();
          signal.removeEventListener("abort", onAbort);
          if (this.#waiters.delete(waiter)) this.#countWaiting(spec, -1);
          resolve(slot);
        },
      };
      const onAbort = () => waiter.resolve(undefined);
      const onExpiry = () => {
        isExpired = true;
        onAbort();
      };
      const cancelTimer =
        startBefore === undefined ? undefined : clock.timer(Math.max(0, startBefore - clock.monotonic()), onExpiry);
      signal.addEventListener("abort", onAbort);
      // Behind others of its kind there is nothing for it that they have not been refused.
      const isBehind = this.#oldestIfAlone(spec) !== undefined;
      this.#waiters.add(waiter);
      this.#countWaiting(spec, 1);
      if (!isBehind) this.#serve();
    });
    if (instance) return instance;
    if (signal.aborted) return stopped;
    return isExpired ? expired : notStarted("The agent is shutting down");
  }

  /** After a release. Usually one function has attempts that wait: the slot goes to the oldest, without a look at all. */
  #handOn(instance: Instance): void {
    const next = this.#isClosed || !instance.hasRoom ? undefined : this.#oldestIfAlone(instance.spec);
    if (next) {
      instance.reserve();
      next.resolve(instance);
    } else this.#serve();
  }

  /** Who waits longest, if everybody waits for this function. */
  #oldestIfAlone(spec: FunctionSpec): Waiter | undefined {
    if (this.#waiting.size !== 1 || !this.#waiting.has(keyOf(spec))) return undefined;
    return this.#waiters.values().next().value;
  }

  #countWaiting(spec: FunctionSpec, change: 1 | -1): void {
    const key = keyOf(spec);
    const count = (this.#waiting.get(key) ?? 0) + change;
    if (count > 0) this.#waiting.set(key, count);
    else this.#waiting.delete(key);
  }

  /** Gives free slots to those who wait, oldest first, and free places to the functions with the fewest instances. */
  #serve(): void {
    for (const waiter of [...this.#waiters]) {
      const instance = this.#isClosed ? undefined : this.#warm(waiter.spec);
      if (instance || this.#isClosed) waiter.resolve(instance);
    }
    for (let next = this.#neediest(); next; next = this.#neediest()) next.resolve(next.start());
    const wanting = [...this.#waiters].filter(({ spec }) => this.#countOf(spec) < spec.instancesMax);
    // Those with the fewest first: one that gets nothing more is in nobody's way.
    wanting.sort((one, other) => this.#countOf(one.spec) - this.#countOf(other.spec));
    for (const waiter of wanting.slice(this.#leaving.size)) if (!this.#makeRoom(waiter)) return;
  }

  /** Who may start an instance now; of equals the one that waits longest. A large one that waits long is not overtaken. */
  #neediest(): Waiter | undefined {
    let neediest: Waiter | undefined;
    for (const waiter of this.#waiters) {
      if (!this.#mayStart(waiter.spec)) {
        if (this.#hasNothing(waiter)) return undefined;
        continue;
      }
      if (!neediest || this.#countOf(waiter.spec) < this.#countOf(neediest.spec)) neediest = waiter;
    }
    return neediest;
  }

  /** Its function has no instance, and has waited for long. */
  #hasNothing({ spec, since }: Waiter): boolean {
    return this.#countOf(spec) === 0 && this.#options.clock.monotonic() - since >= patienceMs;
  }

  #mayStart(spec: FunctionSpec): boolean {
    return this.#room.fits(spec) && this.#countOf(spec) < spec.instancesMax;
  }

  #start(instance: Instance): Instance {
    const key = keyOf(instance.spec);
    const siblings = this.#instances.get(key) ?? new Set();
    this.#instances.set(key, siblings.add(instance));
    this.#room.take(instance.spec);
    instance.reserve();
    void instance.live().then(() => {
      siblings.delete(instance);
      if (siblings.size === 0 && this.#instances.get(key) === siblings) this.#instances.delete(key);
      this.#room.giveBack(instance.spec);
      this.#leaving.delete(instance);
      this.#serve();
    });
    return instance;
  }

  /** Chooses an instance to leave; its place is free when it is gone. */
  #makeRoom(waiter: Waiter): boolean {
    const staying = this.#all().filter((instance) => !this.#leaving.has(instance));
    const idle = staying.filter((instance) => instance.isIdle).sort((one, other) => one.usedAt - other.usedAt);
    const leaver = idle[0] ?? this.#richest(waiter);
    if (!leaver) return false;
    this.#leaving.add(leaver);
    leaver.finish();
    return true;
  }

  /** An instance of the function with the most, if that has more than its share. */
  #richest(waiter: Waiter): Instance | undefined {
    let most: Instance[] = [];
    for (const siblings of this.#instances.values()) {
      const staying = [...siblings].filter((instance) => !this.#leaving.has(instance));
      if (staying.length > most.length) most = staying;
    }
    if (most.length <= this.#countOf(waiter.spec) + 1 && !this.#hasNothing(waiter)) return undefined;
    return most.find((instance) => instance.isReady);
  }

  /** The last one of the newest revision of a latency-sensitive function that was in use lately. */
  #keepsWarm(instance: Instance): boolean {
    const { spec, usedAt } = instance;
    const isRecent = this.#options.clock.monotonic() - usedAt < this.#limits.keptWarmMs;
    if (!spec.latencySensitive || !isRecent || this.#isClosed) return false;
    const others = this.#all().filter((other) => other !== instance && functionOf(other.spec) === functionOf(spec));
    // One that ends is none: of two that were idle at the same time the second stays.
    return !others.some(
      (other) => other.spec.revision > spec.revision || (other.spec.revision === spec.revision && !other.isRetired),
    );
  }

  #close(): void {
    this.#isClosed = true;
    this.#serve();
  }

  #countOf(spec: FunctionSpec): number {
    return this.#instances.get(keyOf(spec))?.size ?? 0;
  }

  #all(): Instance[] {
    return [...this.#instances.values()].flatMap((siblings) => [...siblings]);
  }
}

/** The account is part of it: a process must never serve two tenants, whatever the numbers say. */
function keyOf(spec: FunctionSpec): string {
  return `${functionOf(spec)}\n${spec.revision}`;
}

function functionOf({ accountId, functionName }: FunctionSpec): string {
  return `${accountId}\n${functionName}`;
}
