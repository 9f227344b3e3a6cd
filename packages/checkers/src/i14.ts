// I14: after faults heal everything finishes and nothing leaks. What a task needs is gone with it; what a scheduler or an
// agent holds stays only while it lives.
import { createChecker } from "./checker.ts";
import type { Leftover, LeftoverKind, Rest } from "./history.ts";

const invariant = "I14";

const mayStay: Readonly<Record<LeftoverKind, boolean>> = {
  instance: false,
  "unconfirmed attempt": false,
  "task in memory": false,
  block: false,
  timer: false,
  consumer: true,
  claim: true,
  member: true,
  agent: true,
  leader: true,
  load: true,
};

export const i14 = createChecker({
  invariant,
  about: "After the faults are over everything finishes and nothing leaks: instances, leases, consumers, messages.",
  needs: ["rest", "rows"],
  check: ({ rest, rows }) => {
    const parked = rows.filter(({ dueAt }) => dueAt !== undefined);
    return [
      ...leftIn(rest).map(({ kind, what, holder = "nobody" }) => {
        return { invariant, message: `${kind} ${what} of ${holder} is left at ${rest.at} ms` };
      }),
      ...parked.map(({ seq, status, parkReason }) => ({
        invariant,
        seq,
        message: `task ${seq} is ${status} and still parked by ${parkReason}`,
      })),
    ];
  },
});

/** What should be gone by then. */
export function leftIn({ alive, found }: Rest): Leftover[] {
  return found.filter(({ kind, holder }) => !(mayStay[kind] && holder !== undefined && alive.includes(holder)));
}
