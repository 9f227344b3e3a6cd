// How an agent's slots are divided between the owners that send it work. Schedulers do not know of each other: were each
// told the free slots alone, three of them would send three times what fits, and most of it would be refused, read again
// and sent again.
//
// What is free is divided equally between those that are active. One that has more than its fair share gives back what ends
// as long as another one that is active has less; and one slot of many stays free for who begins.

export interface SlotOwner {
  /** Attempts of it that run here. */
  readonly used: number;
  /** It has sent attempts lately, whether they were accepted or not. */
  readonly isActive: boolean;
}

/** What the fair share of another owner may grow by until the next report, as a part of the slots. */
const stepShare = 1 / 16;
/** An agent with fewer slots keeps none free. */
const manySlots = 16;

/**
 * Attempts that an owner may have here at the same time, those that it has included. If everybody keeps to what it was told,
 * those that are active exceed the slots by less than one each; those that begin at the same time, by what is free at most.
 */
export function offerTo(owner: SlotOwner, others: readonly SlotOwner[], slots: number): number {
  const usedElsewhere = others.reduce((sum, { used }) => sum + used, 0);
  const free = Math.max(0, slots - usedElsewhere - owner.used);
  if (others.length === 0) return owner.used + free;
  const active = others.filter(({ isActive }) => isActive);
  const parties = owner.isActive ? active.length + 1 : others.length + 1;
  const offered = owner.used + Math.ceil(free / parties);
  const fair = Math.ceil(slots / parties);
  const step = Math.max(1, Math.floor(slots * stepShare));
  const wanted = active.reduce((sum, { used }) => sum + Math.max(0, Math.min(step, fair - used)), 0);
  const forBeginners = active.length < others.length && slots >= manySlots ? 1 : 0;
  return Math.min(offered, Math.max(fair - forBeginners, slots - usedElsewhere - wanted - forBeginners));
}
