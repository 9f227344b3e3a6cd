import { FakeClock } from "@sluice/core/testing";
import type { AgentStatus } from "@sluice/protocol";
import { expect, test } from "vitest";
import { AgentRoom } from "./agent-room.ts";

class TestRoom extends AgentRoom {
  hear(told: Partial<AgentStatus>): void {
    const nothing = {
      preemptible: [],
      slots: 64,
      slotsUsed: 0,
      warmRevisions: [],
      draining: false,
      instancesMax: 0,
      memoryMaxMb: 0,
    };
    this.followStatus({ ...nothing, slotsOffered: undefined, ...told });
  }
}

test("a scheduler keeps to what an agent offers it, what is on its way included", () => {
  const room = new TestRoom(new FakeClock(), 64);
  room.used = 10;
  room.hear({ slotsUsed: 40, slotsOffered: 18 });
  expect(room.free).toBe(8);
  room.used = 20;
  expect(room.free).toBe(0);
});

test("of an agent that offers nothing in particular it counts what others use", () => {
  const room = new TestRoom(new FakeClock(), 64);
  room.used = 10;
  room.hear({ slotsUsed: 40 });
  expect(room.free).toBe(24);
  room.hear({ slotsUsed: 40, draining: true });
  expect(room.free).toBe(0);
});
