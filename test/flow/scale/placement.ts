// A thousand schedulers and ten thousand partitions, placed by what the load-balancer places with: how even it is, what a round
// costs, and how little moves when one comes or goes.
import { type AssignmentInput, assignPartitions } from "@sluice/core";
import { seededRandom } from "@sluice/core/testing";

export interface PlacementOptions {
  readonly schedulers: number;
  readonly partitions: number;
  readonly seed: number;
}

/** One call of the load-balancer's policy. */
export interface PlacementStep {
  readonly name: string;
  /** The highest load of a scheduler, in shares of what its capacity deserves. */
  readonly highest: number;
  readonly lowest: number;
  /** Partitions that have another owner than before, in all, and of those whose owner was still there. */
  readonly moved: number;
  readonly movedOfLiving: number;
  /** Calls until it came to rest. */
  readonly rounds: number;
  /** CPU time of the first call, in ms; not asserted by any test. */
  readonly firstMs: number;
}

type Members = AssignmentInput["members"];
const roundsMax = 200;

export function placeAtScale({ schedulers, partitions: count, seed }: PlacementOptions): PlacementStep[] {
  const random = seededRandom(seed);
  const members: Members = Array.from({ length: schedulers }, (_, index) => ({
    id: `s${index}`,
    capacity: index % 4 === 0 ? 2 : 1,
  }));
  const partitions = Array.from({ length: count }, (_, index) => ({
    key: `q${index >> 3}/${(index & 7).toString(2).padStart(3, "0")}`,
    // A few are busy.
    load: random.next() < 0.01 ? 5 : 1,
  }));
  const steps: PlacementStep[] = [];
  let current: ReadonlyMap<string, string> = new Map();

  function step(name: string, present: Members): void {
    const before = current;
    const living = new Set(present.map(({ id }) => id));
    const startedAt = performance.now();
    let firstMs = 0;
    let rounds = 0;
    for (let isResting = false; !isResting && rounds < roundsMax; rounds++) {
      const next = assignPartitions({ partitions, members: present, current });
      firstMs ||= performance.now() - startedAt;
      isResting = partitions.every(({ key }) => next.get(key) === current.get(key));
      current = next;
    }
    const moved = partitions.filter(({ key }) => before.has(key) && before.get(key) !== current.get(key));
    const shares = sharesOf(present);
    steps.push({
      name,
      highest: Math.max(...shares),
      lowest: Math.min(...shares),
      moved: moved.length,
      movedOfLiving: moved.filter(({ key }) => living.has(before.get(key) ?? "")).length,
      rounds,
      firstMs,
    });
  }

  function sharesOf(present: Members): number[] {
    const loads = new Map(present.map(({ id }) => [id, 0]));
    for (const { key, load } of partitions) {
      const owner = current.get(key) ?? "";
      loads.set(owner, (loads.get(owner) ?? 0) + load);
    }
    const total = partitions.reduce((sum, { load }) => sum + load, 0);
    const capacity = present.reduce((sum, member) => sum + member.capacity, 0);
    return present.map((member) => ((loads.get(member.id) ?? 0) * capacity) / (total * member.capacity));
  }

  step("everything is placed", members);
  step("one scheduler dies", members.slice(1));
  step("it comes back", members);
  step("fifty die at once", members.slice(50));
  step("they come back", members);
  return steps;
}
