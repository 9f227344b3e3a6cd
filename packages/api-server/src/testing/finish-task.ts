import type { Seq, Task } from "@sluice/core";
import { changedTopic, type Signals } from "@sluice/queue";
import type { Store } from "@sluice/store";

let epoch = 0;

/** Does what the owner of the task's lane does when an attempt starts. */
export async function startAttempt(store: Store, signals: Signals, { seq, queue, lane }: Task): Promise<void> {
  const owner = await own(store, queue);
  const started = { startedAt: 1_000, agentId: "agent-1", instanceId: "instance-1", progress: undefined };
  await store.lanes.write(owner, [{ kind: "running", seq, attempt: 1, lane, ...started }]);
  signals.send(changedTopic, String(seq));
}

/** Does what the owner of the task's lane does when its last attempt ended. */
export async function finishTask(store: Store, signals: Signals, { seq, queue, lane }: Task): Promise<void> {
  await settle(store, { seq, queue, lane });
  signals.send(changedTopic, `${seq + 1000},${seq}`);
}

/** The same without the hint. */
export async function settle(
  store: Store,
  { seq, queue, lane }: { readonly seq: Seq; readonly queue: string; readonly lane: number },
): Promise<void> {
  const owner = await own(store, queue);
  await store.lanes.write(owner, [
    {
      kind: "settle",
      seq,
      attempt: 1,
      lane,
      status: "Succeeded",
      result: Buffer.from("done"),
      error: undefined,
      startedAt: 1_000,
      agentId: "agent-1",
      instanceId: "instance-1",
      events: [{ status: "Succeeded", at: 2_000, attempt: 1 }],
    },
  ]);
}

async function own(store: Store, queue: string) {
  epoch += 1;
  const owner = { queue, prefix: "", epoch };
  await store.lanes.raiseFloor(owner);
  return owner;
}
