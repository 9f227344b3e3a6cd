// Group look: the messages of all callers share questions to the store, one question at a time.
//
//   idle ──look──▶ asking ──answered, nothing waits──▶ idle
//                    └─answered, some wait: they share the next question
//
// An idle server asks at once, and a busy one asks larger questions by itself: whoever is refused, and however many messages they
// send, one connection of the store is busy with it at most.
import type { Store } from "@sluice/store";
import type { Draft } from "../parse-submission.ts";

export interface LookUps {
  /** So many more drafts may wait for an answer. */
  readonly room: number;
  /** The answer has, of these drafts, those whose task exists. Rejects with what the store says. */
  look(drafts: readonly Draft[]): Promise<ReadonlySet<Draft>>;
}

/** Of one question; a message with more has one to itself. */
export const draftsPerQuestion = 2_000;
/** On one api-server: some tenths of a second. */
export const waitingMax = 10_000;

interface Look {
  readonly drafts: readonly Draft[];
  readonly resolve: (known: ReadonlySet<Draft>) => void;
  readonly reject: (cause: unknown) => void;
}

export function createLookUps(store: { readonly tasks: Pick<Store["tasks"], "known"> }): LookUps {
  const waiting: Look[] = [];
  /** Of those and of the question under way. */
  let unanswered = 0;
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

  async function ask(group: readonly Look[]): Promise<void> {
    const drafts = group.flatMap((look) => look.drafts);
    try {
      const known = new Set(await store.tasks.known(drafts));
      for (const { resolve } of group) resolve(known);
    } catch (cause) {
      for (const { reject } of group) reject(cause);
    } finally {
      unanswered -= drafts.length;
    }
  }

  return {
    get room() {
      return Math.max(0, waitingMax - unanswered);
    },
    look(drafts) {
      return new Promise((resolve, reject) => {
        waiting.push({ drafts, resolve, reject });
        unanswered += drafts.length;
        if (!isAsking) void askAll();
      });
    },
  };
}
