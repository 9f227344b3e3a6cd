import type { Scenario } from "../contract.ts";

/** One scenario after the other, in one cluster under one load, judged together. They must not differ in what they need. */
export function inSequence(name: string, scenarios: readonly Scenario[]): Scenario {
  return {
    name,
    about: scenarios.map((scenario) => scenario.name).join(", then "),
    async run(stage) {
      for (const scenario of scenarios) {
        await scenario.run(stage, 1).catch((cause: unknown) => {
          throw new Error(`${scenario.name}: ${cause instanceof Error ? cause.message : cause}`, { cause });
        });
      }
    },
  };
}
