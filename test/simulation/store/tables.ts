import type { Epoch, EpochMs, Lane, OwnedPartition } from "@sluice/core";
import { lanesOf } from "@sluice/core";
import type {
  AccessKey,
  AccountRecord,
  AgentRecord,
  FunctionRecord,
  LogPiece,
  OperationRecord,
  PauseRecord,
} from "@sluice/store";
import { Rows } from "./rows.ts";

/** Everything that a store knows. */
export interface Tables {
  readonly rows: Rows;
  /** Of each queue that was ever owned: 32 epochs. */
  readonly floors: Map<string, Epoch[]>;
  /** By account and name (`flowKey`). */
  readonly functions: Map<string, FunctionRecord>;
  /** When each was deleted, by account and name. */
  readonly deletedFunctions: Map<string, number>;
  /** Of the function that changed last. */
  lastRevision: number;
  /** Zips by their hash. */
  readonly packages: Map<string, Uint8Array>;
  readonly keys: Map<string, AccessKey>;
  readonly accounts: Map<string, AccountRecord>;
  /** Of each agent: the incarnations that are remembered, oldest first. */
  readonly agents: Map<string, Incarnation[]>;
  /** By task, then by attempt: pieces in their order. */
  readonly logs: Map<number, Map<number, StoredPiece[]>>;
  /** By id. */
  readonly pauses: Map<string, PauseRecord>;
  /** By id. */
  readonly operations: Map<string, Ending<OperationRecord>>;
  /** By operation, queue and lane. */
  readonly operationLanes: Map<string, OperationLane>;
  /** Numbers are taken also by what turns out to be known. */
  lastPause: number;
  lastOperation: number;
}

type Ending<T extends OperationRecord> = Omit<T, "cancelledAt" | "finishedAt"> & {
  cancelledAt: EpochMs | undefined;
  finishedAt: EpochMs | undefined;
};

/** How far a lane is with an operation. */
export interface OperationLane {
  readonly number: number;
  readonly queue: string;
  readonly lane: Lane;
  matched: number;
  done: number;
  failed: number;
  finishedAt: EpochMs | undefined;
}

type Place = { readonly queue: string; readonly lane: Lane };

/** How far the lane is; made if it is not there. */
export function laneProgress({ operationLanes }: Tables, number: number, { queue, lane }: Place): OperationLane {
  const key = `${number} ${queue} ${lane}`;
  const known = operationLanes.get(key) ?? {
    number,
    queue,
    lane,
    matched: 0,
    done: 0,
    failed: 0,
    finishedAt: undefined,
  };
  operationLanes.set(key, known);
  return known;
}

export function lanesTest({ queue, prefix }: OwnedPartition): (place: Place) => boolean {
  const { from, until } = lanesOf(prefix);
  return (place) => place.queue === queue && place.lane >= from && place.lane < until;
}

export type Incarnation = { -readonly [Name in keyof AgentRecord]: AgentRecord[Name] } & {
  readonly registrationId: string;
  isDead: boolean;
};

export interface StoredPiece extends LogPiece {
  /** Bytes of the attempt's log up to the end of this piece. */
  readonly bytesUntil: number;
}

export function createTables(): Tables {
  return {
    rows: new Rows(),
    floors: new Map(),
    functions: new Map(),
    deletedFunctions: new Map(),
    lastRevision: 0,
    packages: new Map(),
    keys: new Map(),
    accounts: new Map(),
    agents: new Map(),
    logs: new Map(),
    pauses: new Map(),
    operations: new Map(),
    operationLanes: new Map(),
    lastPause: 0,
    lastOperation: 0,
  };
}

/** Whether the owner's epoch is the floor of every lane of its partition. */
export function isOwner({ floors }: Tables, { queue, prefix, epoch }: OwnedPartition): boolean {
  const epochs = floors.get(queue);
  if (epochs === undefined) return false;
  const { from, until } = lanesOf(prefix);
  for (let lane = from; lane < until; lane++) {
    if (epochs[lane] !== epoch) return false;
  }
  return true;
}

/** In the order of their bytes, as the database sorts texts. Ids are ASCII, so comparing UTF-16 is the same. */
export function inOrder(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
