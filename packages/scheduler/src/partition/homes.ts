// What runs of limited flows outside their homes. A flow that has become limited may have attempts anywhere; so may one whose
// home was another lane before. They count against its limit, and nobody but the agents knows of them.
//
//   unknown ──records of before cannot be sent by any more──▶ asking ──every agent has answered or is dead──▶ known
//                                                                                                              │
//                                              nothing runs elsewhere ◀──asked again each second: none left────┘
//
// Until it is known the flow waits. The wait counts from the change, not from the first task that comes after it: when that was
// long enough ago, by the store's clock, only the question is left. Why it takes both, the wait and the question:
// - Without the wait: an owner of another lane has read the function a moment before the change, and sends an attempt to an
//   agent that registers after all others have answered. It runs beside those that are started here.
// - Without the question: an attempt that was sent a minute ago, when nothing limited the flow, runs for an hour.
// - Without its second half, the floor of limits that it raises at the agent: an attempt that left its owner in time is held up
//   on its way, arrives after the answer, and runs uncounted. (`gate/flow-floors.ts` of the agent)
// - Asking the store instead does not do: no row says that it was dispatched, so all that wait elsewhere would count.
// A change of how many, or how fast, moves no home: it counts as soon as its record is read. A flow that gets a queue of its
// own, or loses it, changes its home, too. It is waited for and asked about in the same way, with a floor of its own: a route
// that is gone has left nothing behind to count versions by, so attempts say as of when their owner knew the routes, and those
// are refused of which that was before the change. Whatever comes later passes, whoever sends it.
// A flow that was limited so from the beginning, and as far as is known never had another queue, may have had one all the same: an
// etcd that was wiped before this process began has forgotten it, and not what runs from it. Where nothing unfinished lies in
// that queue nothing runs from it; only while others may still fill it by older routes the agents are asked in any case.
import { dedicatedQueueOf, type EpochMs, type Flow, type Home, type Loop } from "@sluice/core";
import type { FlowAnswer, FlowQuestion } from "@sluice/protocol";
import type { FunctionRecord } from "@sluice/store";
import type { AgentLink } from "../agents/link.ts";
import { usableMs } from "../functions.ts";
import type { PartitionContext } from "./context.ts";
import { type FlowLimits, type KnownRoute, limitsOf } from "./limits.ts";

/**
 * The limits of a flow; undefined: its function is not there, or it or its account is not remembered. What is not known of an
 * account must not count as never changed: the agents would be asked anew, as if the limits had changed twice.
 */
export function flowLimits(
  { accounts, routes, queues }: Pick<PartitionContext, "accounts" | "routes" | "queues">,
  flow: Flow,
  record: FunctionRecord | undefined,
): FlowLimits | undefined {
  if (record === undefined || !accounts.knows(flow.accountId)) return undefined;
  const account = accounts.peek(flow.accountId);
  const route = routes.of(flow);
  return limitsOf(flow, { function: record, account, route, queues });
}

/** As of when this owner knows which flows have queues of their own: as the store's time goes. */
export function routesKnownAt({ clock, routes }: Pick<PartitionContext, "clock" | "routes">): EpochMs {
  return Math.floor(clock.now() - routes.ageMs());
}

export interface Homes {
  /**
   * Attempts that run outside the home and count against the limits of the flow, or of its account; Infinity: not known yet.
   * It is found out from the first time on that it is asked for.
   */
  runningElsewhere(flow: Flow, known: FlowLimits, home: Home): number;
  /** An agent has answered. */
  answered(link: AgentLink, answers: readonly FlowAnswer[]): void;
  /** Asks, until the signal aborts. Agents of an older release do not answer, and are not waited for. */
  readonly run: Loop;
}

/** By what was read before nobody sends any more: records are not used for longer, and clocks go wrong by 2 %. */
const waitMs = usableMs * 1.05 + 2_000;
const askEveryMs = 1_000;
/** By which owners may differ about the store's time. What is sent after `waitMs` is known for longer than that. */
const skewMs = 1_000;
/** How long the first list of routes may have taken: what is sent by it knows of the moment in which it was asked for. */
const firstListMs = 1_500;
/**
 * A change has the time at which its statement began, and can be read when it was committed. The store gives up a statement
 * after 10 s, and so a commit.
 */
const commitMaxMs = 20_000;
/** In one message, which may have 4 MiB. */
const questionsMax = 1_000;
/** Flows that are remembered; beyond it the one that was entered first is found out anew when its turn comes. */
const scopesMax = 100_000;

interface Scope {
  readonly question: FlowQuestion;
  /** Monotonic. */
  readonly enteredAt: number;
  /** When the agents are asked next, monotonic. */
  asksAt: number;
  /** The queue that the flow has never had, as far as is known; undefined: the agents are asked whatever lies there. */
  readonly unheardOf: string | undefined;
  /** Agents that have not answered; undefined: they were not asked yet. */
  unanswered: Set<string> | undefined;
  /** By agent, where any run. */
  readonly running: Map<string, number>;
}

type Deps = Pick<PartitionContext, "clock" | "agents" | "store" | "wakeDispatch" | "wakeHomes" | "key" | "log">;

export function createHomes(context: () => Deps): Homes {
  const scopes = new Map<string, Scope>();
  /** Those of which something is not known, or runs elsewhere. */
  const open = new Set<Scope>();

  /** `route`: undefined when the home has nothing to do with one. */
  function enter(key: string, flow: Flow, asked: FlowQuestion, route: KnownRoute | undefined): Scope {
    const { clock, wakeHomes } = context();
    const changedAt = Math.max(0, ...asked.limitsVersion);
    const enteredAt = clock.monotonic();
    const waitOfRoute = route?.wasRouted ? waitMs - route.unchangedMs : 0;
    const asksAt = enteredAt + Math.max(leftOfWait(clock.now() - changedAt), waitOfRoute);
    const question = { ...asked, ...(route && { routesKnownAtMs: floorOf(route, clock.now()) }) };
    const isLongKnown = asked.limitsVersion.length === 0 && route && !route.wasRouted && route.unchangedMs >= waitMs;
    const unheardOf = isLongKnown ? dedicatedQueueOf(flow) : undefined;
    const scope: Scope = { question, enteredAt, asksAt, unheardOf, unanswered: undefined, running: new Map() };
    const before = scopes.get(key);
    if (before) open.delete(before);
    scopes.delete(key);
    scopes.set(key, scope);
    open.add(scope);
    const [oldest] = scopes;
    if (oldest && scopes.size > scopesMax) {
      scopes.delete(oldest[0]);
      open.delete(oldest[1]);
    }
    wakeHomes.notify();
    return scope;
  }

  async function askAll(due: readonly Scope[]): Promise<void> {
    const { agents, key: partition, log, clock } = context();
    for (const scope of due) scope.asksAt = clock.monotonic() + askEveryMs;
    try {
      await findWhoIsAsked(due);
    } catch (cause) {
      log.warn("cannot find out what runs of limited flows", { cause: String(cause) });
      return;
    }
    const links = new Map(agents.links.map((link) => [link.agentId, link]));
    for (const scope of due) forgetDead(scope, links);
    for (const link of links.values()) {
      const asked = due.filter((scope) => scope.unanswered?.has(link.agentId) || scope.running.has(link.agentId));
      if (asked.length === 0) continue;
      if (link.answersFlows) ask(link, asked);
      else if (link.isAttached(partition)) for (const scope of asked) answer(scope, link.agentId, 0);
    }
    // Of those that there was nobody to ask about.
    for (const scope of due) if (scope.unanswered?.size === 0 && scope.running.size === 0) open.delete(scope);
  }

  async function findWhoIsAsked(due: readonly Scope[]): Promise<void> {
    const { agents, store, wakeDispatch } = context();
    const asNew = due.filter(({ unanswered }) => unanswered === undefined);
    if (asNew.some(({ unheardOf }) => unheardOf !== undefined)) {
      const used = new Set(await store.lanes.queuesInUse());
      for (const scope of asNew)
        if (scope.unheardOf !== undefined && !used.has(scope.unheardOf)) scope.unanswered = new Set();
      wakeDispatch.notify();
    }
    if (asNew.every(({ unanswered }) => unanswered !== undefined)) return;
    const listed = await agents.listed();
    for (const scope of asNew) scope.unanswered ??= new Set(listed);
  }

  function ask(link: AgentLink, scopes: readonly Scope[]): void {
    for (let start = 0; start < scopes.length; start += questionsMax)
      link.ask(scopes.slice(start, start + questionsMax).map(({ question }) => question));
  }

  /** An agent that is not listed any more is dead, and so is what it ran. */
  function forgetDead(scope: Scope, links: ReadonlyMap<string, AgentLink>): void {
    for (const agentId of [...(scope.unanswered ?? [])]) if (!links.has(agentId)) answer(scope, agentId, 0);
    for (const agentId of [...scope.running.keys()]) if (!links.has(agentId)) answer(scope, agentId, 0);
  }

  function answer(scope: Scope, agentId: string, running: number): void {
    if (scope.unanswered === undefined) return;
    const isFirst = scope.unanswered.delete(agentId);
    const before = scope.running.get(agentId) ?? 0;
    if (running > 0) scope.running.set(agentId, running);
    else scope.running.delete(agentId);
    if (scope.unanswered.size === 0 && scope.running.size === 0) open.delete(scope);
    if ((isFirst && scope.unanswered.size === 0) || running < before) context().wakeDispatch.notify();
  }

  return {
    runningElsewhere(flow, { version, limits, route }, { queue, lane }) {
      const { accountId, functionName } = flow;
      // An account with limits is asked for as a whole: its home does not follow from what its functions say.
      const isAccounts = limits.some(({ scope }) => scope === "account");
      const limitsVersion = isAccounts ? [0, version[1] ?? 0] : [...version];
      const key = isAccounts ? accountId : `${accountId}/${functionName}`;
      const name = isAccounts ? "" : functionName;
      const known = scopes.get(key);
      // A flow that had another home meanwhile, and has come back, is found out anew.
      const isSame =
        known !== undefined &&
        (isAccounts || !route.wasRouted || known.enteredAt >= context().clock.monotonic() - route.unchangedMs) &&
        known.question.queue === queue &&
        known.question.lane === lane &&
        known.question.limitsVersion.join() === limitsVersion.join();
      const scope = isSame
        ? known
        : enter(
            key,
            flow,
            { accountId, functionName: name, queue, lane, limitsVersion },
            isAccounts ? undefined : route,
          );
      if (scope.unanswered === undefined || scope.unanswered.size > 0) return Number.POSITIVE_INFINITY;
      let sum = 0;
      for (const count of scope.running.values()) sum += count;
      return sum;
    },
    answered({ agentId }, answers) {
      for (const { question, runningElsewhere } of answers) {
        if (!question) continue;
        const { accountId, functionName, limitsVersion } = question;
        const scope = scopes.get(functionName === "" ? accountId : `${accountId}/${functionName}`);
        if (scope === undefined || scope.question.limitsVersion.join() !== limitsVersion.join()) continue;
        if (scope.question.queue !== question.queue || scope.question.lane !== question.lane) continue;
        answer(scope, agentId, runningElsewhere);
      }
    },
    async run(signal) {
      while (!signal.aborted) {
        const { clock, wakeHomes } = context();
        const now = clock.monotonic();
        const due = [...open].filter(({ asksAt }) => asksAt <= now);
        if (due.length > 0) await askAll(due);
        let nextAt = Number.POSITIVE_INFINITY;
        for (const { asksAt } of open) nextAt = Math.min(nextAt, asksAt);
        const waitMs = nextAt === Number.POSITIVE_INFINITY ? 60_000 : Math.max(1, nextAt - clock.monotonic());
        await wakeHomes.wait(signal, waitMs);
      }
    },
  };
}

/**
 * Attempts whose owner knew the routes before that are refused. After a change, all that may go by what was; else only what is
 * older for certain than all that is known here, since what this owner sends in its first moments must pass.
 */
function floorOf({ unchangedMs, wasRouted }: KnownRoute, now: EpochMs): EpochMs {
  return Math.floor(now - unchangedMs) + (wasRouted ? skewMs : -skewMs - firstListMs);
}

/** `ageMs` of the last change, below 0 when it is of a time that has not come. All of the wait is left at most. */
function leftOfWait(ageMs: number): number {
  const sinceCommitMs = Math.max(0, ageMs - commitMaxMs - skewMs);
  return Math.max(0, waitMs - sinceCommitMs);
}
