// What clients do: they submit, alone and in batches, again with the same token when they do not know the outcome, stop what
// they submitted, and look. One client per account.

import type { Observation, Submission } from "@sluice/checkers";
import { AppError, isFinal, type TaskStatus } from "@sluice/core";
import { type CallContext, Priority, type SubmitResult, type TaskSubmission } from "@sluice/protocol";
import type { Dice } from "./dice.ts";
import { createFunction } from "./functions.ts";
import { type Behaviour, encodeBehaviour, type RunStep } from "./model/behaviour.ts";
import type { SimNode } from "./net/node.ts";
import type { World } from "./world.ts";

export const accounts = ["red", "green", "blue"] as const;

export interface WorkloadOptions {
  readonly world: World;
  /** Clients begin nothing new after this true time. */
  readonly untilMs: number;
}

export interface Workload {
  readonly submissions: readonly Submission[];
  readonly observations: readonly Observation[];
  /** Whether every client has finished what it began. */
  readonly isDone: boolean;
}

/** Of one client. Few tasks and many faults find more per second than many tasks. */
const tasksMax = 60;
const triesMax = 6;

/** Creates the functions, then lets the clients loose. */
export async function startWorkload({ world, untilMs }: WorkloadOptions): Promise<Workload> {
  const dice = world.dice.fork("workload");
  const submissions: Submission[] = [];
  const observations: Observation[] = [];
  let busy = 0;
  for (const account of accounts) {
    const functions: string[] = [];
    for (const nth of [0, 1]) {
      const settings = {
        timeoutMs: dice.pick([6_000, 12_000]),
        instancesMax: dice.pick([2, 8]),
        maxAsyncRetryAttempts: dice.pick([0, 1, 3]),
      };
      functions.push(await createFunction(world, { account, nth, settings }));
    }
    const client = new Client({ world, account, functions, dice: dice.fork(account), submissions, observations });
    busy++;
    void client.run(untilMs).then(
      () => busy--,
      (cause: unknown) => {
        busy--;
        world.onBug(cause instanceof AppError ? new Error(`a client failed: ${String(cause)}`, { cause }) : cause);
      },
    );
  }
  return {
    submissions,
    observations,
    get isDone() {
      return busy === 0;
    },
  };
}

interface ClientOptions {
  readonly world: World;
  readonly account: string;
  readonly functions: readonly string[];
  readonly dice: Dice;
  readonly submissions: Submission[];
  readonly observations: Observation[];
}

class Client {
  readonly #options: ClientOptions;
  readonly #node: SimNode;
  readonly #tasks: ReturnType<World["client"]>["tasks"];
  readonly #known: { readonly function: string; readonly taskId: string }[] = [];
  #ids = 0;

  constructor(options: ClientOptions) {
    this.#options = options;
    const { node, tasks } = options.world.client(`client-${options.account}`, options.account);
    this.#node = node;
    this.#tasks = tasks;
  }

  async run(untilMs: number): Promise<void> {
    const { dice, world } = this.#options;
    const pending: Promise<void>[] = [];
    await this.#node.clock.sleep(dice.between(500, 2_500));
    while (world.clock.monotonic() < untilMs && this.#ids < tasksMax) {
      pending.push(this.#act());
      await this.#node.clock.sleep(dice.between(20, dice.pick([300, 3_000])));
    }
    await Promise.all(pending);
  }

  async #act(): Promise<void> {
    const { dice } = this.#options;
    const known = this.#known.length === 0 ? undefined : dice.pick(this.#known.slice(-40));
    const action = dice.pick(["submit", "submit", "submit", "batch", "stop", "get", "get"] as const);
    if (action === "stop" && known) await this.#quietly((context) => this.#tasks.stopTask(known, context));
    else if (action === "get" && known) await this.#look(known);
    else await this.#submit(action === "batch" ? dice.between(2, 8) : 1);
  }

  async #submit(count: number): Promise<void> {
    const { dice, account, submissions, world } = this.#options;
    const name = dice.pick(this.#options.functions);
    const drafts = Array.from({ length: count }, () => this.#draft(name));
    const entries = drafts.map((draft): Submission => {
      const { taskId, delayMs, expiresAfterMs } = draft;
      const askedAt = world.clock.monotonic();
      return { account, function: name, taskId, delayMs, expiresAfterMs, askedAt, answer: "unknown" };
    });
    submissions.push(...entries);
    world.counters.add("submitted", count);
    for (let tries = 0; tries < triesMax; tries++) {
      try {
        const answers = await this.#send(drafts);
        for (const [index, answer] of answers.entries()) this.#answered(entries[index] as Submission, answer);
        if (entries.every(({ answer }) => answer !== "unknown")) return;
      } catch (cause) {
        if (!(cause instanceof AppError)) throw cause;
      }
      await this.#node.clock.sleep(dice.between(50, 1_500));
    }
    world.counters.add("outcome of a submission unknown", entries.filter(({ answer }) => answer === "unknown").length);
  }

  async #send(drafts: TaskSubmission[]): Promise<readonly (SubmitResult["outcome"] | "accepted")[]> {
    const context = { signal: new AbortController().signal, timeoutMs: 8_000 };
    const [only] = drafts;
    if (drafts.length > 1 || !only)
      return (await this.#tasks.submitTasks({ tasks: drafts }, context)).results.map(({ outcome }) => outcome);
    try {
      await this.#tasks.submitTask({ task: only }, context);
      return ["accepted"];
    } catch (cause) {
      if (!(cause instanceof AppError) || cause.code !== "exists") throw cause;
      return [{ $case: "duplicate", value: { existing: undefined } }];
    }
  }

  #answered(entry: Submission, answer: SubmitResult["outcome"] | "accepted"): void {
    if (entry.answer !== "unknown" || answer === undefined) return;
    if (answer === "accepted" || answer.$case === "accepted") {
      entry.answer = "accepted";
      this.#options.world.counters.add("accepted");
      this.#known.push({ function: entry.function, taskId: entry.taskId });
    } else if (answer.$case === "duplicate") entry.answer = "duplicate";
    else if (!/BUSY|UNAVAILABLE|SHUTTING_DOWN/.test(answer.value.reason)) entry.answer = "rejected";
  }

  #draft(name: string): TaskSubmission {
    const { dice, account } = this.#options;
    const id = ++this.#ids;
    return {
      function: name,
      taskId: `t${id}`,
      payload: encodeBehaviour(this.#behaviour()),
      priority: dice.pick([Priority.URGENT, Priority.HIGH, Priority.NORMAL, Priority.NORMAL, Priority.LOW]),
      delayMs: dice.chance(0.15) ? dice.between(1, 12_000) : 0,
      expiresAfterMs: dice.chance(0.1) ? dice.between(500, 20_000) : 0,
      submissionToken: `${account}-${id}`,
    };
  }

  #behaviour(): Behaviour {
    const { dice } = this.#options;
    const ms = () => dice.pick([dice.between(1, 60), dice.between(100, 1_500), dice.between(1_500, 5_500)]);
    const bad = (): RunStep => ({
      kind: dice.pick(["retryable", "retryable", "fatal", "flow", "crash", "hang"]),
      ms: ms(),
    });
    const last: RunStep = dice.chance(0.08) ? bad() : { kind: "ok", ms: ms() };
    // A task that meets flow control for ever would never end.
    const end: RunStep = last.kind === "flow" ? { kind: "fatal", ms: last.ms } : last;
    const steps = dice.chance(0.2) ? [bad(), end] : [end];
    return { steps, termMs: dice.pick([0, 50, 2_900]) };
  }

  async #look(known: { readonly function: string; readonly taskId: string }): Promise<void> {
    const task = await this.#quietly((context) => this.#tasks.getTask(known, context));
    if (!task) return;
    const status = statusNames.get(task.status);
    if (!status || !isFinal(status)) return;
    const { account, observations, world } = this.#options;
    observations.push({ at: world.clock.monotonic(), account, ...known, status, attempt: task.attempt });
  }

  async #quietly<T>(call: (context: CallContext) => Promise<T>): Promise<T | undefined> {
    try {
      return await call({ signal: new AbortController().signal, timeoutMs: 5_000 });
    } catch (cause) {
      if (cause instanceof AppError) return undefined;
      throw cause;
    }
  }
}

/** Of the wire; statuses that are final only. */
const statusNames = new Map<number, TaskStatus>([
  [5, "Succeeded"],
  [6, "Failed"],
  [7, "Stopped"],
  [8, "Expired"],
  [9, "Invalid"],
]);
