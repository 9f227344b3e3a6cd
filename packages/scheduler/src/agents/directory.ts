// The agents that exist, as the store lists them, and one link to each.
//
//   listed ──▶ linked ──silent for `fenceAfterMs`──▶ fenced ──not renewed for `deadAfterMs`──▶ marked dead ──▶ gone
//
// The store's list is what counts: etcd keys are only hints, because a key may vanish early or with all of etcd. An owner
// that reaches less than half of its agents is probably itself the one that is cut off: it fences nobody. Neither does one
// that has stood still (stopped, or its event loop blocked) for a silence that it has slept through: when it wakes up, agents
// are heard again one after the other, and the late ones would be fenced although nothing is wrong with them.

import { agentKey, type Coordinator } from "@sluice/coordination";
import { type Clock, createWake, type Loop, type Random, runAll } from "@sluice/core";
import { agentsTopic, type Signals } from "@sluice/queue";
import type { Logger } from "@sluice/runtime";
import type { AgentRecord, Store } from "@sluice/store";
import { AgentLink, type AgentLinkDeps, type PartitionPort } from "./link.ts";

export interface DirectoryDeps extends Omit<AgentLinkDeps, "nextSession"> {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly store: Store;
  readonly coordinator: Coordinator;
  readonly signals: Signals;
  readonly agentsEveryMs: number;
  readonly fenceAfterMs: number;
  readonly deadAfterMs: number;
  readonly onFenced: () => void;
}

export interface AgentDirectory {
  /** One for each listed agent; another array whenever one has come or gone. */
  readonly links: readonly AgentLink[];
  /** True while less than half of the agents can be reached. */
  readonly isCutOff: boolean;
  /**
   * Attaches a partition to every agent, now and as they come. Before that it puts the agents of a list that was read after
   * this call began into `unanswered`: whoever is not among them got the raised floors at its registration.
   */
  attach(port: PartitionPort, unanswered: Set<string>): Promise<void>;
  detach(port: PartitionPort): void;
  /** The agents that the store lists, read after this call began; `links` has one for each of them then. */
  listed(): Promise<readonly string[]>;
  run(signal: AbortSignal): Promise<void>;
}

/** It is looked so often at least whether this process stood still; twice the time between two looks says so. */
const awakeEveryMs = 1_000;

export function createAgentDirectory(deps: DirectoryDeps): AgentDirectory {
  const { clock, log, store, coordinator } = deps;
  const links = new Map<string, { link: AgentLink; stop: AbortController; done: Promise<void> }>();
  let listed: readonly AgentLink[] = [];
  const relink = () => {
    listed = [...links.values()].map(({ link }) => link);
  };
  const ports = new Set<PartitionPort>();
  const wake = createWake(clock);
  let running: AbortSignal | undefined;
  let lastSession = 0;
  /** Monotonic; from then on this process did not stand still, as far as it was looked. */
  let awakeSince = Number.NEGATIVE_INFINITY;
  let lookedAt = Number.POSITIVE_INFINITY;
  const linkDeps: AgentLinkDeps = { ...deps, nextSession: () => ++lastSession };

  function open(record: AgentRecord): void {
    if (!running) return;
    const link = new AgentLink(linkDeps, record);
    link.fenced = record.fenced;
    const stop = new AbortController();
    links.set(record.agentId, { link, stop, done: link.run(AbortSignal.any([running, stop.signal])) });
    relink();
    for (const port of ports) link.attach(port);
  }

  function close(agentId: string): void {
    links.get(agentId)?.stop.abort();
    links.delete(agentId);
    relink();
  }

  /** Makes the links equal to the list. */
  function follow(records: readonly AgentRecord[]): void {
    const recordOf = new Map(records.map((record) => [record.agentId, record]));
    for (const [agentId, { link }] of [...links]) {
      const record = recordOf.get(agentId);
      if (record && record.incarnation <= link.incarnation) {
        if (record.incarnation === link.incarnation) link.fenced = record.fenced;
        continue;
      }
      close(agentId);
      log.info(record ? "agent has a new incarnation" : "agent is dead", { agentId, incarnation: link.incarnation });
      if (!record) for (const port of [...ports]) port.onAgentDead(agentId);
    }
    for (const record of records) if (!links.has(record.agentId)) open(record);
  }

  /** One list after the other: an older one handled late would declare a new agent dead. */
  let listing: Promise<unknown> = Promise.resolve();
  function relist(): Promise<AgentRecord[]> {
    const next = listing.then(async () => {
      const records = await store.agents.list();
      if (running && !running.aborted) follow(records);
      return records;
    });
    listing = next.catch(() => undefined);
    return next;
  }

  const reachable = () => [...links.values()].filter(({ link }) => heardLately(link)).length;
  const heardLately = (link: AgentLink) => {
    // Whoever judges looks at its own gap first: an answer that waited meanwhile may be handled before any timer is.
    noticeGap();
    return clock.monotonic() - Math.max(link.lastHeardAt, awakeSince) < deps.fenceAfterMs;
  };

  function noticeGap(): void {
    const now = clock.monotonic();
    if (now - lookedAt > 2 * awakeEveryMs) awakeSince = now;
    lookedAt = now;
  }

  async function fenceSilent(records: readonly AgentRecord[]): Promise<void> {
    for (const record of records) {
      const link = links.get(record.agentId)?.link;
      if (!link || link.incarnation !== record.incarnation || heardLately(link)) continue;
      if (isCutOff()) continue;
      await endAgent(record);
    }
  }

  /**
   * The key first: an agent lives while either of the two places renews it, so its silence is counted from when both
   * refuse. Each step is repeated at the next look until it has succeeded.
   */
  async function endAgent(record: AgentRecord): Promise<void> {
    const { agentId, incarnation } = record;
    if (await deleteKey(record)) wake.notify();
    else if (!record.fenced) {
      if (!(await store.agents.fence({ agentId, incarnation }))) return;
      // A registration that was under way may have put it meanwhile.
      await deleteKey(record);
      log.warn("fenced an agent that does not answer", { agentId, incarnation });
      deps.onFenced();
    } else if (await store.agents.markDead({ agentId, incarnation }, deps.deadAfterMs)) wake.notify();
  }

  /** False: the incarnation has none. */
  async function deleteKey({ agentId, incarnation }: AgentRecord): Promise<boolean> {
    const key = await coordinator.get(agentKey(agentId));
    if (key?.value !== String(incarnation)) return false;
    await coordinator.commit([{ key: key.key, modRevision: key.modRevision }], [{ op: "delete", key: key.key }]);
    return true;
  }

  function isCutOff(): boolean {
    return reachable() * 2 < links.size;
  }

  const look: Loop = async (signal) => {
    const stopListening = deps.signals.listen(agentsTopic, () => wake.notify());
    try {
      while (!signal.aborted) {
        try {
          await fenceSilent(await relist());
        } catch (cause) {
          log.warn("cannot list agents", { cause: String(cause) });
        }
        await wake.wait(signal, deps.agentsEveryMs);
      }
    } finally {
      stopListening();
    }
  };

  const noticeStandstill: Loop = async (signal) => {
    lookedAt = clock.monotonic();
    while (!signal.aborted) {
      await clock.sleep(awakeEveryMs, signal);
      noticeGap();
    }
  };

  return {
    get links() {
      return listed;
    },
    get isCutOff() {
      return isCutOff();
    },
    async attach(port, unanswered) {
      for (const { agentId } of await relist()) unanswered.add(agentId);
      ports.add(port);
      for (const { link } of links.values()) link.attach(port);
    },
    detach(port) {
      ports.delete(port);
      for (const { link } of links.values()) link.detach(port);
    },
    async listed() {
      return (await relist()).map(({ agentId }) => agentId);
    },
    async run(signal) {
      running = signal;
      try {
        await runAll(signal, noticeStandstill, look);
      } finally {
        const ending = [...links.values()];
        for (const agentId of [...links.keys()]) close(agentId);
        await Promise.all(ending.map(({ done }) => done));
      }
    },
  };
}
