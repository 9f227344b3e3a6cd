import { laneCount } from "@sluice/core";
import fc from "fast-check";
import { expect, test } from "vitest";
import { outcomeOf } from "../outcome.ts";
import type { Attempt } from "./attempt.ts";
import { anOwner, openGate } from "./testing.ts";

// Two owners, of epochs 1 and 2, each with several sessions on streams of their own. Frames of one stream arrive in order, but
// those of different streams in any; each frame may arrive twice.
const session = fc.integer({ min: 1, max: 3 });
const who = fc.record({ epoch: fc.integer({ min: 1, max: 2 }), session });
const prefix = fc.constantFrom("", "0", "1");
const ref = fc.record({
  seq: fc.integer({ min: 1, max: 4 }),
  attempt: fc.integer({ min: 1, max: 3 }),
  lane: fc.constantFrom(0, laneCount - 1),
});
const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("attach"), who, prefix }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("dispatch"), who, ref }) },
  // The owner that the lane listens to.
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("dispatch"), who: fc.constant(undefined), ref }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("stop"), who, ref }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("confirm"), who, ref }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("end"), index: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("break"), who }) },
) as fc.Arbitrary<Step>;

interface Who {
  readonly epoch: number;
  readonly session: number;
}
interface Ref {
  readonly seq: number;
  readonly attempt: number;
  readonly lane: number;
}
type Step =
  | { readonly kind: "attach"; readonly who: Who; readonly prefix: string }
  | { readonly kind: "dispatch"; readonly who: Who | undefined; readonly ref: Ref }
  | { readonly kind: "stop" | "confirm"; readonly who: Who; readonly ref: Ref }
  | { readonly kind: "end"; readonly index: number }
  | { readonly kind: "break"; readonly who: Who };

const slots = 3;

/** What the agent may do, told again as plainly as possible. */
class Model {
  readonly #attached = new Map<number, Who>();
  readonly started = new Map<string, number>();
  readonly #highest = new Map<number, number>();
  readonly running = new Set<Attempt>();
  /** Streams. */
  readonly ended = new Set<number>();

  attach(lanes: readonly number[], who: Who, wasRefused: boolean): void {
    const later = lanes.some((lane) => isLater(this.#attached.get(lane), who));
    expect(wasRefused).toBe(later);
    if (!wasRefused) for (const lane of lanes) this.#attached.set(lane, who);
  }

  ownerOf(lane: number): Who | undefined {
    return this.#attached.get(lane);
  }

  start(attempt: Attempt, who: Who): void {
    const { seq, attempt: number, lane } = attempt.ref;
    const key = `${seq}/${number}`;
    expect(this.started.has(key), `${key} starts twice`).toBe(false);
    expect(this.#attached.get(lane), "only the last attach of a lane starts anything").toEqual(who);
    expect(number, "attempts never go down").toBeGreaterThan(this.#highest.get(seq) ?? 0);
    expect(
      [...this.running].some(({ ref }) => ref.seq === seq),
      "one attempt of a task at a time",
    ).toBe(false);
    this.started.set(key, who.epoch);
    this.#highest.set(seq, number);
    this.running.add(attempt);
    expect(this.running.size).toBeLessThanOrEqual(slots);
  }
}

function streamOf({ epoch, session }: Who): number {
  return epoch * 10 + session;
}

function isLater(attached: Who | undefined, who: Who): boolean {
  if (!attached) return false;
  return attached.epoch > who.epoch || (attached.epoch === who.epoch && attached.session > who.session);
}

const lanesOf = { "": [0, 31], "0": [0], "1": [31] } as Readonly<Record<string, readonly number[]>>;

test("whatever two owners send in whatever order, no attempt starts twice, and none for an owner that was overtaken", () => {
  let startedAtAll = 0;
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: "max" }), (steps) => {
      const gate = openGate({ slots });
      const model = new Model();
      for (const step of steps) take(gate, model, step);
      startedAtAll += model.started.size;
      // Everything that runs is in the inventory of the next owner.
      const { inventory } = anOwner(gate, { epoch: 3, streamId: 99 }).attach();
      expect(new Set(inventory.filter(({ outcome }) => !outcome))).toEqual(model.running);
    }),
    { numRuns: 500 },
  );
  // About two a run: what is checked does happen.
  expect(startedAtAll).toBeGreaterThan(500);
});

function take(gate: ReturnType<typeof openGate>, model: Model, step: Step): void {
  if (step.kind === "end") {
    const attempt = [...model.running][step.index];
    if (!attempt) return;
    expect(gate.end(attempt, outcomeOf({ kind: "succeeded", result: Buffer.alloc(1) }, 1, 10))).toBe(true);
    model.running.delete(attempt);
    return;
  }
  const who = step.who ?? (step.kind === "dispatch" ? model.ownerOf(step.ref.lane) : undefined);
  // Nobody reads a stream that has ended.
  if (!who || model.ended.has(streamOf(who))) return;
  const owner = anOwner(gate, { ...who, streamId: streamOf(who) });
  switch (step.kind) {
    case "attach": {
      const { refused } = owner.attach([{ queue: "q", prefix: step.prefix, epoch: who.epoch }]);
      model.attach(lanesOf[step.prefix] ?? [], who, refused.length > 0);
      return;
    }
    case "dispatch":
      for (const { attempt } of owner.dispatch(step.ref).accepted) model.start(attempt, who);
      return;
    case "stop":
      for (const attempt of owner.stop(step.ref).running) expect(model.running.has(attempt)).toBe(true);
      return;
    case "confirm":
      for (const attempt of owner.confirm(step.ref)) {
        expect(model.running.has(attempt)).toBe(false);
        expect(who.epoch).toBeGreaterThanOrEqual(model.ownerOf(attempt.ref.lane)?.epoch ?? 0);
      }
      return;
    case "break":
      model.ended.add(streamOf(who));
      gate.detach(streamOf(who));
  }
}
