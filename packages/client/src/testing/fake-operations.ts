import {
  type ActivePause,
  type Api,
  type Operation,
  type OperationServiceService,
  OperationState,
  PauseHolder,
} from "@sluice/protocol";
import { failure } from "./fake-tasks.ts";

export interface FakeOperations {
  readonly pauses: Map<string, ActivePause>;
  readonly operations: Map<string, Operation>;
  /** What is told of every target that is resumed. */
  stillHeld: ActivePause | undefined;
  /** What an operation is at each look after the first; the last one stays. Default: done at once. */
  progress: readonly Partial<Operation>[];
}

export function aPlace(): FakeOperations {
  return { pauses: new Map(), operations: new Map(), stillHeld: undefined, progress: [{ ...doneAt(2) }] };
}

/** Keeps what it is told; operations get further with every look at them. */
export function operationApi({ place }: { place: FakeOperations }): Api<typeof OperationServiceService> {
  const looks = new Map<string, number>();
  const find = (operationId: string): Operation => {
    const found = place.operations.get(operationId);
    if (!found) throw failure("NOT_FOUND", `there is no operation ${operationId}`);
    return found;
  };
  const idOf = (target: ActivePause["target"]) => JSON.stringify(target);
  return {
    async pause({ target, reason }) {
      const heldBy = target?.accountId ? PauseHolder.OPERATORS : PauseHolder.ACCOUNT;
      const createdAtMs = 1_700_000_000_000;
      const pause: ActivePause = { pauseId: idOf(target), target, reason, createdBy: "main", createdAtMs, heldBy };
      if (!place.pauses.has(pause.pauseId)) place.pauses.set(pause.pauseId, pause);
      return place.pauses.get(pause.pauseId) ?? pause;
    },
    async resume({ pauseId, target }) {
      return { resumed: place.pauses.delete(pauseId === "" ? idOf(target) : pauseId), stillHeld: place.stillHeld };
    },
    listPauses: async () => ({ pauses: [...place.pauses.values()] }),
    async startOperation({ operationId, kind, filter, accountId }) {
      const counts = { matched: 0, done: 0, failed: 0, lanesDone: 0, lanesTotal: 32 };
      const operation: Operation = {
        ...{ operationId, kind, filter, accountId: accountId || "main", state: OperationState.RUNNING, ...counts },
        ...{ createdAtMs: 1_700_000_000_000, endedAtMs: 0, createdBy: "main" },
      };
      if (!place.operations.has(operationId)) place.operations.set(operationId, operation);
      return find(operationId);
    },
    async getOperation({ operationId }) {
      const look = looks.get(operationId) ?? 0;
      looks.set(operationId, look + 1);
      const state = place.progress[Math.min(look, place.progress.length - 1)];
      const operation = { ...find(operationId), ...state };
      place.operations.set(operationId, operation);
      return operation;
    },
    listOperations: async () => ({ operations: [...place.operations.values()].reverse(), nextPageToken: "" }),
    async cancelOperation({ operationId }) {
      const ended = { ...find(operationId), state: OperationState.CANCELLED, endedAtMs: 3 };
      place.operations.set(operationId, ended);
      return ended;
    },
  };
}

/** What an operation has that ended then. */
export function doneAt(endedAtMs: number): { readonly state: OperationState; readonly endedAtMs: number } {
  return { state: OperationState.DONE, endedAtMs };
}
