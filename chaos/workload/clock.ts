/** CLOCK_MONOTONIC, in ns, when the harness started: what people read should begin near 0. */
export const ledgerStart = process.hrtime.bigint();

/** The ledger's clock: ms since the harness started, of the clock that all processes of the machine share. */
export function ledgerNow(): number {
  return ledgerTime(process.hrtime.bigint(), ledgerStart);
}

/** What CLOCK_MONOTONIC says, in ns, as ms since `start`; whole microseconds. */
export function ledgerTime(ns: bigint, start: bigint): number {
  return Number((ns - start) / 1_000n) / 1_000;
}

/** Wall time of the ledger's 0. */
export function wallStartNow(): number {
  return Date.now() - ledgerNow();
}
