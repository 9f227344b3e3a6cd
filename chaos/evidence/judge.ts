// The verdict on what a run leaves behind: the invariants that all tools share, and what only the ledger can show.
import { check, checkedBy, type Violation } from "@sluice/checkers";
import type { Evidence, FaultMark, Figures } from "../contract.ts";
import { checks } from "./checks.ts";
import { factsOf } from "./facts.ts";
import { figuresOf } from "./figures.ts";

export interface Judgement {
  readonly violations: readonly Violation[];
  /** Names of what was checked. */
  readonly checked: readonly string[];
  readonly figures: Figures;
}

export function judge(evidence: Evidence, marks: readonly FaultMark[]): Judgement {
  const facts = factsOf(evidence, marks);
  const violations = [...check(evidence.history), ...checks.flatMap((one) => one.check(facts))];
  return {
    violations,
    checked: [...checkedBy(evidence.history), ...checks.map(({ name }) => name)],
    figures: figuresOf(facts, violations),
  };
}
