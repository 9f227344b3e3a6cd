// One message of submissions: admit, record, answer. What SubmitTask, SubmitTasks and SubmitStream share.
import {
  type AccountId,
  AppError,
  type Clock,
  type Flow,
  FunctionName,
  invalid,
  type Limits,
  type Random,
  type Task,
  TaskId,
} from "@sluice/core";
import type { TaskSubmission } from "@sluice/protocol";
import type { Logger } from "@sluice/runtime";
import type { ApiServerConfig } from "../config.ts";
import type { ApiServerMetrics } from "../metrics.ts";
import type { Budget } from "./budget.ts";
import type { KnownAccounts } from "./known-accounts.ts";
import type { KnownFunctions } from "./known-functions.ts";
import { type Draft, parseSubmission } from "./parse-submission.ts";
import type { Recorder } from "./recorder.ts";
import type { Routing } from "./routing/routing.ts";
import { type KnownTasks, unclearOutcome } from "./throttle/known-tasks.ts";
import type { SubmitThrottle } from "./throttle/throttle.ts";
import { tooManyWaiting, type WaitingTasks } from "./waiting-tasks.ts";

/** What became of one submission. */
export type Submitted =
  | { readonly kind: "accepted"; readonly taskId: TaskId; readonly repeated: boolean }
  | { readonly kind: "duplicate"; readonly existing: Task }
  | { readonly kind: "rejected"; readonly error: AppError };

export interface Message {
  readonly accountId: AccountId;
  readonly tasks: readonly TaskSubmission[];
  /** Path of a task in the request, for errors. */
  readonly pathOf: (index: number) => string;
  readonly signal: AbortSignal;
}

/**
 * Answers every task of a message, in order. Rejects with `TOO_MANY_TASKS` or `SERVER_BUSY` when nothing was submitted, and
 * with the store's error when that is not known.
 */
export type Submit = (message: Message) => Promise<readonly Submitted[]>;

export interface SubmitOptions {
  readonly config: ApiServerConfig;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly metrics: ApiServerMetrics;
  readonly functions: KnownFunctions;
  readonly accounts: KnownAccounts;
  readonly routing: Routing;
  readonly throttle: SubmitThrottle;
  readonly knownTasks: KnownTasks;
  readonly waiting: WaitingTasks;
  readonly budget: Budget;
  readonly recorder: Recorder;
  /** Throws once the server stops. */
  readonly assertOpen: () => void;
}

/** What a submission takes besides its payload, roughly. */
const overheadBytes = 512;

export function createSubmit(options: SubmitOptions): Submit {
  const { config, metrics, budget } = options;

  return async (message) => {
    options.assertOpen();
    checkCount(message.tasks.length, config.tasksPerMessageMax);
    const release = await budget.take(bytesOf(message.tasks), {
      signal: message.signal,
      waitMs: config.admissionWaitMs,
    });
    if (release === undefined) throw callerGone();
    metrics.admissionBytes.set(budget.used);
    try {
      const answers = await record(message, await admit(message));
      for (const answer of answers) count(answer);
      return answers;
    } finally {
      release();
      metrics.admissionBytes.set(budget.used);
    }
  };

  /** Each task as a draft, or what is wrong with it. */
  async function admit({ accountId, tasks, pathOf }: Message): Promise<(Draft | AppError)[]> {
    const [functions, account] = await Promise.all([
      options.functions.find(accountId, namesOf(tasks)),
      options.accounts.find(accountId),
    ]);
    const routeOf = (flow: Flow, settings: Limits) => options.routing.routeOf(flow, { function: settings, account });
    const context = { accountId, functions, config, routeOf, newTaskId };
    const submitted = tasks.map((task, index) => orError(() => parseSubmission(task, pathOf(index), context)));
    const drafts = draftsOf(submitted);
    const refusals = new Map<Draft, AppError>();
    options.throttle.judge(drafts).forEach((error, index) => {
      if (error !== undefined) refusals.set(drafts[index] as Draft, error);
    });
    const wanted = drafts.filter((draft) => !refusals.has(draft));
    const admitted = wanted.length === 0 ? 0 : await options.waiting.admit(accountId, wanted.length);
    if (admitted < wanted.length) {
      const full = tooManyWaiting(config.waitingTasksMax);
      for (const draft of wanted.slice(admitted)) refusals.set(draft, full);
    }
    return refusals.size === 0 ? submitted : await refuse(submitted, refusals);
  }

  /** Without what is refused; repetitions of what was accepted cost nothing, and are not. */
  async function refuse(
    entries: readonly (Draft | AppError)[],
    refusals: ReadonlyMap<Draft, AppError>,
  ): Promise<(Draft | AppError)[]> {
    const { known, unclear } = await options.knownTasks.find([...refusals.keys()]);
    // One for many: making one costs as much as judging a hundred submissions.
    const unclearOutcomes = new Map<AppError, AppError>();
    const outcomeOf = (draft: Draft): Draft | AppError => {
      const refusal = refusals.get(draft);
      if (refusal === undefined || known.has(draft)) return draft;
      if (!unclear.has(draft)) return refusal;
      const outcome = unclearOutcomes.get(refusal) ?? unclearOutcome(refusal);
      unclearOutcomes.set(refusal, outcome);
      return outcome;
    };
    return entries.map((entry) => (entry instanceof AppError ? entry : outcomeOf(entry)));
  }

  async function record(message: Message, entries: readonly (Draft | AppError)[]): Promise<Submitted[]> {
    const recorded = (await options.recorder.record(draftsOf(entries)))[Symbol.iterator]();
    return entries.map((entry): Submitted => {
      if (entry instanceof AppError) {
        options.log.debug("rejected a submission", {
          accountId: message.accountId,
          reason: entry.reason,
          field: entry.field,
        });
        return { kind: "rejected", error: entry };
      }
      const { accountId, functionName, taskId } = entry;
      const outcome = recorded.next().value?.outcome;
      options.log.debug("recorded a submission", { accountId, functionName, taskId, outcome: outcome?.kind });
      if (outcome?.kind === "duplicate") return { kind: "duplicate", existing: outcome.existing };
      return { kind: "accepted", taskId, repeated: outcome?.kind === "repeated" };
    });
  }

  /** Sorts by time, so that the index of ids grows at its end. */
  function newTaskId(): TaskId {
    return TaskId(`t${options.clock.now().toString(16).padStart(12, "0")}${options.random.hex(8)}`);
  }

  function count(answer: Submitted): void {
    const outcome = answer.kind === "accepted" && answer.repeated ? "repeated" : answer.kind;
    metrics.submissions.inc({ outcome });
    if (answer.kind === "rejected") metrics.rejections.inc({ reason: answer.error.reason });
  }
}

/** Memory that the submissions hold until they are answered. */
export function bytesOf(tasks: readonly TaskSubmission[]): number {
  return tasks.reduce((sum, task) => sum + task.payload.length + overheadBytes, 0);
}

function checkCount(tasks: number, tasksMax: number): void {
  if (tasks <= tasksMax) return;
  throw invalid(
    "TOO_MANY_TASKS",
    "tasks",
    `the message has ${tasks} tasks, at most ${tasksMax} are accepted; send several`,
  );
}

function draftsOf(entries: readonly (Draft | AppError)[]): Draft[] {
  return entries.filter((entry): entry is Draft => !(entry instanceof AppError));
}

/** The names that can be names; the others are refused one by one. */
function namesOf(tasks: readonly TaskSubmission[]): Set<FunctionName> {
  const names = new Set<FunctionName>();
  for (const text of new Set(tasks.map((task) => task.function))) {
    const name = orError(() => FunctionName(text));
    if (!(name instanceof AppError)) names.add(name);
  }
  return names;
}

function orError<T>(parse: () => T): T | AppError {
  try {
    return parse();
  } catch (cause) {
    if (cause instanceof AppError) return cause;
    throw cause;
  }
}

function callerGone(): AppError {
  return new AppError("cancelled", "CANCELLED", "the caller gave up; nothing was submitted");
}
