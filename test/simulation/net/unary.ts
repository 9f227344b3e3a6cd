// Unary calls between nodes. A call that fails says nothing about its handler: it may not have run, have run, or run later.
import type { CallContext } from "@sluice/protocol";
import type { Network } from "./network.ts";
import type { SimNode } from "./node.ts";
import { encodeRequest, encodeResponse, type Method, noAnswer, overTheWire, unreachable } from "./wire.ts";

/** Where a service can be reached now; undefined: nobody listens. */
export interface Target {
  readonly node: SimNode;
  handle(name: string, input: unknown, context: CallContext): unknown;
}

export interface Route {
  readonly network: Network;
  readonly from: SimNode;
  readonly toHost: string;
  readonly target: () => Target | undefined;
  /** Handlers that failed with something else than a typed error. */
  readonly onBug: (cause: unknown) => void;
  /** Methods that the protocol must bear to be called twice. */
  readonly repeatable: ReadonlySet<string>;
}

const timeoutDefaultMs = 30_000;

export function unary(
  route: Route,
  name: string,
  method: Method,
  input: unknown,
  context: CallContext,
): Promise<unknown> {
  const { network, from, toHost } = route;
  const { dice } = network;
  const bytes = encodeRequest(method, input);
  return new Promise((resolve, reject) => {
    let isOver = false;
    const server = new AbortController();
    const timeoutMs = context.timeoutMs ?? timeoutDefaultMs;
    const cancelTimer = from.clock.timer(timeoutMs, () => finish(() => reject(noAnswer(timeoutMs))));
    const onAbort = () => {
      finish(() => reject(overTheWire(new DOMException("the caller cancelled", "AbortError"))));
      network.after(network.latency(), () => server.abort(new DOMException("the caller cancelled", "AbortError")));
    };
    context.signal.addEventListener("abort", onAbort, { once: true });

    function finish(settle: () => void): void {
      from.enter(() => {
        if (isOver) return;
        isOver = true;
        cancelTimer();
        context.signal.removeEventListener("abort", onAbort);
        settle();
      });
    }
    const failIn = (ms: number, why: string) => network.after(ms, () => finish(() => reject(unreachable(why))));

    function send(): void {
      if (network.happens("call lost")) {
        network.counters.add("call lost");
        failIn(network.diceOf("call lost").between(50, 2_000), "the request was lost");
      } else if (network.happens("call late")) {
        const late = network.diceOf("call late");
        network.counters.add("call late");
        // The caller hears of a failure, and only then the request arrives.
        failIn(late.between(5, 100), "the connection broke");
        network.after(late.between(200, 6_000), arrive);
      } else {
        network.after(network.latency(), arrive);
        if (!route.repeatable.has(name) || !network.happens("call repeated")) return;
        network.counters.add("call repeated");
        network.after(network.diceOf("call repeated").between(1, 3_000), arrive);
      }
    }

    function arrive(): void {
      if (network.isCut(from.host, toHost)) {
        failIn(dice.between(500, 5_000), "no route");
        return;
      }
      const target = route.target();
      if (!target || target.node.isDown) {
        failIn(network.latency(), "connection refused");
        return;
      }
      target.node.enter(() => void handle(target));
    }

    async function handle(target: Target): Promise<void> {
      const stopListening = target.node.onDown(() => failIn(network.latency(), "connection reset"));
      const serverContext: CallContext = { signal: server.signal, headers: { ...context.headers } };
      let answer: () => void;
      try {
        const response = await target.handle(name, method.requestDeserialize(bytes), serverContext);
        const responseBytes = encodeResponse(method, response);
        answer = () => resolve(method.responseDeserialize(responseBytes));
      } catch (cause) {
        route.onBug(cause);
        answer = () => reject(overTheWire(cause));
      }
      stopListening();
      reply(answer);
    }

    function reply(answer: () => void): void {
      const isCut = network.isCut(toHost, from.host);
      const isLost = !isCut && network.happens("answer lost");
      if (isLost) network.counters.add("answer lost");
      if (isCut || isLost) {
        failIn(dice.between(50, 5_000), "the answer was lost");
      } else network.after(network.latency(), () => finish(answer));
    }

    if (context.signal.aborted) onAbort();
    else from.enter(send);
  });
}
