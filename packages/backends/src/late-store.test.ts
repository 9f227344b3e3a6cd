import type { Store } from "@sluice/store";
import { expect, test } from "vitest";
import { lateStore } from "./late-store.ts";

/** Answers `ping` and `agents.list`, and tells when it was closed. */
function aStore() {
  const calls: string[] = [];
  const store = {
    agents: {
      rows: [{ agentId: "a" }],
      async list() {
        return this.rows;
      },
    },
    ping: async () => void calls.push("ping"),
    [Symbol.asyncDispose]: async () => void calls.push("close"),
  };
  return { store: store as unknown as Store, calls };
}

function deferred<T>() {
  let resolve: (value: T) => void = () => undefined;
  let reject: (cause: unknown) => void = () => undefined;
  const promise = new Promise<T>((onValue, onCause) => {
    resolve = onValue;
    reject = onCause;
  });
  return { promise, resolve, reject };
}

test("until the store is open every call is refused as one that may be repeated", async () => {
  const opening = deferred<Store>();
  const late = lateStore(opening.promise);
  const { agents } = late;
  await expect(agents.list()).rejects.toMatchObject({ code: "unavailable", reason: "STORE_UNAVAILABLE" });
  await expect(late.ping()).rejects.toMatchObject({ reason: "STORE_UNAVAILABLE" });

  const { store, calls } = aStore();
  opening.resolve(store);
  await opening.promise;

  expect(await agents.list()).toEqual([{ agentId: "a" }]);
  await late.ping();
  await late[Symbol.asyncDispose]();
  expect(calls).toEqual(["ping", "close"]);
});

test("one that was never opened is closed without a failure", async () => {
  const opening = deferred<Store>();
  const late = lateStore(opening.promise);
  opening.reject(new Error("away"));
  await late[Symbol.asyncDispose]();
});

test("a part of it is no promise, so that it may be awaited", async () => {
  const { agents } = lateStore(new Promise(() => {}));
  expect(await agents).toBe(agents);
});
