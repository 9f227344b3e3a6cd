// Group look: the messages of all callers share questions to the store, one question at a time.
//
//   idle ──look──▶ asking ──answered, nothing waits──▶ idle
//                    └─answered, some wait: they share the next question
//
// An idle server asks at once, and a busy one asks larger questions by itself: whoever is refused, and however many messages they
// send, one connection of the store is busy with it at most.
import type { AccountId } from "@sluice/core";
import type { Store } from "@sluice/store";
import type { Draft } from "../parse-submission.ts";

export interface LookUps {
  /** So many more drafts of an account may wait for an answer. */
  roomOf(accountId: AccountId): number;
  /** The answer has, of these drafts of one account, those whose task exists. Rejects with what the store says. */
  look(drafts: readonly Draft[]): Promise<ReadonlySet<Draft>>;
}

/** Of one question; a message with more has one to itself. */
export const draftsPerQuestion = 2_000;
/** On one api-server: some tenths of a second. Of one account no more than fit into a question, so that others have room, too. */
export const waitingMax = 40_000;

interface Look {
  readonly drafts: readonly Draft[];
  readonly resolve: (known: ReadonlySet<Draft>) => void;
  readonly reject: (cause: unknown) => void;
}

export function createLookUps(store: { readonly tasks: Pick<Store["tasks"], "known"> }): LookUps {
  const waiting: Look[] = [];
  /** Of those and of the question under way; and how many are whose. */
  let unanswered = 0;
  const unansweredOf = new Map<AccountId, number>();
  let isAsking = false;

  async function askAll(): Promise<void> {
    isAsking = true;
    // Messages of the same turn share the first question.
    await Promise.resolve();
    while (waiting.length > 0) await ask(takeGroup());
    isAsking = false;
  }

  function takeGroup(): Look[] {
    let drafts = 0;
    const tooMany = waiting.findIndex((look, index) => {
      drafts += look.drafts.length;
      return index > 0 && drafts > draftsPerQuestion;
    });
    return waiting.splice(0, tooMany < 0 ? waiting.length : tooMany);
  }

  function count(drafts: readonly Draft[], change: 1 | -1): void {
    unanswered += change * drafts.length;
    const accountId = drafts[0]?.accountId;
    if (accountId === undefined) return;
    const left = (unansweredOf.get(accountId) ?? 0) + change * drafts.length;
    if (left > 0) unansweredOf.set(accountId, left);
    else unansweredOf.delete(accountId);
  }

  async function ask(group: readonly Look[]): Promise<void> {
    const drafts = group.flatMap((look) => look.drafts);
    try {
      const known = new Set(await store.tasks.known(drafts));
      for (const { resolve } of group) resolve(known);
    } catch (cause) {
      for (const { reject } of group) reject(cause);
    } finally {
      for (const look of group) count(look.drafts, -1);
    }
  }

  return {
    roomOf(accountId) {
      const ofAccount = draftsPerQuestion - (unansweredOf.get(accountId) ?? 0);
      return Math.max(0, Math.min(ofAccount, waitingMax - unanswered));
    },
    look(drafts) {
      return new Promise((resolve, reject) => {
        waiting.push({ drafts, resolve, reject });
        count(drafts, 1);
        if (!isAsking) void askAll();
      });
    },
  };
}
