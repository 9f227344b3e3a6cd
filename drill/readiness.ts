// Whether a service that was told to end says that it is not ready before it refuses connections, so that whoever balances
// load has gone elsewhere by then.
import { connect } from "@sluice/client";
import type { ClusterService } from "@sluice/cluster";
import { httpGet } from "@sluice/testbed";

/** Something that says whether a service is ready. Each question is a connection of its own. */
export interface Probe {
  /** Such as `/readyz`. */
  readonly name: string;
  ask(): Promise<Answer>;
}

/** `silent`: no answer, or none that says anything. */
export type Answer = "ready" | "not ready" | "refused" | "silent";

/** What a probe heard from SIGTERM on. `unseen`: nothing that tells which of the two came first. */
export interface Farewell {
  readonly probe: string;
  readonly said: "not ready" | "refused" | "unseen";
}

const everyMs = 20;
/** A process that was ready so shortly before it refused has hidden nothing from us in between. */
const blindMsMax = 200;

/** `/readyz` of every service, and the gRPC health of an api-server. */
export function probesOf({
  kind,
  httpAddress,
  address,
}: Pick<ClusterService, "kind" | "httpAddress" | "address">): Probe[] {
  const [host, port] = httpAddress.split(":");
  const readyz = async (): Promise<Answer> => {
    const { status } = await httpGet(Number(port), "/readyz", host);
    return status === 200 ? "ready" : "not ready";
  };
  return [
    { name: "/readyz", ask: () => readyz().catch(answerOf) },
    ...(kind === "api-server" && address !== undefined
      ? [{ name: "gRPC health", ask: () => grpcHealth(address).catch(answerOf) }]
      : []),
  ];
}

export interface LeavingOptions {
  readonly probes: readonly Probe[];
  /** Settles when the process is gone. */
  readonly gone: Promise<void>;
  readonly sleep: (ms: number) => Promise<void>;
  /** Ms. Default: those of the process. */
  readonly now?: () => number;
}

/** To be called right after SIGTERM. Resolves when every probe knows, and after `gone` at the latest. */
export function watchLeaving({
  probes,
  gone,
  sleep,
  now = () => performance.now(),
}: LeavingOptions): Promise<Farewell[]> {
  let isGone = false;
  const notice = () => {
    isGone = true;
  };
  void gone.then(notice, notice);
  const watch = async ({ name, ask }: Probe): Promise<Farewell> => {
    let readyAt = Number.NEGATIVE_INFINITY;
    for (;;) {
      // One more question when it is gone: a refusal tells what came before it.
      const isLast = isGone;
      const askedAt = now();
      const answer = await ask();
      if (answer === "not ready") return { probe: name, said: answer };
      if (answer === "refused") return { probe: name, said: now() - readyAt <= blindMsMax ? answer : "unseen" };
      if (isLast) return { probe: name, said: "unseen" };
      if (answer === "ready") readyAt = askedAt;
      await sleep(everyMs);
    }
  };
  return Promise.all(probes.map(watch));
}

async function grpcHealth(address: string): Promise<Answer> {
  await using client = connect({ address });
  const health = await client.health({ signal: AbortSignal.timeout(1_000) });
  return health === "serving" ? "ready" : health === "not serving" ? "not ready" : "silent";
}

/** Node says it in a code, gRPC in its message. */
function answerOf(cause: unknown): Answer {
  const { code, message = "" } = cause as NodeJS.ErrnoException;
  return code === "ECONNREFUSED" || message.includes("ECONNREFUSED") ? "refused" : "silent";
}
