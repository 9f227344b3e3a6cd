// What becomes of the submissions of clients:
//
//   asked ──answered──▶ accepted | rejected
//     └──no answer in the client's time for retries──▶ unknown ──sent again with the same token──▶ accepted | rejected
//
// Only a refusal that answers the submission itself tells that it had no effect. Any other failure leaves it unknown, as a
// real client must see it.

import type { Observation } from "@sluice/checkers";
import { DuplicateTask, NotFound, Rejected, type SluiceClient } from "@sluice/client";
import type { SubmissionRecord } from "../contract.ts";
import { ledgerNow } from "./clock.ts";
import type { PlannedTask } from "./plan.ts";

export interface Submitted extends PlannedTask {
  readonly record: SubmissionRecord;
}

export interface SubmissionsOptions {
  /** Clients of an account; a submission that is repeated goes to the next one. */
  readonly clients: (account: string) => readonly SluiceClient[];
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  /** From 0 to below 1. */
  readonly random: () => number;
  /** Called with each that was accepted. */
  readonly onAccepted: () => void;
  /** Ends everything; what is not known then stays unknown. */
  readonly signal: AbortSignal;
}

type Answer = SubmissionRecord["answer"];

/** Asked, and not known yet. */
interface Asked {
  readonly task: PlannedTask;
  readonly askedAt: number;
  /** Undefined: the first try has no answer. */
  first: { readonly answer: Answer; readonly at: number } | undefined;
}

/** Without an answer; one more is skipped. */
const openMax = 5_000;
/** Between two tries to learn what became of a submission. */
const againMs = 1_000;
/** One in so many tasks is waited for by its client. */
const watchedShare = 20;

export class Submissions {
  readonly #known: Submitted[] = [];
  readonly observations: Observation[] = [];
  /** What a client must never see. */
  readonly bugs: string[] = [];
  readonly counts = { accepted: 0, rejected: 0, unknown: 0 };
  skipped = 0;
  readonly #options: SubmissionsOptions;
  readonly #asked = new Set<Asked>();
  readonly #open = new Set<Promise<void>>();
  readonly #watches = new Set<Promise<void>>();
  #count = 0;

  constructor(options: SubmissionsOptions) {
    this.#options = options;
  }

  /** Does not wait: clients submit at their pace, however slow the answers are. */
  submit(task: PlannedTask): void {
    if (this.#open.size >= openMax) this.skipped += 1;
    else track(this.#open, this.#untilKnown(task, this.#count++));
  }

  /** Everything that was asked for, as it is known now; what is open is unknown. */
  submitted(): Submitted[] {
    const now = ledgerNow();
    const open = [...this.#asked].map(({ task, askedAt, first }) => {
      const { answer: firstAnswer, at: answeredAt } = first ?? { answer: "unknown", at: now };
      return submittedOf(task, { askedAt, answeredAt, firstAnswer, answer: "unknown", knownAt: now });
    });
    return [...this.#known, ...open];
  }

  /** Resolves when every submission is known. */
  async known(): Promise<void> {
    while (this.#open.size > 0) await Promise.all(this.#open);
  }

  /** Resolves when nobody waits for a task any more. */
  async watched(): Promise<void> {
    while (this.#watches.size > 0) await Promise.all(this.#watches);
  }

  async #untilKnown(task: PlannedTask, number: number): Promise<void> {
    const { clients, random, signal, sleep } = this.#options;
    const asked: Asked = { task, askedAt: ledgerNow(), first: undefined };
    this.#asked.add(asked);
    const ofAccount = clients(task.account);
    for (let tries = 0; ; tries++) {
      const client = ofAccount[(number + tries) % ofAccount.length];
      if (!client) throw new Error(`${task.account} has no client`);
      // A refusal after an unknown outcome says nothing of the first try.
      const answered = await this.#ask(client, task);
      const answer = asked.first && answered === "rejected" ? "unknown" : answered;
      const at = ledgerNow();
      if (!asked.first && answer === "unknown") this.counts.unknown += 1;
      const first = asked.first ?? { answer, at };
      asked.first = first;
      if (answer !== "unknown" || signal.aborted) {
        if (first.answer === "unknown" && answer !== "unknown") this.counts.unknown -= 1;
        this.#asked.delete(asked);
        this.#note(task, {
          askedAt: asked.askedAt,
          answeredAt: first.at,
          firstAnswer: first.answer,
          answer,
          knownAt: at,
        });
        if (answer === "accepted") this.#accepted(client, task, number);
        return;
      }
      await sleep(againMs * (0.5 + random()), signal);
    }
  }

  async #ask(client: SluiceClient, task: PlannedTask): Promise<Answer> {
    const { function: name, taskId, input, delayMs, expiresAfterMs } = task;
    const payload = JSON.stringify(input);
    const { signal } = this.#options;
    try {
      const times = { delayMs, expiresAfterMs };
      await client.submit({ function: name, taskId, submissionToken: taskId, payload, ...times }, { signal });
      return "accepted";
    } catch (cause) {
      if (signal.aborted) return "unknown";
      if (cause instanceof Rejected) return "rejected";
      if (!(cause instanceof DuplicateTask)) return "unknown";
      // Its token says that it is the same submission.
      this.bugs.push(`${task.account}/${taskId} was called a duplicate of itself`);
      return "accepted";
    }
  }

  #note(task: PlannedTask, times: Times): void {
    this.#known.push(submittedOf(task, times));
    if (times.answer === "accepted") this.counts.accepted += 1;
    if (times.answer === "rejected") this.counts.rejected += 1;
  }

  #accepted(client: SluiceClient, task: PlannedTask, number: number): void {
    this.#options.onAccepted();
    if (task.stopAfterMs !== undefined) track(this.#watches, this.#stopLater(client, task, task.stopAfterMs));
    if (number % watchedShare === 0) track(this.#watches, this.#watch(client, task));
  }

  async #stopLater(client: SluiceClient, task: PlannedTask, afterMs: number): Promise<void> {
    const { signal, sleep } = this.#options;
    await sleep(afterMs, signal);
    await this.#read(task, () => client.stop(task.function, task.taskId, { signal }));
  }

  async #watch(client: SluiceClient, task: PlannedTask): Promise<void> {
    const { account, function: name, taskId } = task;
    const seen = await this.#read(task, () => client.wait(name, taskId, { signal: this.#options.signal }));
    if (!seen) return;
    const { status, attempt } = seen;
    this.observations.push({ at: ledgerNow(), account, function: name, taskId, status, attempt });
  }

  /** Undefined: it could not be read. That it is not there, though accepted, is a bug. */
  async #read<T>({ account, taskId }: PlannedTask, read: () => Promise<T>): Promise<T | undefined> {
    try {
      return await read();
    } catch (cause) {
      if (cause instanceof NotFound)
        this.bugs.push(`${account}/${taskId} was accepted, and its client was told that it is not there`);
      return undefined;
    }
  }
}

type Times = Omit<SubmissionRecord, "account" | "taskId" | "kind">;

function submittedOf(task: PlannedTask, times: Times): Submitted {
  const { account, taskId, kind } = task;
  return { ...task, record: { account, taskId, kind, ...times } };
}

function track(group: Set<Promise<void>>, work: Promise<void>): void {
  group.add(work);
  void work.finally(() => group.delete(work));
}
