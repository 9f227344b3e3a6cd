// Runs seeds, one after the other, in a process of its own. Argument: the kind of store.
import { setMaxListeners } from "node:events";
import { openStoreOfRuns, type SimulateOptions, simulate, storeKinds } from "./simulate.ts";

// Dozens of loops wait on one signal.
setMaxListeners(0);
// Errors are answers here, thousands of them. Whoever wants to see where one came from replays its seed (`--seed`).
Error.stackTraceLimit = 0;
const send = process.send?.bind(process);
if (!send) throw new Error("worker.ts is started by seeds.ts");
const store = await openStoreOfRuns(storeKinds.find((kind) => kind === process.argv[2]));
process.on("message", (options: SimulateOptions) => {
  simulate(store, options).then(
    (outcome) => send({ ...outcome, trace: outcome.violations.length > 0 ? outcome.trace : [] }),
    (cause: unknown) => {
      console.error(`seed ${options.seed} cannot be simulated`, cause);
      process.exit(1);
    },
  );
});
// Whoever asked is gone, or has asked for enough.
process.on("disconnect", () => process.exit());
send("ready");
