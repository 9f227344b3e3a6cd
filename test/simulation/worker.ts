// Runs seeds, one after the other, in a process of its own. Argument: the kind of store.
import { setMaxListeners } from "node:events";
import type { SimulateOptions } from "./simulate.ts";

const send = process.send?.bind(process);
if (!send) throw new Error("worker.ts is started by seeds.ts");
// Dozens of loops wait on one signal.
setMaxListeners(0);
makeCheap();
// Loaded behind that.
const { openStoreOfRuns, simulate, storeKinds } = await import("./simulate.ts");
const store = await openStoreOfRuns(storeKinds.find((kind) => kind === process.argv[2]));
process.on("message", (options: SimulateOptions) => {
  simulate(store, options).then(
    (outcome) => send({ ...outcome, trace: outcome.violations.length > 0 ? outcome.trace : [] }),
    (cause: unknown) => {
      console.error(`seed ${options.seed} cannot be simulated; --seed ${options.seed} shows where`, cause);
      process.exit(1);
    },
  );
});
// Whoever asked is gone, or has asked for enough.
process.on("disconnect", () => process.exit());
send("ready");

/** What helps a person who looks at one run takes a sixth of the time of thousands that nobody looks at. */
function makeCheap(): void {
  // Errors are answers here, and nobody reads where they came from.
  Error.stackTraceLimit = 0;
  // What translates the source gives every function its own name once more, whenever it is made.
  const { defineProperty } = Object;
  Object.defineProperty = (target, key, descriptor) =>
    typeof target === "function" && key === "name" ? target : defineProperty(target, key, descriptor);
}
