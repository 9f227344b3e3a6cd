// What clients do, from the first submission until everybody is done: two clients for each of three accounts, who call
// functions of the same names with the same task ids.

import type { FunctionFacts, LimitSet, Observation, StopAsked, Submission, View } from "@sluice/checkers";
import { AppError } from "@sluice/core";
import { changeAsks } from "./asks.ts";
import { controlBatches } from "./batch-control.ts";
import { type AccountState, Client } from "./client.ts";
import { createFunction } from "./functions.ts";
import { changeLimits, drawLimits, reserve } from "./limits.ts";
import type { World } from "./world.ts";

export const accounts = ["red", "green", "blue"] as const;

export interface WorkloadOptions {
  readonly world: World;
  /** Clients begin nothing new after this true time. */
  readonly untilMs: number;
  /** Until then more is submitted for one function than can run; 0: not. */
  readonly rushUntilMs: number;
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
/** Only of the first account, and only in a rush. */
const rushedName = "rushed";
/** Called a fifth of the time. */
const limitedName = "limited";
/** Its account may be limited, and keep some of that for it. */
const reservingName = "f1";
const rushIds = 1_000;
const calledNames = [...names, ...names, limitedName];

/** Creates the functions, then lets the clients loose. */
export async function startWorkload({ world, untilMs, rushUntilMs }: WorkloadOptions): Promise<Workload> {
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
  if (rushUntilMs > 0) {
    busy++;
    // Ids of its own: clients of one account stop at so many.
    const state = { account: accounts[0], ids: rushIds, sent: [], known: [] };
    functions.push({ account: state.account, function: rushedName, maxAsyncRetryAttempts: 3 });
    await createFunction(world, { account: state.account, name: rushedName, settings: { instancesMax: 1 } });
    const name = "client-in-rush";
    const client = new Client({ world, name, state, states, functions: [], dice: world.dice.fork(name), record });
    void client
      .rush(rushedName, rushUntilMs)
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
