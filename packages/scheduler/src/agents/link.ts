// One stream to one incarnation of an agent.
//
//   connecting ──stream open──▶ open ──broken, silent or closed──▶ waiting (back-off) ──▶ connecting … until closed
//
// On an open stream each partition is attached under a session of its own; an answer makes it usable for that partition.
// A new stream attaches every partition anew, and everything that an older stream still delivers is dropped here, as the
// agent drops what an older session still sends.
import {
  AppError,
  type Channel,
  type Clock,
  covers,
  createChannel,
  type EpochMs,
  laneCount,
  lanesOf,
  type OwnedPartition,
  partitionKey,
  type Random,
} from "@sluice/core";
import type {
  AgentServiceService,
  AgentStatus,
  Api,
  Attached,
  AttemptEnded,
  AttemptRef,
  AttemptRefused,
  AttemptStarted,
  DispatchAttempt,
  FlowAnswer,
  FlowQuestion,
  FromAgent,
  InventoryEntry,
  RoomAnswer,
  ToAgent,
} from "@sluice/protocol";
import type { Logger } from "@sluice/runtime";
import type { AgentRecord, FunctionRecord } from "@sluice/store";
import { AgentRoom, type RoomWanted } from "./agent-room.ts";
import { functionSpec } from "./function-spec.ts";

export type AgentApi = Api<typeof AgentServiceService>;

/** What a partition hears from its agents. Called synchronously, one frame after the other. */
export interface PartitionPort {
  readonly owner: OwnedPartition;
  /** The store's time. */
  now(): EpochMs;
  onAttached(link: AgentLink, inventory: readonly InventoryEntry[]): void;
  onEnded(link: AgentLink, attempts: readonly AttemptEnded[]): void;
  onStarted(link: AgentLink, attempts: readonly AttemptStarted[]): void;
  onRefused(link: AgentLink, attempts: readonly AttemptRefused[]): void;
  /** The agent has seen a higher epoch: somebody else owns this partition. */
  onStale(): void;
  /** A link has room again, or came or went. */
  onRoom(): void;
  /** What runs of limited flows outside their lanes. */
  onFlowsAnswered?(link: AgentLink, answers: readonly FlowAnswer[]): void;
  /** What becomes of questions for room, of any partition. */
  onRoomAnswer?(link: AgentLink, answer: RoomAnswer): void;
  /** The agent is dead, and no incarnation of it lives. */
  onAgentDead(agentId: string): void;
}

/** Frames to an agent that may wait for a slow stream; a stream that holds more is broken off and attached again. */
const framesMax = 10_000;
const pingEveryMs = 2_000;
const silentMaxMs = 6_000;
const backoffFirstMs = 100;
const backoffMaxMs = 2_000;

export interface AgentLinkDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly schedulerId: string;
  readonly connect: (address: string) => { readonly api: AgentApi; close(): void };
  /** Grows for the life of the scheduler. */
  readonly nextSession: () => number;
}

interface PartitionState {
  readonly port: PartitionPort;
  session: number;
  attached: boolean;
  /** By revision: when the function whose spec was sent in this session was last changed. */
  readonly sent: Map<number, EpochMs>;
}

export class AgentLink extends AgentRoom {
  readonly agentId: string;
  readonly incarnation: number;
  readonly address: string;
  /** Whether it answers questions about flows; it has said so with its first answer to an attach. */
  answersFlows = false;
  /** When the agent was last heard of, monotonic. */
  lastHeardAt: number;
  #out: Channel<ToAgent> | undefined;
  #generation = 0;
  /** Why the last stream broke, if that was told to people. */
  #toldReason: string | undefined;
  readonly #partitions = new Map<string, PartitionState>();
  /** The same by queue and lane. */
  readonly #byLane = new Map<string, (PartitionState | undefined)[]>();
  readonly #deps: AgentLinkDeps;

  constructor(deps: AgentLinkDeps, record: AgentRecord) {
    super(deps.clock, record.slots);
    this.#deps = deps;
    this.agentId = record.agentId;
    this.incarnation = record.incarnation;
    this.address = record.address;
    this.lastHeardAt = deps.clock.monotonic();
  }

  /** A stream to it is open, as far as is known. */
  get isOpen(): boolean {
    return this.#out !== undefined;
  }

  /** It said that it is full: it is given nothing for `ms`. */
  pause(ms: number): void {
    const { clock } = this.#deps;
    this.pausedUntil = clock.monotonic() + ms;
    clock.timer(ms, () => {
      for (const { port } of this.#partitions.values()) port.onRoom();
    });
  }

  /** @param key of the partition. */
  isAttached(key: string): boolean {
    return this.#partitions.get(key)?.attached === true;
  }

  /** Attaches a partition now and on every stream to come. */
  attach(port: PartitionPort): void {
    const state: PartitionState = { port, session: 0, attached: false, sent: new Map() };
    this.#partitions.set(partitionKey(port.owner), state);
    this.#indexLanes();
    this.#sendAttach([state]);
  }

  detach(port: PartitionPort): void {
    const key = partitionKey(port.owner);
    if (this.#partitions.get(key)?.port === port) this.#partitions.delete(key);
    this.#indexLanes();
  }

  /** False: not attached (any more); nothing was sent. */
  dispatch(port: PartitionPort, attempts: DispatchAttempt[], functions: Iterable<FunctionRecord>): boolean {
    const state = this.#attachedState(port);
    if (!state) return false;
    const unsent = [...functions].filter(({ revision, updatedAt }) => (state.sent.get(revision) ?? -1) < updatedAt);
    for (const { revision, updatedAt } of unsent) state.sent.set(revision, updatedAt);
    const { session } = state;
    const { incarnation } = this;
    const value = { session, incarnation, functions: unsent.map(functionSpec), attempts, nowMs: port.now() };
    return this.#push({ frame: { $case: "dispatch", value } });
  }

  /** The agent does not know a function of this session: send the specs again. */
  forgetSentFunctions(port: PartitionPort): void {
    this.#partitions.get(partitionKey(port.owner))?.sent.clear();
  }

  /** False: there is no stream. */
  ask(flows: FlowQuestion[]): boolean {
    return this.#push({ frame: { $case: "askFlows", value: { incarnation: this.incarnation, flows } } });
  }

  /** Asks for room. The number of the question; undefined: nothing was asked. */
  makeRoom(port: PartitionPort, wanted: RoomWanted): number | undefined {
    const state = this.#attachedState(port);
    const question = state && this.nextQuestion();
    if (!state || question === undefined) return undefined;
    const { queue, epoch } = port.owner;
    const value = { session: state.session, incarnation: this.incarnation, question, queue, epoch, ...wanted };
    return this.#push({ frame: { $case: "makeRoom", value } }) ? question : undefined;
  }

  stop(port: PartitionPort, attempts: AttemptRef[]): boolean {
    return this.#sendRefs("stop", port, attempts);
  }

  confirm(port: PartitionPort, attempts: AttemptRef[]): boolean {
    return this.#sendRefs("confirm", port, attempts);
  }

  /** Connects again and again until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    let backoffMs = backoffFirstMs;
    while (!signal.aborted) {
      const heardBefore = this.lastHeardAt;
      await this.#stream(signal);
      if (signal.aborted) return;
      backoffMs = this.lastHeardAt > heardBefore ? backoffFirstMs : Math.min(backoffMs * 2, backoffMaxMs);
      await this.#deps.clock.sleep(backoffMs * (0.5 + this.#deps.random.next() / 2), signal);
    }
  }

  async #stream(signal: AbortSignal): Promise<void> {
    const { clock } = this.#deps;
    const generation = ++this.#generation;
    const out = createChannel<ToAgent>(framesMax);
    const controller = new AbortController();
    const abort = () => controller.abort(new DOMException("the link closed", "AbortError"));
    signal.addEventListener("abort", abort, { once: true });
    let client: ReturnType<AgentLinkDeps["connect"]> | undefined;
    let silentSince = clock.monotonic();
    const watch = this.#watchSilence(controller, () => silentSince);
    try {
      client = this.#deps.connect(this.address);
      this.#out = out;
      this.#sendAttach([...this.#partitions.values()]);
      for await (const frame of client.api.attach(out, { signal: controller.signal })) {
        if (controller.signal.aborted || generation !== this.#generation) break;
        silentSince = clock.monotonic();
        this.lastHeardAt = silentSince;
        this.#receive(frame);
      }
    } catch (cause) {
      this.#tellBroken(cause);
    } finally {
      this.#out = undefined;
      out.close();
      abort();
      signal.removeEventListener("abort", abort);
      await watch;
      client?.close();
      for (const state of this.#partitions.values()) {
        state.attached = false;
        state.port.onRoom();
      }
    }
  }

  /** A stream breaks now and then; one that the other side does not want is for people, and told once. */
  #tellBroken(cause: unknown): void {
    const { log } = this.#deps;
    const { code, reason } = cause instanceof AppError ? cause : { code: undefined, reason: undefined };
    const fields = { agentId: this.agentId, address: this.address, reason, cause: String(cause) };
    const isForPeople =
      code === "unauthenticated" ||
      code === "forbidden" ||
      /^(?:TLS|CERTIFICATE|CLIENT_CERTIFICATE)_/.test(reason ?? "");
    if (isForPeople && reason !== this.#toldReason) log.warn("cannot attach to an agent", fields);
    else log.debug("agent stream broke", fields);
    this.#toldReason = isForPeople ? reason : undefined;
  }

  /** Pings, and breaks off a stream on which nothing comes back: a half-open link shows no error by itself. */
  async #watchSilence(controller: AbortController, silentSince: () => number): Promise<void> {
    const { clock } = this.#deps;
    while (!controller.signal.aborted) {
      await clock.sleep(pingEveryMs, controller.signal);
      if (clock.monotonic() - silentSince() > silentMaxMs) {
        controller.abort(new AppError("unavailable", "AGENT_SILENT", `nothing heard for ${silentMaxMs} ms`));
      } else this.#push({ frame: { $case: "ping", value: { session: 0 } } });
    }
  }

  #attachedState(port: PartitionPort): PartitionState | undefined {
    const state = this.#partitions.get(partitionKey(port.owner));
    return state?.attached && state.port === port ? state : undefined;
  }

  #sendAttach(states: readonly PartitionState[]): void {
    if (states.length === 0 || !this.#out) return;
    const session = this.#deps.nextSession();
    for (const state of states) {
      state.session = session;
      state.attached = false;
      state.sent.clear();
    }
    this.#push({
      frame: {
        $case: "attach",
        value: {
          session,
          incarnation: this.incarnation,
          partitions: states.map((state) => ({ ...state.port.owner })),
          schedulerId: this.#deps.schedulerId,
          nowMs: states[0]?.port.now() ?? 0,
        },
      },
    });
  }

  #sendRefs(kind: "stop" | "confirm", port: PartitionPort, attempts: AttemptRef[]): boolean {
    const state = this.#attachedState(port);
    if (!state) return false;
    const value = { session: state.session, incarnation: this.incarnation, epoch: port.owner.epoch, attempts };
    return this.#push({ frame: { $case: kind, value } });
  }

  #push(frame: ToAgent): boolean {
    if (!this.#out) return false;
    if (this.#out.push(frame)) return true;
    // The agent does not read: end this stream; the next one starts from an inventory.
    this.#out.close();
    return false;
  }

  #receive({ frame }: FromAgent): void {
    switch (frame?.$case) {
      case "attached":
        this.#receiveAttached(frame.value);
        return;
      case "started":
        this.#share(frame.value.attempts, (port, attempts) => port.onStarted(this, attempts));
        return;
      case "ended":
        this.#share(frame.value.attempts, (port, attempts) => port.onEnded(this, attempts));
        return;
      case "refused":
        this.#share(frame.value.attempts, (port, attempts) => port.onRefused(this, attempts));
        return;
      case "flowsAnswered":
        if (frame.value.incarnation !== this.incarnation) return;
        for (const { port } of this.#partitions.values()) port.onFlowsAnswered?.(this, frame.value.flows);
        return;
      case "roomAnswer":
        if (frame.value.incarnation !== this.incarnation) return;
        for (const { port } of this.#partitions.values()) port.onRoomAnswer?.(this, frame.value);
        return;
      case "status":
        this.#receiveStatus(frame.value);
        return;
      case undefined:
        // A frame of a newer version.
        return;
    }
  }

  #receiveAttached(attached: Attached): void {
    if (attached.incarnation !== this.incarnation) return;
    this.answersFlows = attached.answersFlows;
    if (attached.status) this.#receiveStatus(attached.status);
    const stale = new Set(
      attached.refused.flatMap((refused) => (refused.partition ? [partitionKey(refused.partition)] : [])),
    );
    for (const [key, state] of [...this.#partitions]) {
      if (state.session !== attached.session) continue;
      if (stale.has(key)) {
        state.port.onStale();
        continue;
      }
      state.attached = true;
      state.port.onAttached(
        this,
        attached.inventory.filter((entry) => entry.ref && belongs(state.port.owner, entry.ref)),
      );
    }
  }

  #receiveStatus(status: AgentStatus): void {
    this.followStatus(status);
    for (const { port } of this.#partitions.values()) port.onRoom();
  }

  /** Hands each partition its part of a frame. */
  #share<T extends { readonly ref?: AttemptRef | undefined }>(
    attempts: readonly T[],
    hand: (port: PartitionPort, attempts: readonly T[]) => void,
  ): void {
    const shares = new Map<PartitionPort, T[]>();
    for (const attempt of attempts) {
      const state = attempt.ref && this.#byLane.get(attempt.ref.queue)?.[attempt.ref.lane];
      if (!state?.attached) continue;
      const share = shares.get(state.port);
      if (share) share.push(attempt);
      else shares.set(state.port, [attempt]);
    }
    for (const [port, share] of shares) hand(port, share);
  }

  #indexLanes(): void {
    this.#byLane.clear();
    for (const state of this.#partitions.values()) {
      const { queue, prefix } = state.port.owner;
      const lanes = this.#byLane.get(queue) ?? new Array<PartitionState | undefined>(laneCount);
      this.#byLane.set(queue, lanes);
      const { from, until } = lanesOf(prefix);
      lanes.fill(state, from, until);
    }
  }
}

function belongs(owner: OwnedPartition, ref: AttemptRef): boolean {
  return ref.queue === owner.queue && covers(owner.prefix, ref.lane);
}
