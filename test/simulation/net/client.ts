import type { Api, CallContext, Definition } from "@sluice/protocol";
import { type StreamRoute, stream } from "./stream.ts";
import { type Target, unary } from "./unary.ts";

/** Calls a service through the simulated network: the same `Api` as over gRPC. */
export function simulatedClient<D extends Definition>(definition: D, route: StreamRoute): Api<D> {
  const api: Record<string, unknown> = {};
  for (const [name, method] of Object.entries(definition)) {
    const call = method.requestStream || method.responseStream ? stream : unary;
    api[name] = (input: unknown, context: CallContext) => call(route, name, method, input, context);
  }
  return api as unknown as Api<D>;
}

/** A service that a node offers. */
export function targetOf<D extends Definition>(node: Target["node"], api: Api<D>): Target {
  const handlers = api as Record<string, (input: unknown, context: CallContext) => unknown>;
  return {
    node,
    handle(name, input, context) {
      const handler = handlers[name];
      if (!handler) throw new Error(`no such method: ${name}`);
      return handler.call(api, input, context);
    },
  };
}
