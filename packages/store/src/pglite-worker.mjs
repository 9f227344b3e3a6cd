// The thread in which PGlite runs: it blocks its event loop while it works. Plain JavaScript, because a worker does not
// inherit the loader that runs TypeScript. Bytes in, bytes out; everything else happens on the other side.
import { parentPort, workerData } from "node:worker_threads";
import { PGlite } from "@electric-sql/pglite";

const { dataDir, settings } = workerData;
const database = await PGlite.create({ dataDir, startParams: [...PGlite.defaultStartParams, ...settings] });

parentPort.on("message", async ({ id, request }) => {
  try {
    if (request === undefined) {
      await database.close();
      parentPort.postMessage({ id });
      return;
    }
    const answer = await database.execProtocolRaw(request);
    parentPort.postMessage({ id, answer }, [answer.buffer]);
  } catch (error) {
    parentPort.postMessage({ id, error: String(error?.stack ?? error) });
  }
});
parentPort.postMessage({ id: 0 });
