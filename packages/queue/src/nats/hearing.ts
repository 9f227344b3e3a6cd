// What is published to a partition, as it is published: a plain subscription beside the stream's. It takes nothing from the
// consumers, and hears nothing while no server is connected.
import { type Partition, priorities } from "@sluice/core";
import type { Logger } from "@sluice/runtime";
import type { Msg, Subscription } from "nats";
import type { Block } from "../index.ts";
import { decodeBlock } from "./block-codec.ts";
import type { Connection, Session } from "./connection.ts";
import { filterOf, parseSubject } from "./subjects.ts";

/** Returns how to stop. */
export function hearBlocks(
  { connection, log }: { readonly connection: Connection; readonly log: Logger },
  partition: Partition,
  listener: (block: Block) => void,
): () => void {
  let session: Session | undefined;
  let subscriptions: Subscription[] = [];

  /** Must not throw: it runs inside the library's reader. */
  function tell(message: Msg): void {
    const address = parseSubject(message.subject);
    const payload = decodeBlock(message.data);
    if (address === undefined || payload === undefined) return;
    try {
      listener({ ...address, ...payload });
    } catch (cause) {
      log.error("a listener failed at a block", { cause });
    }
  }

  function subscribe(): void {
    if (connection.session === session) return;
    session = connection.session;
    subscriptions = [];
    if (session === undefined || session.connection.isClosed()) return;
    const { connection: server } = session;
    subscriptions = priorities.map((priority) =>
      server.subscribe(filterOf({ ...partition, priority }), {
        callback: (error, message) => {
          if (error === null) tell(message);
        },
      }),
    );
  }

  subscribe();
  const stopWatching = connection.watch(subscribe);
  return () => {
    stopWatching();
    for (const subscription of subscriptions) subscription.unsubscribe();
  };
}
