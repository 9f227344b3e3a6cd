import type { Session } from "./connection.ts";
import { unavailable } from "./failures.ts";
import { hasNoResponders } from "./replies.ts";

export type Verdict = "+ACK" | "+WPI" | "+TERM";

const chunkMax = 1_000;
const deadlineMs = 5_000;

/**
 * Says the same of many deliveries. The server takes them in their order and confirms the last one of a chunk, so a round
 * trip per thousand proves that all were taken in. False: there is no such consumer.
 */
export async function confirm(session: Session, ackSubjects: readonly string[], verdict: Verdict): Promise<boolean> {
  for (let start = 0; start < ackSubjects.length; start += chunkMax) {
    const chunk = ackSubjects.slice(start, start + chunkMax);
    const last = chunk.pop();
    if (last === undefined) break;
    try {
      for (const subject of chunk) session.connection.publish(subject, verdict);
    } catch (cause) {
      throw unavailable("the connection to NATS is closed", cause);
    }
    const answer = await session.replies.request({ subject: last, payload: verdict, deadlineMs });
    if (hasNoResponders(answer)) return false;
  }
  return true;
}
