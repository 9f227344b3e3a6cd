/** The ledger's clock: ms since the machine started, the same in every process of it. */
export function ledgerNow(): number {
  return Number(process.hrtime.bigint() / 1_000n) / 1_000;
}

/** Wall time of the ledger's 0. */
export function wallStartNow(): number {
  return Date.now() - ledgerNow();
}
