// What clients do, from the first submission until everybody is done: two clients for each of three accounts, who call
// functions of the same names with the same task ids.

import type { FunctionFacts, LimitSet, Observation, StopAsked, Submission, View } from "@sluice/checkers";
import { AccountId, AppError } from "@sluice/core";
import { changeAsks } from "./asks.ts";
import { controlBatches } from "./batch-control.ts";
import { type AccountState, Client } from "./client.ts";
import { draftOfRefusal, draftOfRush } from "./drafts.ts";
import { createFunction } from "./functions.ts";
import { changeLimits, drawLimits, reserve } from "./limits.ts";
import type { World } from "./world.ts";

export const accounts = ["red", "green", "blue"] as const;

export interface WorkloadOptions {
  readonly world: World;
  /** Clients begin nothing new after this true time. */
  readonly untilMs: number;
  /** So many accounts submit more for one of their functions than can run, until then. */
  readonly rushes: number;
  readonly rushMs: number;
}

export interface Workload {
  readonly submissions: readonly Submission[];
  readonly observations: readonly Observation[];
  readonly views: readonly View[];
  readonly stops: readonly StopAsked[];
  readonly functions: readonly FunctionFacts[];
  readonly limits: readonly LimitSet[];
  /** Whether every client has finished what it began. */
  readonly isDone: boolean;
}

const clientsPerAccount = 2;
const names = ["f0", "f1"];
/** Only in a rush, and with two of them: the second one is refused by its downstream at first. */
const rushesOf = [
  { account: accounts[0], name: "rushed", weight: 1, draft: draftOfRush },
  { account: accounts[1], name: "refused", weight: 3, draft: draftOfRefusal },
] as const;
/** Called a fifth of the time. */
const limitedName = "limited";
/** Its account may be limited, and keep some of that for it. */
const reservingName = "f1";
const rushIds = 1_000;
const calledNames = [...names, ...names, limitedName];

/** Creates the functions, then lets the clients loose. */
export async function startWorkload({ world, untilMs, rushes, rushMs }: WorkloadOptions): Promise<Workload> {
  const dice = world.dice.fork("workload");
  const record = {
    submissions: [] as Submission[],
    observations: [] as Observation[],
    views: [] as View[],
    stops: [] as StopAsked[],
  };
  const functions: FunctionFacts[] = [];
  const limits: LimitSet[] = [];
  const states = accounts.map((account): AccountState => ({ account, ids: 0, sent: [], known: [] }));
  let busy = 0;
  for (const state of states) {
    const { account } = state;
    for (const name of [...names, limitedName]) {
      const maxAsyncRetryAttempts = dice.pick([0, 1, 3]);
      functions.push({ account, function: name, maxAsyncRetryAttempts });
      const settings = {
        timeoutMs: dice.pick([6_000, 12_000]),
        instancesMax: dice.pick([2, 8]),
        instanceConcurrency: dice.pick([1, 1, 4]),
        maxAsyncRetryAttempts,
        preemptible: name !== limitedName,
      };
      const ownLimits = name === limitedName ? drawLimits(dice) : undefined;
      if (ownLimits) limits.push({ at: 0, account, function: name, ...ownLimits });
      await createFunction(world, { account, name, settings: { ...settings, ...ownLimits } });
    }
    for (let nth = 1; nth <= clientsPerAccount; nth++) {
      const name = `client-${account}-${nth}`;
      const client = new Client({ world, name, state, states, functions: calledNames, dice: dice.fork(name), record });
      busy++;
      void client.run(untilMs).then(
        () => busy--,
        (cause: unknown) => {
          busy--;
          world.onBug(cause instanceof AppError ? new Error(`a client failed: ${String(cause)}`, { cause }) : cause);
        },
      );
    }
  }
  for (const { account, name, weight, draft } of rushesOf.slice(0, rushes)) {
    busy++;
    // Ids of its own: clients of one account stop at so many.
    const state = { account, ids: rushIds, sent: [], known: [] };
    functions.push({ account, function: name, maxAsyncRetryAttempts: 3 });
    const latencySensitive = rushes > 1 && world.dice.fork(`asks ${name}`).chance(0.3);
    await createFunction(world, { account, name, settings: { instancesMax: rushes, latencySensitive } });
    if (weight > 1) await world.server.store.accounts.update(AccountId(account), { weight });
    const clientName = weight > 1 ? `client-in-rush-of-${account}` : "client-in-rush";
    const ofRush = world.dice.fork(clientName);
    const client = new Client({ world, name: clientName, state, states, functions: [], dice: ofRush, record });
    void client
      .rush({ function: name, draft, untilMs: rushMs })
      .catch(world.onBug)
      .finally(() => busy--);
  }
  for (const account of accounts) {
    if (!dice.chance(0.4)) continue;
    busy++;
    const control = {
      world,
      dice: dice.fork(`control ${account}`),
      account,
      functions: [...names, limitedName],
      untilMs,
      stops: record.stops,
    };
    void controlBatches(control)
      .catch((cause: unknown) =>
        world.onBug(cause instanceof AppError ? new Error(`control failed: ${String(cause)}`, { cause }) : cause),
      )
      .finally(() => busy--);
  }
  const targets = accounts.flatMap((account) =>
    [undefined, "f0", limitedName].map((name) => ({ account, function: name })),
  );
  void changeLimits({ world, dice: dice.fork("limits"), targets, untilMs, record: limits }).catch(world.onBug);
  for (const account of accounts) {
    const ofAccount = dice.fork(`reserved ${account}`);
    if (!ofAccount.chance(0.3)) continue;
    const target = { account, function: reservingName };
    void reserve({ world, dice: ofAccount, target, untilMs, record: limits }).catch(world.onBug);
  }
  void changeAsks({ world, dice: dice.fork("asks"), functions, untilMs }).catch(world.onBug);
  return {
    ...record,
    functions,
    limits,
    get isDone() {
      return busy === 0;
    },
  };
}
