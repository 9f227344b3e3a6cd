// What a partition hears from its agents: inventories, ends, refusals, deaths.
//
// An inventory decides about every attempt of that agent: what it names is adopted after its row was read (a row that is
// final or at a higher attempt is only confirmed), what it does not name was never accepted and is read again. Frames that
// come while the rows of an inventory are being read wait for it.
import { flowKey } from "@sluice/core";
import type { AttemptEnded, AttemptRef, AttemptRefused, InventoryEntry } from "@sluice/protocol";
import { OutcomeKind, RefusalReason } from "@sluice/protocol";
import type { FunctionRecord, TaskRow } from "@sluice/store";
import type { AgentLink, PartitionPort } from "../agents/link.ts";
import { joinAgent, leaveAgent, type PartitionContext, passBy, pushWrite, putBack } from "./context.ts";
import { endTask, loseTask } from "./ends.ts";
import { rememberRow } from "./memory.ts";
import { refusedWrite } from "./outcome.ts";
import { roomAnswered } from "./preempt.ts";

const retryMs = 200;
const leavingLookMs = 10;
/** An agent that said it is full gets nothing for so long. */
const busyPauseMs = 50;

interface Adoption {
  /** Ends that came while rows were being read. */
  readonly ended: AttemptEnded[];
}

export function createPort(context: PartitionContext, signal: AbortSignal): PartitionPort {
  const adoptions = new Map<string, Adoption>();

  function onAttached(link: AgentLink, inventory: readonly InventoryEntry[]): void {
    const named = new Map(inventory.map((entry) => [keyOf(entry.ref), entry]));
    for (const task of [...context.memory.activeTasks()]) {
      if (task.agentId !== link.agentId || task.state !== "dispatched") continue;
      const entry = named.get(`${task.seq}-${task.attempt}`);
      if (!entry) {
        // This incarnation never accepted it. An earlier one may have: it kills what it runs before it ends.
        if (task.link?.incarnation === link.incarnation) putBack(context, task);
        else loseTask(context, task);
        continue;
      }
      named.delete(`${task.seq}-${task.attempt}`);
      task.stopSent = false;
      joinAgent(task, link);
      if (entry.outcome) endTask(context, link, task, { ...entry, outcome: entry.outcome });
    }
    const adoption: Adoption = { ended: [] };
    adoptions.set(link.agentId, adoption);
    void adopt(link, [...named.values()], adoption);
  }

  /** Runs until it succeeds, the partition ends, or a later inventory of the same agent replaces it. */
  async function adopt(link: AgentLink, entries: readonly InventoryEntry[], adoption: Adoption): Promise<void> {
    const isCurrent = () => !signal.aborted && adoptions.get(link.agentId) === adoption;
    while (isCurrent()) {
      const read = entries.length === 0 ? { rows: new Map(), functions: new Map() } : await readRows(entries);
      if (!isCurrent()) return;
      if (read && entries.some(isLeaving)) {
        // What becomes of it is not known yet, nor where it belongs: the expiry and the overflow pass do not read rows.
        await context.clock.sleep(leavingLookMs, signal);
        continue;
      }
      if (read) {
        for (const entry of entries) adoptEntry(context, port, link, entry, read);
        adoptions.delete(link.agentId);
        if (adoption.ended.length > 0) port.onEnded(link, adoption.ended);
        answered(context, link.agentId);
        return;
      }
      await context.clock.sleep(retryMs, signal);
    }
  }

  function isLeaving({ ref }: InventoryEntry): boolean {
    return ref !== undefined && context.memory.active(ref.seq)?.state === "leaving";
  }

  async function readRows(entries: readonly InventoryEntry[]): Promise<AdoptionRead | undefined> {
    try {
      const seqs = [...new Set(entries.flatMap(({ ref }) => (ref ? [ref.seq] : [])))];
      const rows = await context.store.lanes.read(context.owner, seqs);
      if (rows === "stale") {
        context.stepDown("a read was refused by the floor");
        return undefined;
      }
      const functions = await context.functions.read(rows);
      return { rows: new Map(rows.map((row) => [row.seq, row])), functions };
    } catch (cause) {
      context.log.warn("cannot read an inventory", { cause: String(cause) });
      return undefined;
    }
  }

  const port: PartitionPort = {
    owner: context.owner,
    now: () => context.clock.now(),
    onAttached,
    onEnded(link, attempts) {
      // It is the next owner's: the agent keeps it until somebody has confirmed it. A hand-off that settled what comes would
      // never end on a busy partition.
      if (context.draining) return;
      const adopting = adoptions.get(link.agentId);
      if (adopting) {
        adopting.ended.push(...attempts);
        return;
      }
      const unknown: InventoryEntry[] = [];
      for (const ended of attempts) {
        const { ref, outcome } = ended;
        if (!ref || !outcome) continue;
        const task = context.memory.active(ref.seq);
        if (task && task.attempt === ref.attempt && task.agentId === link.agentId) {
          if (task.state === "dispatched") endTask(context, link, task, { ...ended, outcome });
        } else {
          const { startedAtMs, instanceId } = ended;
          unknown.push({ ref, outcome, startedAtMs, instanceId, recovered: false });
        }
      }
      // Their slots are free now, not only when the outcomes are committed.
      context.wakeDispatch.notify();
      if (unknown.length === 0) return;
      // An end that was reported before, or that an earlier owner never heard of.
      const adoption: Adoption = { ended: [] };
      adoptions.set(link.agentId, adoption);
      void adopt(link, unknown, adoption);
    },
    onStarted(link, attempts) {
      for (const started of attempts) {
        const task = started.ref && context.memory.active(started.ref.seq);
        if (task?.state !== "dispatched" || task.attempt !== started.ref?.attempt) continue;
        const { startedAtMs: startedAt, instanceId, progress } = started;
        pushWrite(context, {
          write: {
            kind: "running",
            seq: task.seq,
            attempt: task.attempt,
            lane: task.origin.lane,
            startedAt,
            agentId: link.agentId,
            instanceId,
            progress: progress === "" ? undefined : progress,
          },
          confirmTo: undefined,
        });
      }
    },
    onRefused(link, attempts) {
      for (const refused of attempts) refusedAttempt(context, port, link, refused);
    },
    onFlowsAnswered: (link, answers) => context.homes.answered(link, answers),
    onRoomAnswer: (link, answer) => roomAnswered(context, link, answer),
    onStale: () => context.stepDown("an agent has seen a higher epoch"),
    onRoom: () => context.wakeDispatch.notify(),
    onAgentDead(agentId) {
      adoptions.delete(agentId);
      for (const task of [...context.memory.activeTasks()]) {
        if (task.agentId !== agentId || task.state !== "dispatched") continue;
        loseTask(context, task);
      }
      if (!context.unanswered.has(agentId)) return;
      for (const { state, seq } of context.memory.activeTasks()) {
        if (state === "held" && !context.suspects.has(seq))
          context.suspects.set(seq, { attempt: 0, witnesses: new Set(), end: undefined });
      }
      answered(context, agentId);
    },
  };
  return port;
}

interface AdoptionRead {
  readonly rows: ReadonlyMap<number, TaskRow>;
  readonly functions: ReadonlyMap<string, FunctionRecord | undefined>;
}

function adoptEntry(
  context: PartitionContext,
  port: PartitionPort,
  link: AgentLink,
  entry: InventoryEntry,
  read: AdoptionRead,
): void {
  const { ref, outcome } = entry;
  if (!ref) return;
  const row = read.rows.get(ref.seq);
  // Beyond this release, and neither to be adopted nor forgotten: an owner of the newer one knows what to do.
  if (row?.status === "Unknown" && row.endedAt === undefined) return;
  if (!row || row.endedAt !== undefined || row.attempt > ref.attempt) {
    link.confirm(port, [ref]);
    return;
  }
  const known = context.memory.active(ref.seq);
  const suspected = context.suspects.get(ref.seq);
  const isLost = outcome?.kind === OutcomeKind.LOST;
  // Agents of the release before this one do not say that it is recovered; only what is can be lost.
  const isRecovered = entry.recovered || isLost || suspected?.witnesses.has(link);
  if (known && (known.state === "settling" || known.state === "dispatched")) {
    // It is being written, or another agent has it: what those say counts. This entry is confirmed when that is committed, or
    // at the next attach, when the row says so: were it forgotten now and this owner died before its commit, the next one
    // could not learn of it.
    if (known.attempt === ref.attempt && known.link !== link) {
      known.witnesses ??= new Set();
      known.witnesses.add(link);
    }
    return;
  }
  if (isRecovered && [...context.unanswered].some((agentId) => agentId !== link.agentId)) {
    // An owner between that one and me may have given the same attempt to an agent that has not answered yet.
    const held = known ?? context.memory.activateRow(row, "held");
    held.state = "held";
    suspect(context, link, entry);
    return;
  }
  const task = known ?? context.memory.activateRow(row, "dispatched");
  task.witnesses = suspected?.witnesses.add(link);
  context.suspects.delete(ref.seq);
  rememberRow(task, row);
  task.state = "dispatched";
  task.attempt = ref.attempt;
  task.stopMarked = row.stopRequested;
  task.function = read.functions.get(flowKey(row));
  joinAgent(task, link);
  context.metrics.adopted.inc();
  // That it was running when its agent died says less than how it ended.
  const end = isLost && suspected?.end?.attempt === ref.attempt ? suspected.end : undefined;
  if (end) endTask(context, end.link, task, end);
  else if (outcome) endTask(context, link, task, { ...entry, outcome });
  else if (row.stopRequested) task.stopSent = link.stop(port, [ref]);
}

/** Notes what an earlier life of an agent left of an attempt, until it is certain that nobody else has it. */
function suspect(context: PartitionContext, link: AgentLink, { ref, outcome, ...entry }: InventoryEntry): void {
  if (!ref) return;
  const before = context.suspects.get(ref.seq);
  const known = { attempt: ref.attempt, witnesses: before?.witnesses ?? new Set(), end: before?.end };
  known.witnesses.add(link);
  // An attempt that really ended counts more than one that was lost.
  if (outcome && outcome.kind !== OutcomeKind.LOST) known.end = { ...entry, link, attempt: ref.attempt, outcome };
  context.suspects.set(ref.seq, known);
}

function refusedAttempt(
  context: PartitionContext,
  port: PartitionPort,
  link: AgentLink,
  refused: AttemptRefused,
): void {
  const task = refused.ref && context.memory.active(refused.ref.seq);
  if (task?.state !== "dispatched" || task.link !== link || task.attempt !== refused.ref?.attempt) return;
  context.metrics.refusedAttempts.inc();
  switch (refused.reason) {
    case RefusalReason.EXPIRED:
      leaveAgent(task);
      passBy(context, task);
      task.state = "settling";
      pushWrite(context, {
        write: refusedWrite(
          task,
          "Expired",
          { type: "Expired", message: "not started before its expiry", body: "" },
          context.clock.now(),
        ),
        confirmTo: undefined,
      });
      return;
    case RefusalReason.INCARNATION:
      // The agent began a new life; its inventory, or its death, decides.
      return;
    case RefusalReason.UNKNOWN_FUNCTION:
      link.forgetSentFunctions(port);
      putBack(context, task);
      return;
    case RefusalReason.LIMITS:
      context.gates.onOutdated(task);
      putBack(context, task);
      return;
    default:
      link.pause(busyPauseMs);
      if (refused.reason === RefusalReason.BUSY) context.gates.onBusy(task);
      putBack(context, task);
  }
}

/** The agent can no longer be running anything that this partition does not know. */
function answered(context: PartitionContext, agentId: string): void {
  if (!context.unanswered.delete(agentId)) return;
  if (context.unanswered.size > 0) return;
  context.held.count = 0;
  context.held.flows.clear();
  for (const task of [...context.memory.activeTasks()]) if (task.state === "held") putBack(context, task);
  context.wakeDispatch.notify();
}

function keyOf(ref: AttemptRef | undefined): string {
  return ref ? `${ref.seq}-${ref.attempt}` : "";
}
