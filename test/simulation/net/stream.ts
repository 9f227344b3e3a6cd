// Streams between nodes. Frames keep their order within one stream. A stream may break at any time, and its ends learn of
// that at different times: what is in flight is lost, or still arrives from the old stream when a new one is open already.
//
//   open ──break, cut for `keepaliveMs`, a node down──▶ broken ──each end learns──▶ over
//     └──both directions end──▶ over
import type { CallContext } from "@sluice/protocol";
import { createInbox, type Inbox } from "./inbox.ts";
import { keepaliveMs, type Network } from "./network.ts";
import type { Route, Target } from "./unary.ts";
import { encodeRequest, encodeResponse, type Method, overTheWire, unreachable } from "./wire.ts";

/** An open stream, for faults. */
export interface Connection {
  readonly fromHost: string;
  readonly toHost: string;
  /** `late`: what is in flight still arrives. */
  break(inFlight: "lost" | "late"): void;
}

/** Sees what passes, for recording. */
export interface Tap {
  up(frame: unknown): void;
  /** It leaves its sender. */
  sent?(frame: unknown): void;
  down(frame: unknown): void;
}

export interface StreamRoute extends Route {
  readonly onOpen: (connection: Connection) => () => void;
  readonly tap?: (target: Target) => Tap;
  /** Frames to the server that the protocol must bear to come twice in a row. */
  readonly isRepeatable?: (frame: unknown) => boolean;
}

export function stream(
  route: StreamRoute,
  name: string,
  method: Method,
  input: unknown,
  context: CallContext,
): AsyncIterable<unknown> {
  return new Stream(route, name, method, context).open(input);
}

class Stream implements Connection {
  readonly fromHost: string;
  readonly toHost: string;
  readonly #route: StreamRoute;
  readonly #network: Network;
  readonly #name: string;
  readonly #method: Method;
  readonly #context: CallContext;
  readonly #client: Inbox<unknown>;
  #server: Inbox<unknown> | undefined;
  #target: Target | undefined;
  #tap: Tap | undefined;
  readonly #serverStop = new AbortController();
  readonly #up: Direction;
  readonly #down: Direction;
  #isOver = false;
  readonly #cleanups: (() => void)[] = [];
  #cancelKeepalive: (() => void) | undefined;

  constructor(route: StreamRoute, name: string, method: Method, context: CallContext) {
    this.#route = route;
    this.#network = route.network;
    this.#name = name;
    this.#method = method;
    this.#context = context;
    this.fromHost = route.from.host;
    this.toHost = route.toHost;
    this.#client = createInbox(() => this.#cancel());
    this.#up = new Direction(route.network, () => route.network.isCut(this.fromHost, this.toHost));
    this.#down = new Direction(route.network, () => route.network.isCut(this.toHost, this.fromHost));
  }

  open(input: unknown): AsyncIterable<unknown> {
    const { signal } = this.#context;
    const onAbort = () => this.#cancel();
    if (signal.aborted) {
      this.#client.close();
      return this.#client;
    }
    signal.addEventListener("abort", onAbort, { once: true });
    this.#cleanups.push(
      () => signal.removeEventListener("abort", onAbort),
      this.#network.onChange(() => this.#onNetworkChange()),
      this.#route.from.onFreeze(() => this.#watchSilence()),
      this.#route.from.onDown(() => this.#onDown("client")),
      this.#route.onOpen(this),
    );
    if (this.#network.isCut(this.fromHost, this.toHost)) {
      this.#network.after(this.#network.dice.between(500, 5_000), () => this.#fail("client", "no route"));
      return this.#client;
    }
    this.#network.after(this.#network.latency(), () => this.#connect(input));
    return this.#client;
  }

  break(inFlight: "lost" | "late"): void {
    if (this.#isOver) return;
    const { dice, counters } = this.#network;
    const clientHearsIn = dice.between(0, 800);
    const serverHearsIn = dice.between(0, 3_000);
    if (inFlight === "lost") {
      this.#end();
      this.#up.drop();
      this.#down.drop();
      this.#after(clientHearsIn, () => this.#fail("client", "the stream broke"));
      this.#after(serverHearsIn, () => this.#fail("server", "the stream broke"));
      return;
    }
    // Each end goes on sending until it hears of the break.
    this.#detach();
    const delayMs = dice.between(100, 3_000);
    this.#up.delay(delayMs, () => counters.add("late frame of an old stream"));
    this.#down.delay(delayMs, () => undefined);
    this.#after(clientHearsIn, () => {
      this.#up.close();
      this.#fail("client", "the stream broke");
      this.#after(Math.max(serverHearsIn, this.#up.busyMs + 1), () => {
        this.#down.close();
        this.#fail("server", "the stream broke");
      });
    });
  }

  #connect(input: unknown): void {
    const target = this.#route.target();
    if (this.#isOver) return;
    if (!target || target.node.isDown || this.#network.isCut(this.toHost, this.fromHost)) {
      this.#after(this.#network.latency(), () => this.#fail("client", "connection refused"));
      return;
    }
    this.#target = target;
    this.#tap = this.#route.tap?.(target);
    this.#cleanups.push(
      target.node.onDown(() => this.#onDown("server")),
      target.node.onFreeze(() => this.#watchSilence()),
    );
    const server = createInbox<unknown>(() => undefined);
    this.#server = server;
    target.node.enter(() => void this.#serve(target, server));
    if (this.#method.requestStream) this.#route.from.enter(() => void this.#pumpUp(input as AsyncIterable<unknown>));
    else this.#sendUp(input);
    this.#onNetworkChange();
  }

  async #pumpUp(input: AsyncIterable<unknown>): Promise<void> {
    for await (const frame of input) this.#sendUp(frame);
    this.#up.send(() => this.#target?.node.enter(() => this.#server?.close()));
  }

  #sendUp(frame: unknown): void {
    const bytes = encodeRequest(this.#method, frame);
    this.#tap?.sent?.(frame);
    const arrive = () =>
      this.#target?.node.enter(() => {
        const decoded = this.#method.requestDeserialize(bytes);
        this.#tap?.up(decoded);
        this.#server?.push(decoded);
      });
    this.#up.send(arrive);
    if (!this.#route.isRepeatable?.(frame) || !this.#network.happens("frame repeated")) return;
    this.#network.counters.add("frame repeated");
    // In a row: an agent that refused the first one for want of room must not take the second.
    this.#up.send(arrive);
  }

  async #serve(target: Target, inbox: Inbox<unknown>): Promise<void> {
    const context: CallContext = { signal: this.#serverStop.signal, headers: { ...this.#context.headers } };
    let last: () => void = () => this.#client.close();
    try {
      const input = this.#method.requestStream ? inbox : await first(inbox);
      const answers = target.handle(this.#name, input, context) as AsyncIterable<unknown>;
      for await (const frame of answers) {
        this.#tap?.down(frame);
        const bytes = encodeResponse(this.#method, frame);
        this.#down.send(() => this.#route.from.enter(() => this.#client.push(this.#method.responseDeserialize(bytes))));
      }
    } catch (cause) {
      this.#route.onBug(cause);
      last = () => this.#client.fail(overTheWire(cause));
    }
    this.#down.send(() =>
      this.#route.from.enter(() => {
        this.#end();
        last();
      }),
    );
    this.#serverStop.abort(new DOMException("the call ended", "AbortError"));
  }

  /** The caller gave up: its stream just ends; the server hears of it if it can be reached. */
  #cancel(): void {
    this.#route.from.enter(() => this.#client.close());
    if (this.#isOver) return;
    const isCut = this.#network.isCut(this.fromHost, this.toHost);
    this.#end();
    this.#down.drop();
    const hearsIn = isCut ? keepaliveMs : Math.max(this.#network.latency(), this.#up.busyMs + 1);
    this.#after(hearsIn, () => this.#fail("server", "the caller cancelled"));
  }

  #onDown(side: "client" | "server"): void {
    if (this.#isOver) return;
    this.#end();
    const { dice } = this.#network;
    // A process that died resets its connections; a host that died says nothing.
    const direction = side === "client" ? this.#up : this.#down;
    const learnsIn = dice.chance(0.7) ? Math.max(this.#network.latency(), direction.busyMs + 1) : keepaliveMs;
    this.#after(learnsIn, () => this.#fail(side === "client" ? "server" : "client", "connection reset"));
  }

  #onNetworkChange(): void {
    if (this.#isOver) return;
    this.#up.flush();
    this.#down.flush();
    this.#watchSilence();
  }

  /** An end that is cut off or frozen answers no ping. What was sent to a frozen one waits there for its thaw. */
  #watchSilence(): void {
    if (this.#isOver) return;
    const isCut = this.#network.isCut(this.fromHost, this.toHost) || this.#network.isCut(this.toHost, this.fromHost);
    const isFrozen = this.#route.from.isFrozen || this.#target?.node.isFrozen === true;
    if (!isCut && !isFrozen) {
      this.#cancelKeepalive?.();
      this.#cancelKeepalive = undefined;
    } else this.#cancelKeepalive ??= this.#after(keepaliveMs, () => this.#giveUp({ isCut }));
  }

  #giveUp({ isCut }: { readonly isCut: boolean }): void {
    if (!isCut) this.#network.counters.add("stream to a frozen process given up");
    this.break(isCut ? "lost" : "late");
  }

  #fail(side: "client" | "server", why: string): void {
    if (side === "client") {
      this.#end();
      this.#route.from.enter(() => this.#client.fail(unreachable(why)));
      return;
    }
    this.#target?.node.enter(() => {
      this.#serverStop.abort(new DOMException("the caller cancelled", "AbortError"));
      this.#server?.close();
    });
  }

  /** Nothing new is sent. */
  #end(): void {
    if (this.#isOver) return;
    this.#up.close();
    this.#down.close();
    this.#detach();
  }

  /** Nothing happens to it any more. */
  #detach(): void {
    this.#isOver = true;
    this.#cancelKeepalive?.();
    for (const cleanup of this.#cleanups.splice(0)) cleanup();
  }

  #after(ms: number, work: () => void): () => void {
    return this.#network.after(ms, work);
  }
}

async function first(inbox: Inbox<unknown>): Promise<unknown> {
  for await (const value of inbox) return value;
  return undefined;
}

/** Frames on their way in one direction, in order. While the link is cut they wait for it to heal. */
class Direction {
  readonly #network: Network;
  readonly #isCut: () => boolean;
  readonly #frames: { readonly at: number; readonly arrive: () => void }[] = [];
  /** When the last frame arrives, true time. */
  #lastAt = 0;
  #isClosed = false;
  #delayMs = 0;
  #onLate: (() => void) | undefined;
  #cancelTimer: (() => void) | undefined;

  constructor(network: Network, isCut: () => boolean) {
    this.#network = network;
    this.#isCut = isCut;
  }

  /** How long until the last frame in flight has arrived. */
  get busyMs(): number {
    return this.#frames.length === 0 ? 0 : Math.max(0, this.#lastAt + this.#delayMs - this.#now());
  }

  send(arrive: () => void): void {
    if (this.#isClosed) return;
    this.#lastAt = Math.max(this.#lastAt, this.#now() + this.#network.latency());
    this.#frames.push({ at: this.#lastAt, arrive });
    this.flush();
  }

  /** Sets out for the next arrival; called again when the link has changed. */
  flush(): void {
    const next = this.#frames[0];
    if (next === undefined || this.#cancelTimer !== undefined || this.#isCut()) return;
    this.#cancelTimer = this.#network.after(next.at + this.#delayMs - this.#now(), () => {
      this.#cancelTimer = undefined;
      this.#arrive();
    });
  }

  /** Takes no more frames; those in flight still arrive. */
  close(): void {
    this.#isClosed = true;
  }

  drop(): void {
    this.#isClosed = true;
    this.#frames.length = 0;
  }

  /** What is in flight arrives so much later. */
  delay(ms: number, onLate: () => void): void {
    this.#delayMs = ms;
    this.#onLate = onLate;
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    this.flush();
  }

  #arrive(): void {
    while (!this.#isCut()) {
      const next = this.#frames[0];
      if (next === undefined || next.at + this.#delayMs > this.#now()) break;
      this.#frames.shift();
      if (this.#delayMs > 0) this.#onLate?.();
      next.arrive();
    }
    this.flush();
  }

  #now(): number {
    return this.#network.clock.monotonic();
  }
}
