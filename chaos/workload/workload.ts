// Clients of eight accounts submit at their pace whatever is broken meanwhile, and everything that is needed to judge the
// run is written down:
//
//   submitting ──finish──▶ settling: unknown outcomes are learned, what was accepted becomes final ──▶ evidence

import { existsSync } from "node:fs";
import type { Observation, Rest, View } from "@sluice/checkers";
import { isFinal, json } from "@sluice/client";
import { AccountId, type Task } from "@sluice/core";
import { seededRandom } from "@sluice/core/testing";
import { herdLogOf } from "../agents/herd.ts";
import type { Arena, Evidence, Workload, WorkloadOptions } from "../contract.ts";
import { AgentWatch } from "../evidence/agent-lives.ts";
import { Counters } from "../evidence/counters.ts";
import { ledgerNow, wallStartNow } from "./clock.ts";
import { Count } from "./count.ts";
import { type Ground, openGround } from "./ground.ts";
import { historyOf } from "./history.ts";
import { instancesOf } from "./instances.ts";
import { createPace, pause, repeat } from "./pace.ts";
import { accounts, createPlan, defaultMix, type HandlerInput } from "./plan.ts";
import { findRest, type RestSources } from "./rest.ts";
import { rowsOf } from "./rows.ts";
import { Submissions } from "./submissions.ts";

const defaults = { rate: 40, mix: defaultMix, longMs: [30_000, 120_000] } as const;

/** Resolves when the functions are deployed and clients submit. */
export async function startWorkload(
  arena: Pick<Arena, "cluster" | "connect">,
  options: WorkloadOptions,
): Promise<Workload> {
  const ground = await openGround(arena);
  return new RunningWorkload(arena, ground, options);
}

const every = { submitMs: 10, ledgerMs: 50, processesMs: 50, agentsMs: 250, countersMs: 1_000, waitingMs: 200 };
/** Clients that wait for a final task hear of it so long after it is. */
const watchersMs = 5_000;
/** Leases of agents last for 30 s; nothing that is to go takes longer. */
const restMs = 60_000;
/** The store must answer within so long after everything was healed. */
const readMs = 60_000;

class RunningWorkload implements Workload {
  readonly #cluster: Arena["cluster"];
  readonly #ground: Ground;
  readonly #submissions: Submissions;
  readonly #agents: AgentWatch;
  readonly #counters: Counters;
  readonly #accepted = new Count("were accepted");
  readonly #started = new Count("have started");
  readonly #from = ledgerNow();
  /** Ends the submitting. */
  readonly #full = new AbortController();
  /** Ends everything. */
  readonly #over = new AbortController();
  readonly #loops: Promise<void>;

  constructor(
    { cluster }: Pick<Arena, "cluster">,
    ground: Ground,
    { seed, rate = defaults.rate, mix = defaults.mix, longMs = defaults.longMs }: WorkloadOptions,
  ) {
    const random = seededRandom(seed);
    const retries = random.fork("retries");
    this.#cluster = cluster;
    this.#ground = ground;
    this.#submissions = new Submissions({
      clients: (account) => ground.clients(account),
      sleep: pause,
      random: () => retries.next(),
      onAccepted: () => this.#accepted.set(this.#accepted.value + 1),
      signal: this.#over.signal,
    });
    this.#agents = new AgentWatch({
      agents: () => cluster.services.filter(({ kind }) => kind === "agent"),
      rows: () => ground.store.agents.list(),
      now: ledgerNow,
      sharedLogs: () => [herdLogOf(cluster)].filter((path) => existsSync(path)),
    });
    this.#counters = new Counters(() => cluster.services);
    const dice = random.fork("pace");
    const due = createPace(rate, () => dice.next());
    const plan = createPlan({ random: random.fork("plan"), mix, longMs });
    const submit = () => {
      for (let count = due(ledgerNow()); count > 0; count -= 1) this.#submissions.submit(plan());
    };
    const { signal } = this.#over;
    this.#loops = Promise.all([
      repeat(every.submitMs, submit, AbortSignal.any([signal, this.#full.signal])),
      repeat(every.ledgerMs, () => this.#readLedger(), signal),
      repeat(every.processesMs, () => this.#agents.lookAtProcesses(), signal),
      repeat(every.agentsMs, () => this.#agents.lookAtRows(), signal),
      repeat(every.countersMs, () => this.#counters.look(), signal),
    ]).then(() => undefined);
  }

  get counts() {
    return this.#submissions.counts;
  }

  now(): number {
    return ledgerNow();
  }

  running() {
    this.#readLedger();
    return this.#ground.ledger.running(ledgerNow());
  }

  accepted(more: number, timeoutMs = 60_000): Promise<void> {
    return this.#accepted.more(more, timeoutMs);
  }

  started(more: number, timeoutMs = 60_000): Promise<void> {
    return this.#started.more(more, timeoutMs);
  }

  async finish(withinMs: number): Promise<Evidence> {
    const endsAt = ledgerNow() + withinMs;
    const left = () => Math.max(0, endsAt - ledgerNow());
    this.#full.abort();
    await first(this.#submissions.known(), pause(left(), this.#over.signal));
    await this.#untilFinal(endsAt);
    const until = ledgerNow();
    await first(this.#submissions.watched(), pause(watchersMs, this.#over.signal));
    try {
      return await this.#collect(until);
    } finally {
      await this[Symbol.asyncDispose]();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#over.signal.aborted) return;
    this.#over.abort();
    await this.#loops;
    await Promise.all([this.#submissions.known(), this.#submissions.watched()]);
    await this.#ground[Symbol.asyncDispose]();
  }

  #readLedger(): void {
    const { ledger } = this.#ground;
    ledger.read();
    if (ledger.executions.length > this.#started.value) this.#started.set(ledger.executions.length);
  }

  /** Also when the store does not answer for a while. */
  async #untilFinal(endsAt: number): Promise<void> {
    const { tasks } = this.#ground.store;
    while (ledgerNow() < endsAt && !this.#over.signal.aborted) {
      const counts = accounts.map((account) => tasks.countWaiting(AccountId(account), 1));
      const waiting = await Promise.all(counts).catch(() => [1]);
      if (waiting.every((count) => count === 0)) return;
      await pause(every.waitingMs, this.#over.signal);
    }
  }

  async #collect(until: number): Promise<Evidence> {
    const { ledger } = this.#ground;
    await this.#counters.look();
    const problems: string[] = [];
    const rest = await this.#rest().catch((cause) => {
      problems.push(`what is left at the end could not be read: ${cause}`);
      return undefined;
    });
    const rows = await patiently(readMs, () => this.#rows());
    await patiently(readMs, () => this.#agents.lookAtRows());
    const shown = await this.#list();
    this.#readLedger();
    const { observations, bugs, skipped } = this.#submissions;
    const submitted = this.#submissions.submitted();
    const wallStart = wallStartNow();
    return {
      history: historyOf({
        submitted,
        observations: [...observations, ...shown.observations],
        views: shown.views,
        executions: ledger.executions,
        running: ledger.running(ledgerNow()),
        lives: this.#agents.lives(wallStart),
        rows,
        deployedAt: this.#ground.deployedAt,
        rest,
        bugs: [...problems, ...bugs, ...shown.bugs, ...ledger.problems],
        wallStart,
      }),
      submissions: submitted.map(({ record }) => record),
      skipped,
      counters: this.#counters.sums(),
      from: this.#from,
      until,
    };
  }

  /** Instances, keys of etcd, messages and consumers that are there after everything has finished. */
  #rest(): Promise<Rest> {
    const { store, ledger, ledgerPath } = this.#ground;
    const sources: RestSources = {
      cluster: this.#cluster,
      store,
      instances: () => {
        const processes = instancesOf(ledgerPath);
        // Later than the processes: an execution whose line is still to be read has not been missed.
        this.#readLedger();
        return { processes, executions: ledger.executions, running: ledger.running(ledgerNow()) };
      },
      agents: () =>
        this.#agents
          .lives(wallStartNow())
          .filter(({ downAt }) => downAt === undefined)
          .map(({ agentId, incarnation }) => `${agentId}/${incarnation()}`),
    };
    return findRest(sources, restMs);
  }

  async #rows(): Promise<Task[]> {
    const ofAccounts = await Promise.all(accounts.map((account) => rowsOf(this.#ground.store, account)));
    return ofAccounts.flat();
  }

  /** What each account is shown when it lists everything. */
  async #list(): Promise<{ readonly views: View[]; readonly observations: Observation[]; readonly bugs: string[] }> {
    const views: View[] = [];
    const observations: Observation[] = [];
    const bugs: string[] = [];
    for (const account of accounts) {
      const [client] = this.#ground.clients(account);
      if (!client) continue;
      try {
        for await (const task of client.list({ includePayload: true })) {
          const { function: name, taskId, status, attempt } = task;
          const at = ledgerNow();
          const owner = json<HandlerInput>(task.payload)?.account ?? "nobody";
          views.push({ at, account, by: "list", function: name, taskId, owner });
          if (isFinal(task)) observations.push({ at, account, function: name, taskId, status, attempt });
        }
      } catch (cause) {
        bugs.push(`${account} cannot list its tasks after everything was healed: ${cause}`);
      }
    }
    return { views, observations, bugs };
  }
}

async function first(...works: readonly Promise<void>[]): Promise<void> {
  await Promise.race(works);
}

/** Tries again while it fails; throws the last failure after `ms`. */
async function patiently<T>(ms: number, work: () => Promise<T>): Promise<T> {
  const endsAt = ledgerNow() + ms;
  for (;;) {
    try {
      return await work();
    } catch (cause) {
      if (ledgerNow() > endsAt) throw cause;
      await pause(250, new AbortController().signal);
    }
  }
}
