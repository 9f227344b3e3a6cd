// Every invariant of the design that is checked, one file each.
import type { Checker, History, Violation } from "./history.ts";
import { checkI1 } from "./i1.ts";
import { checkI2 } from "./i2.ts";
import { checkI3 } from "./i3.ts";
import { checkI4 } from "./i4.ts";
import { checkI5 } from "./i5.ts";
import { checkI6 } from "./i6.ts";
import { checkI8 } from "./i8.ts";

export {
  type AgentEvent,
  type AgentLife,
  type Checker,
  describeExecution,
  type Execution,
  type History,
  type Inserted,
  type Observation,
  resultOf,
  type StoreEvent,
  type Submission,
  type Violation,
} from "./history.ts";
export { insertsOf } from "./rows.ts";

const checkers: readonly Checker[] = [checkI1, checkI2, checkI3, checkI4, checkI5, checkI6, checkI8, noBugs];

export function check(history: History): Violation[] {
  return checkers.flatMap((checker) => checker(history));
}

/** What is not a typed failure is a bug, and so is what nobody caught. */
function noBugs({ bugs }: History): Violation[] {
  return bugs.map((message) => ({ invariant: "bug", message }));
}
