import { openFolder, startNats } from "@sluice/testbed";
import { afterAll, beforeAll, beforeEach } from "vitest";
import { aBlock, pullAll, seqsOf } from "../../conformance/world.ts";
import type { Block, Consumer } from "../../index.ts";
import { type DriverOptions, openDriver, openMeddler, untilUp } from "./world.ts";

/** One server for all tests of a file, without a stream when a test begins. */
export function useOneServer(name: string) {
  const folder = openFolder({ name });
  let servers: Awaited<ReturnType<typeof startNats>> = [];
  beforeAll(async () => {
    servers = await startNats({ dataDir: folder.path });
  });
  afterAll(async () => {
    for (const each of servers) await each[Symbol.asyncDispose]();
    folder.delete();
  });
  beforeEach(async () => {
    await using meddler = await openMeddler(server());
    await meddler.deleteStream().catch(() => undefined);
  });
  function server() {
    const [first] = servers;
    if (first === undefined) throw new Error("no server was started");
    return first;
  }
  return {
    folder,
    server,
    /** That is not up yet. */
    openDriver: (options: DriverOptions = {}) => openDriver(servers, options),
    /** One that is up. No block is due again within a test but where its `ackWaitMs` is given. */
    async upDriver(options: DriverOptions = {}) {
      const driver = openDriver(servers, { ackWaitMs: 60_000, ...options });
      await untilUp(driver);
      return driver;
    },
  };
}

export function numbers(from: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => from + index);
}

/** A block per number, spread over the lanes. */
export function blocksOf(seqs: readonly number[]): Block[] {
  return seqs.map((seq) => aBlock({ lane: seq % 32, seqs: [seq] }));
}

export async function pullNumbers(consumer: Consumer, count: number): Promise<number[]> {
  return seqsOf(await pullAll(consumer, count));
}
