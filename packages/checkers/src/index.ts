// Every invariant of the design that is checked, one file each.
import { type Checker, canCheck } from "./checker.ts";
import type { History, Violation } from "./history.ts";
import { i1 } from "./i1.ts";
import { i2 } from "./i2.ts";
import { i3 } from "./i3.ts";
import { i4 } from "./i4.ts";
import { i5 } from "./i5.ts";
import { i6 } from "./i6.ts";
import { i7 } from "./i7.ts";
import { i8 } from "./i8.ts";
import { i9 } from "./i9.ts";
import { i10 } from "./i10.ts";
import { i11 } from "./i11.ts";
import { i13 } from "./i13.ts";
import { i14 } from "./i14.ts";
import { i15 } from "./i15.ts";

export type { Checker, FullHistory, HistoryWith, Source } from "./checker.ts";
export {
  type AgentEvent,
  type AgentLife,
  type CalmPhase,
  type ClaimHeld,
  describeExecution,
  type Execution,
  emptyHistory,
  type FunctionFacts,
  type History,
  type Inserted,
  type Leftover,
  type LimitSet,
  type Observation,
  type PauseHeld,
  type Rest,
  resultOf,
  type Sent,
  type StopAsked,
  type StoreEvent,
  type Submission,
  type View,
  type Violation,
} from "./history.ts";
export { leftIn } from "./i14.ts";
export { insertsOf } from "./rows.ts";

/** In the order of the design. */
export const checkers: readonly Checker[] = [i1, i2, i3, i4, i5, i6, i7, i8, i9, i10, i11, i13, i14, i15];

/** By every checker whose sources are present (`checkedBy`). */
export function check(history: History): Violation[] {
  const judged = checkers.filter((checker) => canCheck(checker, history));
  return [...judged.flatMap((checker) => checker.check(history)), ...bugsOf(history)];
}

/** The invariants that `check` can judge with the sources that this history has. */
export function checkedBy(history: History): string[] {
  return checkers.filter((checker) => canCheck(checker, history)).map(({ invariant }) => invariant);
}

/** What is not a typed failure is a bug, and so is what nobody caught. */
function bugsOf({ bugs }: History): Violation[] {
  return bugs.map((message) => ({ invariant: "bug", message }));
}
