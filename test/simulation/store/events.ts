// The events of a row: the first and the last ones stay.
import type { TaskEvent } from "@sluice/core";
import { eventsKept } from "@sluice/store";
import type { Row } from "./rows.ts";

/** The row does not hold the first of them. */
const rest = { first: eventsKept.first - 1, last: eventsKept.last };

export function addEvents(row: Row, added: readonly TaskEvent[]): void {
  const events = [...row.events, ...added];
  const leftOut = Math.max(0, events.length - rest.first - rest.last);
  row.eventsLeftOut += leftOut;
  row.events = events.toSpliced(rest.first, leftOut);
}
