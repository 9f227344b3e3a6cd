// Who is refused how much when more is sent than can be admitted: max-min fairness by water-filling. A share f is found so
// that what is left of everybody, min(rate, weight·f), adds up to what can be admitted; whoever sends less than its share loses
// nothing. It is the law of CSFQ and AFD (drop 1 - f/rate), with f solved from the measured drain instead of integrated.

export interface Demand {
  /** Per second. */
  readonly rate: number;
  /** Share relative to the others; positive. */
  readonly weight: number;
}

export interface Supply {
  /** Per second, of all together. */
  readonly admissible: number;
  /** Per second, of those that are too small to have a demand of their own: admitted before anybody else. */
  readonly others: number;
  /** No more than this share of anybody is refused; default 1. */
  readonly dropMax?: number;
}

export interface FairShares {
  /** Per second and unit of weight; infinite: everything fits. */
  readonly share: number;
  /** The probability to refuse a submission, in the order of the demands. */
  readonly drops: readonly number[];
}

/** Costs as much as sorting the demands. */
export function fairShares(demands: readonly Demand[], { admissible, others, dropMax = 1 }: Supply): FairShares {
  const share = waterLevel(demands, admissible - others);
  const dropOf = ({ rate, weight }: Demand) =>
    rate > weight * share ? Math.min(dropMax, 1 - (weight * share) / rate) : 0;
  return { share, drops: demands.map(dropOf) };
}

/** The probability to refuse anybody of those that are too many although each of them is small. */
export function uniformDrop(rate: number, admissible: number, dropMax = 1): number {
  return rate > admissible ? Math.min(dropMax, 1 - Math.max(0, admissible) / rate) : 0;
}

/** f with sum of min(rate, weight·f) = room; infinite if everything fits. */
function waterLevel(demands: readonly Demand[], room: number): number {
  const ascending = [...demands].sort((a, b) => a.rate / a.weight - b.rate / b.weight);
  let left = room;
  let weights = ascending.reduce((sum, { weight }) => sum + weight, 0);
  for (const { rate, weight } of ascending) {
    const level = Math.max(0, left) / weights;
    if (rate / weight > level) return level;
    left -= rate;
    weights -= weight;
  }
  return Number.POSITIVE_INFINITY;
}
