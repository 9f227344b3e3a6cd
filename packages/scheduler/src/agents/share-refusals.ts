// For which accounts an agent makes no room, because they run as much there as those that could give some: for them it is asked less
// and less often, while it says so. By account, or one that has everything urgent would keep the others from asking.
import type { AccountId, Clock, Priority } from "@sluice/core";

/** For whom room is asked. */
interface Asker {
  readonly accountId: AccountId;
  readonly priority: Priority;
}

interface Refusal {
  /** For a more urgent task more may be stopped. */
  readonly priority: Priority;
  /** Monotonic. */
  readonly until: number;
  readonly waitMs: number;
}

const waitFirstMs = 500;
const waitMaxMs = 8_000;

export class ShareRefusals {
  readonly #clock: Clock;
  readonly #byAccount = new Map<AccountId, Refusal>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add({ accountId, priority }: Asker): void {
    const now = this.#clock.monotonic();
    for (const [account, { until }] of this.#byAccount) if (until + waitMaxMs < now) this.#byAccount.delete(account);
    const before = this.#byAccount.get(accountId);
    const waitMs = before ? Math.min(waitMaxMs, 2 * before.waitMs) : waitFirstMs;
    this.#byAccount.set(accountId, { priority, until: now + waitMs, waitMs });
  }

  /** It has made room for the account. */
  delete(accountId: AccountId): void {
    this.#byAccount.delete(accountId);
  }

  /** Whether it is not to be asked for that now. */
  has({ accountId, priority }: Asker): boolean {
    const refusal = this.#byAccount.get(accountId);
    return refusal !== undefined && priority >= refusal.priority && this.#clock.monotonic() < refusal.until;
  }
}
