import { AccountId, type Task } from "@sluice/core";
import type { Store } from "@sluice/store";

const pageSize = 1_000;

/** Every row of an account, with payload and result. */
export async function rowsOf(store: Store, account: string): Promise<Task[]> {
  const rows: Task[] = [];
  for (;;) {
    const last = rows.at(-1);
    const page = await store.tasks.list({
      accountId: AccountId(account),
      order: "oldest",
      limit: pageSize,
      includePayload: true,
      ...(last && { after: { enqueuedAt: last.enqueuedAt, seq: last.seq } }),
    });
    rows.push(...page);
    if (page.length < pageSize) return rows;
  }
}
