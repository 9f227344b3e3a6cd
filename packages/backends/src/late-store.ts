import { AppError } from "@sluice/core";
import type { Store } from "@sluice/store";

type Part = Exclude<keyof Store, "ping" | symbol>;
type Method = (...input: readonly unknown[]) => Promise<unknown>;

/**
 * A store that is still being opened: until then every call rejects with `STORE_UNAVAILABLE`, as when it is away later on.
 * Closing it closes what `opening` gives; who waits for `opening` hears why it failed.
 */
export function lateStore(opening: Promise<Store>): Store {
  let opened: Store | undefined;
  opening.then(
    (store) => {
      opened = store;
    },
    () => undefined,
  );
  const unavailable = () =>
    new AppError("unavailable", "STORE_UNAVAILABLE", "the store is not open yet; try again", { retryAfterMs: 1_000 });

  function part<P extends Part>(name: P): Store[P] {
    const call =
      (method: string) =>
      async (...input: readonly unknown[]) => {
        if (!opened) throw unavailable();
        const methods = opened[name] as unknown as Readonly<Record<string, Method>>;
        return methods[method]?.(...input);
      };
    const calls = new Map<string, Method>();
    return new Proxy({} as Store[P], {
      get(_target, method) {
        // Whoever awaits something asks it whether it is a promise.
        if (typeof method !== "string" || method === "then") return undefined;
        const known = calls.get(method) ?? call(method);
        calls.set(method, known);
        return known;
      },
    });
  }

  return {
    tasks: part("tasks"),
    lanes: part("lanes"),
    control: part("control"),
    batches: part("batches"),
    functions: part("functions"),
    accounts: part("accounts"),
    agents: part("agents"),
    logs: part("logs"),
    async ping() {
      if (!opened) throw unavailable();
      return opened.ping();
    },
    async [Symbol.asyncDispose]() {
      const store = await opening.catch(() => undefined);
      await store?.[Symbol.asyncDispose]();
    },
  };
}
