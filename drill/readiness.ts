// Whether a service that was told to end says that it is not ready before it refuses connections, so that whoever balances
// load has gone elsewhere by then.
import { connect } from "node:http2";
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

function answerOf(cause: unknown): Answer {
  return (cause as NodeJS.ErrnoException | undefined)?.code === "ECONNREFUSED" ? "refused" : "silent";
}

/** `grpc.health.v1.Health/Check` of the whole server: an empty message, and one whose first field is the status. */
function grpcHealth(address: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const session = connect(`http://${address}`);
    session.setTimeout(1_000, () => session.destroy());
    session.on("error", reject);
    // Without an answer before; what has been said counts.
    session.on("close", () => resolve("silent"));
    const headers = { ":method": "POST", ":path": "/grpc.health.v1.Health/Check", te: "trailers" };
    const call = session.request({ ...headers, "content-type": "application/grpc" });
    const pieces: Buffer[] = [];
    call.on("data", (piece: Buffer) => pieces.push(piece));
    // The session says why.
    call.on("error", () => undefined);
    call.on("end", () => {
      // A flag and a length of four bytes stand before the message: field 1, a number.
      const [field, status] = Buffer.concat(pieces).subarray(5);
      if (field === 8) resolve(status === serving ? "ready" : "not ready");
      session.destroy();
    });
    call.end(Buffer.alloc(5));
  });
}

const serving = 1;
