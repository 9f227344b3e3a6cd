// The agent's surroundings, as tests need them: a pool and a gateway that do what they are told, and owners on streams.
import { type Channel, type Clock, createChannel } from "@sluice/core";
import { FakeClock, seededRandom } from "@sluice/core/testing";
import type {
  Attached,
  AttemptEnded,
  AttemptRef,
  AttemptRefused,
  AttemptStarted,
  DispatchAttempt,
  FromAgent,
  FunctionSpec,
  ToAgent,
} from "@sluice/protocol";
import type { Logger } from "@sluice/runtime";
import { Registry } from "prom-client";
import { type Agent, type AgentDeps, createAgent } from "./agent.ts";
import { type AgentConfig, defaultAgentConfig } from "./config.ts";
import { FakeGateway } from "./fake-gateway.ts";
import type { InstancePool, Invocation, Outcome, FunctionSpec as PoolSpec } from "./instances/pool.ts";
import type { StopSignal } from "./instances/stop-signal.ts";
import { createMemoryJournal, type Journal } from "./journal.ts";

export const silentLog: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silentLog,
};

export const aConfig = (overrides: Partial<AgentConfig> = {}): AgentConfig => ({
  ...defaultAgentConfig,
  agentId: "agent-1",
  address: "127.0.0.1:1",
  joinToken: "token",
  slots: 10,
  ...overrides,
});

/** An attempt in the pool. */
export interface Flight {
  readonly spec: PoolSpec;
  readonly invocation: Invocation;
  readonly signal: StopSignal;
  end(outcome: Outcome): void;
}

/** Attempts run until the test ends them, the signal stops them, or everything is killed. */
export class FakePool implements InstancePool {
  /** Every attempt that was ever started. */
  readonly flights: Flight[] = [];
  readonly warm = new Set<number>();
  /** Called by `run`, to fail it. */
  onRun: () => void = () => undefined;
  /** What is asked to stop stops. */
  obeys = true;
  killCount = 0;
  disposeCount = 0;
  readonly #running = new Set<Flight>();

  async run(spec: PoolSpec, invocation: Invocation, signal: StopSignal): Promise<Outcome> {
    this.onRun();
    return new Promise((resolve) => {
      const flight: Flight = {
        spec,
        invocation,
        signal,
        end: (outcome) => {
          this.#running.delete(flight);
          resolve(outcome);
        },
      };
      this.flights.push(flight);
      this.#running.add(flight);
      signal.addEventListener("abort", () => this.obeys && flight.end({ kind: "stopped" }));
    });
  }

  get runningCount(): number {
    return this.#running.size;
  }
  get instanceCount(): number {
    return this.#running.size;
  }
  hasWarm(revision: number): boolean {
    return this.warm.has(revision);
  }
  async killAll(): Promise<void> {
    this.killCount++;
    for (const flight of [...this.#running]) flight.end(aFailure({ message: "killed" }));
  }
  async [Symbol.asyncDispose](): Promise<void> {
    this.disposeCount++;
  }

  flight(seq: number): Flight {
    const found = this.flights.find(({ invocation }) => invocation.taskId === `task-${seq}`);
    if (!found) throw new Error(`task-${seq} was never started`);
    return found;
  }
}

export function aFailure(overrides: Partial<Extract<Outcome, { kind: "failed" }>> = {}): Outcome {
  return {
    kind: "failed",
    errorType: "UnhandledInvocationError",
    message: "oops",
    body: Buffer.from("{}"),
    class: "retryable",
    ...overrides,
  };
}

export const aSuccess = (text = "ok"): Outcome => ({ kind: "succeeded", result: Buffer.from(text) });

export interface World extends AsyncDisposable {
  readonly clock: FakeClock;
  readonly pool: FakePool;
  readonly gateway: FakeGateway;
  readonly journal: Journal;
  readonly agent: Agent;
  /** What the watchdog was told, in ms. */
  readonly extensions: number[];
  /** How `run` ended, once it has. */
  readonly ended: () => { readonly cause: unknown } | undefined;
  stop(): void;
}

export interface WorldOptions extends Partial<Omit<AgentDeps, "config" | "pool" | "gateway" | "clock">> {
  readonly config?: Partial<AgentConfig>;
  readonly clock?: FakeClock;
  /** What the agent sees of it; default: the same. */
  readonly agentClock?: Clock;
  readonly pool?: FakePool;
  readonly gateway?: FakeGateway;
  readonly seed?: number;
}

/** An agent that runs on a fake clock; registered, unless its gateway does not let it. */
export async function startWorld({ seed = 1, config, ...options }: WorldOptions = {}): Promise<World> {
  const clock = options.clock ?? new FakeClock();
  const pool = options.pool ?? new FakePool();
  const gateway = options.gateway ?? new FakeGateway(clock);
  const journal = options.journal ?? createMemoryJournal();
  const extensions: number[] = [];
  const agent = createAgent({
    random: seededRandom(seed),
    log: silentLog,
    registry: new Registry(),
    watchdog: { extend: (ms) => extensions.push(ms) },
    ...options,
    config: aConfig(config),
    clock: options.agentClock ?? clock,
    pool,
    gateway,
    journal,
  });
  const stopping = new AbortController();
  let ended: { readonly cause: unknown } | undefined;
  const running = agent.run(stopping.signal).then(
    () => {
      ended = { cause: undefined };
    },
    (cause: unknown) => {
      ended = { cause };
    },
  );
  await clock.advance(1);
  return {
    clock,
    pool,
    gateway,
    journal,
    agent,
    extensions,
    ended: () => ended,
    stop: () => stopping.abort(),
    async [Symbol.asyncDispose]() {
      gateway.answer = "dead";
      stopping.abort();
      await clock.runUntil(() => ended !== undefined);
      await running;
    },
  };
}

export interface OwnerOptions {
  readonly epoch?: number;
  readonly session?: number;
  readonly prefix?: string;
  readonly incarnation?: number;
}

/** A scheduler on a stream of its own. */
export class Owner {
  readonly frames: FromAgent[] = [];
  /** How its stream ended, once it has. */
  ended: { readonly cause: unknown } | undefined;
  readonly #world: World;
  readonly #options: OwnerOptions;
  readonly #input: Channel<ToAgent> = createChannel(100_000);
  readonly #call = new AbortController();
  #isPaused = false;
  #resume: () => void = () => undefined;
  #sentFunctions = false;

  constructor(world: World, options: OwnerOptions = {}) {
    this.#world = world;
    this.#options = options;
    void this.#read();
  }

  async #read(): Promise<void> {
    try {
      for await (const frame of this.#world.agent.api.attach(this.#input, { signal: this.#call.signal })) {
        this.frames.push(frame);
        while (this.#isPaused) {
          await new Promise<void>((resolve) => {
            this.#resume = resolve;
          });
        }
      }
      this.ended = { cause: undefined };
    } catch (cause) {
      this.ended = { cause };
    }
  }

  async send(frame: ToAgent["frame"]): Promise<void> {
    this.#input.push({ frame });
    await this.#world.clock.settle();
  }

  async attach(): Promise<Attached | undefined> {
    const { epoch = 1, prefix = "" } = this.#options;
    const before = this.of("attached").length;
    const partitions = [{ queue: "q", prefix, epoch }];
    await this.send({ $case: "attach", value: { ...this.#head, partitions, schedulerId: "s", nowMs: 0 } });
    return this.of("attached")[before];
  }

  async dispatch(...orders: (Partial<DispatchAttempt> & { readonly seq: number })[]): Promise<void> {
    const functions = this.#sentFunctions ? [] : [aSpec()];
    this.#sentFunctions = true;
    const attempts = orders.map((order) => this.#order(order));
    await this.send({ $case: "dispatch", value: { ...this.#head, functions, attempts, nowMs: 0 } });
  }

  async stop(...seqs: number[]): Promise<void> {
    await this.send({ $case: "stop", value: { ...this.#head, epoch: this.#epoch, attempts: seqs.map(refOf) } });
  }

  async confirm(...seqs: number[]): Promise<void> {
    await this.send({ $case: "confirm", value: { ...this.#head, epoch: this.#epoch, attempts: seqs.map(refOf) } });
  }

  /** The stream breaks. */
  async breakOff(): Promise<void> {
    this.#call.abort(new DOMException("broken", "AbortError"));
    await this.#world.clock.settle();
  }

  endInput(): void {
    this.#input.close();
  }

  pause(): void {
    this.#isPaused = true;
  }
  async resume(): Promise<void> {
    this.#isPaused = false;
    this.#resume();
    await this.#world.clock.settle();
  }

  of(kind: "attached"): Attached[];
  of<T>(kind: string): T[];
  of(kind: string): unknown[] {
    return this.frames.flatMap(({ frame }) => (frame?.$case === kind ? [frame.value] : []));
  }
  get endedAttempts(): AttemptEnded[] {
    return this.of<{ attempts: AttemptEnded[] }>("ended").flatMap(({ attempts }) => attempts);
  }
  get startedAttempts(): AttemptStarted[] {
    return this.of<{ attempts: AttemptStarted[] }>("started").flatMap(({ attempts }) => attempts);
  }
  get refusedAttempts(): AttemptRefused[] {
    return this.of<{ attempts: AttemptRefused[] }>("refused").flatMap(({ attempts }) => attempts);
  }

  get #epoch(): number {
    return this.#options.epoch ?? 1;
  }
  get #head() {
    const { session = 1, incarnation = this.#world.agent.incarnation } = this.#options;
    return { session, incarnation };
  }

  #order(order: Partial<DispatchAttempt> & { readonly seq: number }): DispatchAttempt {
    return {
      attempt: 1,
      queue: "q",
      lane: 0,
      epoch: this.#epoch,
      expiresAtMs: 0,
      functionRevision: 1,
      taskId: `task-${order.seq}`,
      retries: 0,
      payload: Buffer.from(`input ${order.seq}`),
      limitsVersion: [],
      ...{ priority: 2, preemptible: false },
      ...order,
    };
  }
}

export function refOf(seq: number): AttemptRef {
  return { seq, attempt: 1, queue: "q", lane: 0 };
}

export function aSpec(overrides: Partial<FunctionSpec> = {}): FunctionSpec {
  return {
    revision: 1,
    accountId: "main",
    name: "echo",
    runtime: "nodejs20",
    handler: "index.handler",
    codeSha256: "00",
    timeoutMs: 60_000,
    memoryMb: 128,
    instanceConcurrency: 1,
    instancesMax: 10,
    environment: {},
    ...{ initializer: "", initializerTimeoutMs: 0, preStop: "", preStopTimeoutMs: 0 },
    idleTimeoutMs: 60_000,
    latencySensitive: false,
    ...overrides,
  };
}
