// What the parts of the chaos harness know of each other: the arena (a cluster of which everything can be broken), the
// workload (what clients do meanwhile), scenarios (which faults, when), and the evidence that a run leaves behind.
import type { History, Violation } from "@sluice/checkers";
import type { ConnectOptions, SluiceClient } from "@sluice/client";
import type { Cluster, ClusterOptions } from "@sluice/cluster";

// ---------------------------------------------------------------------------------------------------------- the arena

/**
 * What a host must offer for some faults; a fault that it cannot do is reported as not run. `netns`: services in network
 * namespaces of their own, whose packets can be dropped one way. `tmpfs`: small disks. `pairs`: who has opened a connection
 * is known, so that the way from one scheduler to one agent can be broken.
 */
export type Capability = "netns" | "tmpfs" | "pairs";

export interface Arena extends AsyncDisposable {
  readonly cluster: Cluster;
  /** What this host can do. */
  readonly capabilities: ReadonlySet<Capability>;
  /** `api-server-0`, `scheduler-1`, `agent-0`, `etcd`, `nats-0`, `postgres`; throws for another name. */
  part(name: string): Part;
  /**
   * The way from one part to another, in the direction in which connections are opened: `client` > api-server, api-server
   * and scheduler > etcd, nats-N, postgres; scheduler > agent; agent > api-server. Throws if nobody goes that way.
   */
  link(from: string, to: string): Link;
  /** All packets of a service of `isolated`: `there` are those that it sends. Throws for another one. */
  packets(name: string): PacketFault;
  /** Writes until the small disk of a part is full, and takes that away again. Throw for a part without one. */
  fillDisk(name: string): Promise<void>;
  freeDisk(name: string): Promise<void>;
  /** Name of the service that is the leader; undefined: nobody is. */
  leader(): Promise<string | undefined>;
  /** What each scheduler owns now, by name of its service. */
  partitions(): Promise<ReadonlyMap<string, readonly PartitionName[]>>;
  /** The leases of the schedulers that are members now, and the name of the service of each; another one in each life. */
  leases(): Promise<ReadonlyMap<string, string>>;
  /** For clients: goes through the proxies of `client` > api-server. Default credential: that of the cluster's profile. */
  connect(options?: Pick<ConnectOptions, "retryTimeoutMs" | "accessKeyId" | "accessKeySecret">): SluiceClient;
  /**
   * Ends every fault of links, packets and disks, continues what was frozen, and starts what was stopped or killed; resolves
   * when all is ready.
   */
  heal(): Promise<void>;
}

export interface PartitionName {
  readonly queue: string;
  readonly prefix: string;
}

export interface Part {
  readonly name: string;
  readonly pid: number | undefined;
  /** SIGKILL; resolves when it is gone. */
  crash(): Promise<void>;
  /** SIGTERM, in order. */
  stop(): Promise<void>;
  /** Starts it again and waits until it is ready. */
  start(): Promise<void>;
  /** SIGSTOP and SIGCONT, of the process and nothing that it has started. */
  freeze(): void;
  thaw(): void;
  /** Of a service that is ready: its event loop does nothing for so long. Throws for a backend. */
  block(ms: number): void;
  /** Deletes the data of a backend that does not run. Throws for a service. */
  wipe(): Promise<void>;
}

export type Direction = "both" | "there" | "back";

/** Faults of one link; they add up, and last until `heal`. */
export interface Link {
  /** Pieces of data, and new connections, that a fault of it has kept waiting since the cluster was started. */
  readonly held: number;
  /**
   * Nothing arrives; connections stay open, and new ones are taken and never answered. What was sent arrives when it is
   * healed, as what TCP sends again would; a connection that was opened meanwhile is reset then.
   */
  cut(direction?: Direction): void;
  /** Every piece of data takes so much longer. */
  delay(ms: number): void;
  limit(bytesPerSecond: number): void;
  /** Resets every open connection, once, and says how many there were. */
  reset(): number;
  heal(): void;
}

/** As a switch or a cable that fails without a word. */
export interface PacketFault {
  /** How many were dropped since the cut, in every direction that is cut now. */
  dropped(): number;
  cut(direction?: Direction): void;
  heal(): void;
}

export type LeaseProfile = "default" | "fast";

export interface ArenaOptions extends Omit<ClusterOptions, "overrides" | "restart" | "onDataDir"> {
  /** Of the schedulers; default "default". */
  readonly leaseProfile?: LeaseProfile;
  /** Services that live in a network namespace of their own; needs `netns`. */
  readonly isolated?: readonly string[];
  /** Backends or agents whose data is on a small disk of so many MiB; needs `tmpfs`. */
  readonly smallDisks?: Readonly<Record<string, number>>;
  /** Names of protections that are taken out of the services (`test/mutations`), for negative controls. */
  readonly without?: readonly string[];
  readonly overrides?: NonNullable<ClusterOptions["overrides"]>;
}

// -------------------------------------------------------------------------------------------------------- the workload

export interface WorkloadOptions {
  readonly seed: number;
  /** Submissions per second, all accounts together; default 40. */
  readonly rate?: number;
  /** Shares of each kind of task; default the mix of `docs/chaos.md`. */
  readonly mix?: Readonly<Partial<Record<TaskKind, number>>>;
  /** How long long tasks run, in ms; default 30,000 to 120,000. */
  readonly longMs?: readonly [number, number];
}

/**
 * short 5-50 ms; medium 1-5 s; long; retried: fails, then succeeds; crashing: its process dies; delayed; stopped: while it waits
 * or runs; expiring: some expire, some start in time; limited: of functions of which one or two tasks may run at the same time.
 */
export const taskKinds = [
  "short",
  "medium",
  "long",
  "retried",
  "crashing",
  "delayed",
  "stopped",
  "expiring",
  "limited",
] as const;
export type TaskKind = (typeof taskKinds)[number];

/** Clients of eight accounts, from `startWorkload` until `finish`, or until it is disposed of. */
export interface Workload extends AsyncDisposable {
  /** Answers so far. */
  readonly counts: { readonly accepted: number; readonly rejected: number; readonly unknown: number };
  /** Ms of the ledger's clock. */
  now(): number;
  /** Executions that have started and not ended, as the ledger knows them. */
  running(): readonly { readonly taskId: string; readonly agentId: string }[];
  /** Resolves when so many more were accepted / have started; rejects after `timeoutMs` (default 60,000). */
  accepted(more: number, timeoutMs?: number): Promise<void>;
  started(more: number, timeoutMs?: number): Promise<void>;
  /** Submits nothing new from now on, waits (at most `withinMs`) until everything accepted is final, and hands over what happened. */
  finish(withinMs: number): Promise<Evidence>;
}

// -------------------------------------------------------------------------------------------------------- the evidence

/** What one run leaves behind. Times are ms of the ledger's clock, which all processes of the machine share. */
export interface Evidence {
  /** For the checkers; what cannot be seen from outside (`store`, `agents`, `claims`) is undefined. */
  readonly history: History;
  readonly submissions: readonly SubmissionRecord[];
  /** Submissions that were due and not sent, because too many had no answer. */
  readonly skipped: number;
  /** Counters of all services by name, without labels, summed over services and their lives. */
  readonly counters: Readonly<Record<string, number>>;
  /** First and last moment. */
  readonly from: number;
  readonly until: number;
}

export interface SubmissionRecord {
  readonly account: string;
  readonly taskId: string;
  readonly kind: TaskKind;
  readonly askedAt: number;
  /** Of the first answer: that the outcome is unknown is one. */
  readonly answeredAt: number;
  readonly firstAnswer: "accepted" | "rejected" | "unknown";
  /** What was known in the end, after the same submission was sent again and again; from `knownAt` on. */
  readonly answer: "accepted" | "rejected" | "unknown";
  readonly knownAt: number;
}

/** A fault, as the report shows it. `until` undefined: it is a moment. */
export interface FaultMark {
  /** Such as `crash`, `freeze`, `cut`, `upgrade`. */
  readonly kind: string;
  /** Part or link: `scheduler-0`, `agent-0 > scheduler-1`. */
  readonly where: string;
  readonly from: number;
  until: number | undefined;
  /** Partitions that lost their owner by it. */
  readonly partitions?: readonly PartitionName[];
}

// ------------------------------------------------------------------------------------------------------------ scenarios

export interface Stage {
  readonly arena: Arena;
  readonly workload: Workload;
  /** From 0 to below 1, of the seed. */
  random(): number;
  /** Real time. */
  sleep(ms: number): Promise<void>;
  /** Notes a fault; call the result when it ends. `partitions` as the owner of a part that is about to die. */
  mark(kind: string, where: string, partitions?: readonly PartitionName[]): () => void;
}

export interface Scenario {
  /** As in `--scenario NAME`; kebab-case. */
  readonly name: string;
  /** One line: what happens, and what must hold. */
  readonly about: string;
  readonly needs?: readonly Capability[];
  /** Runs in every CI run; takes less than a minute with the tasks of `--fast`. */
  readonly isFast?: boolean;
  readonly arena?: ArenaOptions;
  readonly workload?: Partial<WorkloadOptions>;
  /** After this much time everything accepted must be final, in ms; default 240,000. */
  readonly quietWithinMs?: number;
  /** Violations that are expected, and must be seen: the scenario is a negative control. */
  readonly mustBreak?: readonly string[];
  /** What it should reach on a machine that has nothing else to do; a run that does not fails only if it is told to. */
  readonly aims?: readonly Aim[];
  /** Adds to the arena, before the workload starts, what it takes away again after the workload has finished. */
  prepare?(arena: Arena): Promise<AsyncDisposable>;
  /** Whether `run` heeds `repeat`; default: it breaks things once. */
  readonly repeats?: boolean;
  /** Breaks things, `repeat` times if it `repeats`, while the workload runs. */
  run(stage: Stage, repeat: number): Promise<void>;
}

/** `failover` as in the figures, after faults of one kind, of 100 samples at least; `adopted`: a share, up to 1, of what ran when its owner went. */
export type Aim =
  | { readonly figure: "failover"; readonly fault: string; readonly p99Ms: Readonly<Record<LeaseProfile, number>> }
  | { readonly figure: "adopted"; readonly share: number };

/** An aim beside what was reached. */
export interface AimResult {
  /** Such as `failover after crash, p99`. */
  readonly about: string;
  /** Of `ms` no more than the aim is good, of a `share` no less. */
  readonly unit: "ms" | "share";
  readonly aim: number;
  readonly value: number | undefined;
  /** Samples of the value. With fewer than `countMin` it is not measured: they say nothing of such a percentile. */
  readonly count: number;
  readonly countMin: number;
  readonly verdict: "met" | "missed" | "not measured";
}

/** The verdict on one run; `report/` writes it as JSON, as a table and as a page. */
export interface RunResult {
  readonly scenario: string;
  readonly about: string;
  readonly seed: number;
  readonly conditions: Readonly<Record<string, string | number>>;
  /** Undefined: it ran. */
  readonly notRun: string | undefined;
  readonly passed: boolean;
  readonly violations: readonly Violation[];
  /** Names of invariants that were checked. */
  readonly checked: readonly string[];
  readonly figures: Figures;
  readonly aims: readonly AimResult[];
  readonly marks: readonly FaultMark[];
  readonly timeline: readonly TimelinePoint[];
  /** From the start of its cluster until that had ended. */
  readonly tookMs: number;
}

/** Counts, and times in ms; undefined where nothing was measured. */
export interface Figures {
  readonly accepted: number;
  readonly rejected: number;
  /** Never answered. */
  readonly unknown: number;
  /** Not answered within the client's time for retries, and known later. */
  readonly unknownAtFirst: number;
  /** Not sent, because too many had no answer. */
  readonly skipped: number;
  /** Tasks that ended as Failed, and as Expired. */
  readonly failed: number;
  readonly expired: number;
  readonly lost: number;
  /** Executions of an attempt that had started before, without its agent's death or fence. */
  readonly executedTwice: number;
  readonly overlaps: number;
  /** Writes of owners that were replaced, which a floor in the store refused. */
  readonly staleWritesRefused: number;
  /** Partitions that their owners gave up because somebody else owned them. */
  readonly steppedDown: number;
  readonly announcedAgain: number;
  readonly longestGapMs: { readonly submit: number; readonly dispatch: number; readonly settle: number };
  /** By kind of fault: from the fault to the first start under a later epoch, per partition that lost its owner. */
  readonly failoverMs: Readonly<Record<string, Samples>>;
  /** Of what ran when an owner went: how many went on as the same attempt. */
  readonly resumed: { readonly running: number; readonly adopted: number };
}

export interface Samples {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** One second. */
export interface TimelinePoint {
  readonly at: number;
  readonly accepted: number;
  readonly refused: number;
  readonly started: number;
  readonly ended: number;
  readonly submitP50: number | undefined;
  readonly submitP99: number | undefined;
}
