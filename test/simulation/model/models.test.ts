// In calm times the models are what the real ones are: they pass the same suites.
import { describeCoordinator } from "@sluice/coordination/conformance";
import { FakeClock } from "@sluice/core/testing";
import { describeQueue } from "@sluice/queue/conformance";
import { createMemorySignals } from "@sluice/queue/memory";
import { EtcdModel } from "./etcd.ts";
import { JetStreamModel } from "./jetstream/queue.ts";

describeCoordinator("of the simulation", async () => {
  const clock = new FakeClock();
  const coordinator = new EtcdModel({ clock, lateMs: () => 0 });
  return {
    coordinator,
    other: coordinator,
    ttlMs: 6_000,
    pass: (ms) => clock.advance(ms),
    [Symbol.asyncDispose]: () => coordinator[Symbol.asyncDispose](),
  };
});

describeQueue("of the simulation", async () => {
  const clock = new FakeClock();
  const queue = new JetStreamModel({ clock, ackWaitMs: 1_000 });
  return {
    queue,
    signals: createMemorySignals(),
    ackWaitMs: 1_000,
    pass: (ms) => clock.advance(ms),
    [Symbol.asyncDispose]: () => queue[Symbol.asyncDispose](),
  };
});
