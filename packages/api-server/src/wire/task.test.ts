import type { TaskEvent } from "@sluice/core";
import { aTask } from "@sluice/core/testing";
import { eventsKept } from "@sluice/store";
import { expect, test } from "vitest";
import { toWireTask } from "./task.ts";

test("the ids of events that are left out are left out, too", () => {
  const count = eventsKept.first + eventsKept.last;
  const events = Array.from({ length: count }, (_, at): TaskEvent => ({ status: "Dequeued", at, attempt: 1 }));

  const whole = toWireTask(aTask({ events }));
  const cut = toWireTask(aTask({ events, eventsLeftOut: 7 }));

  expect(whole.events.map(({ eventId }) => eventId)).toEqual(events.map((_, index) => index + 1));
  expect(cut.events[eventsKept.first - 1]?.eventId).toBe(eventsKept.first);
  expect(cut.events[eventsKept.first]?.eventId).toBe(eventsKept.first + 1 + 7);
  expect(cut.events.at(-1)?.eventId).toBe(count + 7);
  expect([whole.eventsLeftOut, cut.eventsLeftOut]).toEqual([0, 7]);
});
