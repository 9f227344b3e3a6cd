// One gateway behind several addresses. A heartbeat that is late by 20 s ends an agent, so a call must not wait for an
// api-server that is gone.
//
//   using one of them ──it is unavailable──▶ the same call at the next one, until each was asked once
//          └──no answer for `slowAfterMs`──▶ later calls at the next one; this one goes on waiting
//
// Every call of the gateway may be repeated: registrations carry their id, pieces of logs their number.
import { AppError, type Clock, type Random } from "@sluice/core";
import type { AgentGatewayServiceService, Api, CallContext } from "@sluice/protocol";

type Gateway = Api<typeof AgentGatewayServiceService>;

/**
 * Above the time that an api-server may take for a heartbeat while etcd or PostgreSQL hangs, so that agents do not run in
 * circles then; and so short that two frozen api-servers in a row do not end an agent.
 */
const slowAfterMs = 4_000;

/**
 * Uses one while it answers. Every agent goes through them in an order of its own, so that agents spread over the
 * api-servers, also those of one that has gone.
 */
export function failOver(all: readonly Gateway[], { clock, random }: { clock: Clock; random: Random }): Gateway {
  const gateways = all
    .map((gateway) => ({ gateway, order: random.next() }))
    .sort((a, b) => a.order - b.order)
    .map(({ gateway }) => gateway);
  let current = 0;

  function leave(index: number): void {
    // Calls in flight may fail together: they move on by one together.
    if (index === current) current = (current + 1) % gateways.length;
  }

  async function call<T>({ signal }: CallContext, ask: (gateway: Gateway) => Promise<T>): Promise<T> {
    for (let tries = 1; ; tries++) {
      const index = current;
      const answered = clock.timer(slowAfterMs, () => leave(index));
      try {
        return await ask(gateways[index] as Gateway);
      } catch (cause) {
        const isGone = cause instanceof AppError && (cause.code === "unavailable" || cause.code === "timeout");
        if (isGone) leave(index);
        if (!isGone || signal.aborted || tries >= gateways.length) throw cause;
      } finally {
        answered();
      }
    }
  }

  return {
    register: (request, context) => call(context, (gateway) => gateway.register(request, context)),
    heartbeat: (request, context) => call(context, (gateway) => gateway.heartbeat(request, context)),
    deregister: (request, context) => call(context, (gateway) => gateway.deregister(request, context)),
    putLogs: (request, context) => call(context, (gateway) => gateway.putLogs(request, context)),
    findSettled: (request, context) => call(context, (gateway) => gateway.findSettled(request, context)),
    async *getCode(request, context) {
      // A stream that broke off is not continued elsewhere: its reader begins anew.
      const chunks = await call(context, async (gateway) => {
        const iterator = gateway.getCode(request, context)[Symbol.asyncIterator]();
        return { iterator, first: await iterator.next() };
      });
      for (let chunk = chunks.first; !chunk.done; chunk = await chunks.iterator.next()) yield chunk.value;
    },
  };
}
