// A client: submits, alone and in batches, again with the same token when it does not know the outcome, and again although
// it, or its colleague, did so before; stops what was submitted; reads, lists, and asks for what belongs to others.

import type { Observation, StopAsked, Submission, View } from "@sluice/checkers";
import { AppError, isFinal, type TaskStatus } from "@sluice/core";
import {
  type CallContext,
  ListTasksRequest,
  type SubmitResult,
  type Task,
  type TaskSubmission,
} from "@sluice/protocol";
import type { Dice } from "./dice.ts";
import { type DraftOptions, draftTask, submitterOf } from "./drafts.ts";
import type { SimNode } from "./net/node.ts";
import type { World } from "./world.ts";

/** What the clients of an account share. */
export interface AccountState {
  readonly account: string;
  /** Task ids are counted, so that every account uses the same ones. */
  ids: number;
  readonly sent: TaskSubmission[];
  /** Accepted. */
  readonly known: TaskName[];
}

interface TaskName {
  readonly function: string;
  readonly taskId: string;
}

export interface ClientOptions {
  readonly world: World;
  readonly name: string;
  readonly state: AccountState;
  /** Of all accounts. */
  readonly states: readonly AccountState[];
  readonly functions: readonly string[];
  readonly dice: Dice;
  readonly record: {
    readonly submissions: Submission[];
    readonly observations: Observation[];
    readonly views: View[];
    readonly stops: StopAsked[];
  };
}

interface Rush {
  readonly function: string;
  readonly draft: (options: DraftOptions, dice: Dice) => TaskSubmission;
  readonly untilMs: number;
}

type Answer = SubmitResult["outcome"] | "accepted";

/** Of an account. Few tasks and many faults find more per second than many tasks. */
const tasksMax = 60;
const triesMax = 6;
const rushOfBatchMax = 14;
const actions = ["submit", "submit", "submit", "batch", "again", "stop", "get", "get", "list", "foreign"] as const;

export class Client {
  readonly #options: ClientOptions;
  readonly #node: SimNode;
  readonly #tasks: ReturnType<World["client"]>["tasks"];

  constructor(options: ClientOptions) {
    this.#options = options;
    const { node, tasks } = options.world.client(options.name, options.state.account);
    this.#node = node;
    this.#tasks = tasks;
  }

  /** Resolves when everything that it began has been answered, or given up. */
  async run(untilMs: number): Promise<void> {
    const { dice, world, state } = this.#options;
    const pending: Promise<void>[] = [];
    await this.#node.clock.sleep(dice.between(500, 2_500));
    while (world.clock.monotonic() < untilMs && state.ids < tasksMax) {
      pending.push(this.#act());
      await this.#node.clock.sleep(dice.between(40, dice.pick([600, 6_000])));
    }
    await Promise.all(pending);
  }

  /** Submits more than can run until then, for one function. */
  async rush({ function: name, draft, untilMs }: Rush): Promise<void> {
    const { dice, world, state, name: client } = this.#options;
    const { account } = state;
    const pending: Promise<void>[] = [];
    while (world.clock.monotonic() < untilMs) {
      const drafts = Array.from({ length: dice.between(2, rushOfBatchMax) }, () => {
        const taskId = `t${++state.ids}`;
        return draft({ account, function: name, taskId, token: `${client} ${taskId}` }, dice);
      });
      pending.push(this.#submit(drafts));
      await this.#node.clock.sleep(dice.between(300, 900));
    }
    await Promise.all(pending);
  }

  async #act(): Promise<void> {
    const { dice, state } = this.#options;
    const known = state.known.length === 0 ? undefined : dice.pick(state.known.slice(-40));
    const action = dice.pick(actions);
    if (action === "stop" && known) await this.#stop(known);
    else if (action === "get" && known) await this.#get(known, "get");
    else if (action === "list") await this.#list();
    else if (action === "foreign") await this.#askForForeign();
    else if (action === "again" && state.sent.length > 0) await this.#submitAgain();
    else await this.#submitNew(action === "batch" ? dice.between(2, 8) : 1);
  }

  async #submitNew(count: number): Promise<void> {
    const { dice, functions, state, name } = this.#options;
    const functionName = dice.pick(functions);
    const drafts = Array.from({ length: count }, () => {
      const taskId = `t${++state.ids}`;
      return draftTask({ account: state.account, function: functionName, taskId, token: `${name} ${taskId}` }, dice);
    });
    state.sent.push(...drafts);
    await this.#submit(drafts);
  }

  /** With its token, as after a crash of the client; or as another submission that takes the same id. */
  async #submitAgain(): Promise<void> {
    const { dice, state, name } = this.#options;
    const draft = dice.pick(state.sent.slice(-20));
    if (dice.chance(0.5)) await this.#submit([draft]);
    else await this.#submit([{ ...draft, submissionToken: `${name} again` }]);
  }

  async #submit(drafts: TaskSubmission[]): Promise<void> {
    const { dice, state, world, record } = this.#options;
    const entries = drafts.map((draft): Submission => {
      const { function: name, taskId, submissionToken: token, delayMs, expiresAfterMs } = draft;
      const askedAt = world.clock.monotonic();
      const { account } = state;
      return { account, function: name, taskId, token, delayMs, expiresAfterMs, askedAt, answer: "unknown" };
    });
    record.submissions.push(...entries);
    world.counters.add("submitted", entries.length);
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

  async #send(drafts: TaskSubmission[]): Promise<readonly Answer[]> {
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

  #answered(entry: Submission, answer: Answer): void {
    if (entry.answer !== "unknown" || answer === undefined) return;
    const { world, state } = this.#options;
    if (answer === "accepted" || answer.$case === "accepted") {
      entry.answer = "accepted";
      world.counters.add("accepted");
      state.known.push({ function: entry.function, taskId: entry.taskId });
    } else if (answer.$case === "duplicate") {
      entry.answer = "duplicate";
      world.counters.add("taken id refused");
    } else if (!/BUSY|UNAVAILABLE|SHUTTING_DOWN|THROTTLED|QUEUE_FULL/.test(answer.value.reason))
      entry.answer = "rejected";
  }

  async #get(name: TaskName, by: string): Promise<void> {
    const task = await this.#quietly((context) => this.#tasks.getTask(name, context));
    if (task) this.#saw(task, by);
  }

  async #stop(name: TaskName): Promise<void> {
    const { record, state, world } = this.#options;
    record.stops.push({ at: world.clock.monotonic(), account: state.account, ...name });
    const task = await this.#quietly((context) => this.#tasks.stopTask(name, context));
    if (task) this.#saw(task, "stop");
  }

  async #list(): Promise<void> {
    const { dice, functions, world } = this.#options;
    const filter = {
      function: dice.chance(0.5) ? dice.pick(functions) : "",
      includePayload: true,
      pageSize: dice.between(1, 100),
    };
    const page = await this.#quietly((context) => this.#tasks.listTasks(ListTasksRequest.fromPartial(filter), context));
    for (const task of page?.tasks ?? []) {
      world.counters.add("task listed");
      this.#saw(task, "list");
    }
  }

  /** By a name that another account uses; this one may use it as well. */
  async #askForForeign(): Promise<void> {
    const { dice, state, states, world } = this.#options;
    const other = dice.pick(states.filter((one) => one !== state));
    if (other.known.length === 0) return;
    const name = dice.pick(other.known);
    const isOwn = state.sent.some((own) => own.taskId === name.taskId && own.function === name.function);
    if (!isOwn) world.counters.add("foreign task asked for");
    if (!isOwn && dice.chance(0.3)) await this.#stop(name);
    else await this.#get(name, "get");
  }

  #saw(task: Task, by: string): void {
    const { state, world, record } = this.#options;
    const at = world.clock.monotonic();
    const name = { account: state.account, function: task.function, taskId: task.taskId };
    if (task.payload.length > 0) record.views.push({ at, ...name, by, owner: submitterOf(task.payload) });
    const status = statusNames.get(task.status);
    if (status && isFinal(status)) record.observations.push({ at, ...name, status, attempt: task.attempt });
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
