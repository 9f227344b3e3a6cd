// A process of the cluster with its lives: what crashes is started again, as a supervisor does it.
//
//   down ──start──▶ up ──crash, or its run ended──▶ down ──after a while──▶ up …
import type { SimNode } from "./net/node.ts";
import type { Trace } from "./trace.ts";

export interface Running {
  run(signal: AbortSignal): Promise<void>;
}

export interface ProcessOptions {
  readonly name: string;
  readonly trace: Trace;
  readonly after: (ms: number, work: () => void) => void;
  /** True time, ms. */
  readonly now: () => number;
  /** Time until it is started again, in ms. */
  readonly restartMs: () => number;
  readonly createNode: (life: number, wallOffsetMs: number) => SimNode;
  /** Composes the service. Undefined: it cannot start now. */
  readonly boot: (node: SimNode, life: number) => Running;
  /** Resolves when it may start; default: at once. */
  readonly mayStart?: () => Promise<void>;
  /** It has been frozen for so long, in true time. */
  readonly onThaw?: (frozenMs: number) => void;
  /** Its run ended by itself. */
  readonly onExit?: (cause: unknown) => void;
}

export class Process {
  readonly name: string;
  readonly #options: ProcessOptions;
  #node: SimNode | undefined;
  #stop = new AbortController();
  #lives = 0;
  #frozenUntil = 0;
  /** Of the wall clock of its host. */
  #wallOffsetMs = 0;
  readonly #holds = new Set<object>();
  #onRelease: (() => void) | undefined;

  constructor(options: ProcessOptions) {
    this.name = options.name;
    this.#options = options;
  }

  /** Undefined: it is down. */
  get node(): SimNode | undefined {
    return this.#node;
  }
  get isUp(): boolean {
    return this.#node !== undefined;
  }

  start(): void {
    if (this.#node) return;
    const { createNode, boot, trace, onExit } = this.#options;
    const life = ++this.#lives;
    const node = createNode(life, this.#wallOffsetMs);
    const stop = new AbortController();
    this.#node = node;
    this.#stop = stop;
    trace.add(`UP ${node.name}`);
    boot(node, life)
      .run(stop.signal)
      .then(
        () => this.#exited(node, undefined),
        (cause: unknown) => {
          onExit?.(cause);
          this.#exited(node, cause);
        },
      );
  }

  /** As `kill -9`: nothing is flushed. */
  crash(): void {
    const node = this.#node;
    if (!node) return;
    this.#options.trace.add(`CRASH ${node.name}`);
    this.#down(node);
  }

  /** Stands still for so long, and goes on where it was. One that is frozen already stays so for its own time. */
  freeze(ms: number): void {
    const node = this.#node;
    if (!node?.isUp) return;
    const { trace, after, now, onThaw } = this.#options;
    trace.add(`FREEZE ${node.name} for ${ms} ms`);
    node.freeze();
    this.#frozenUntil = now() + ms;
    after(ms, () => {
      if (node.isDown) return;
      trace.add(`THAW ${node.name}`);
      node.thaw();
      onThaw?.(ms);
    });
  }

  /** True time; in the past: it is not frozen. */
  get frozenUntil(): number {
    return this.#frozenUntil;
  }

  thaw(): void {
    this.#frozenUntil = 0;
    this.#node?.thaw();
  }

  /** The wall clock of its host jumps; monotonic time does not notice. */
  stepClock(ms: number): void {
    this.#options.trace.add(`STEP ${this.name} by ${ms} ms`);
    this.#wallOffsetMs += ms;
    this.#node?.clock.jump(ms);
  }

  /** Crashes it, and keeps it from coming back until what it returns is called. */
  keepDown(): () => void {
    const hold = {};
    this.#holds.add(hold);
    this.crash();
    return () => {
      this.#holds.delete(hold);
      if (this.#holds.size > 0) return;
      this.#onRelease?.();
      this.#onRelease = undefined;
    };
  }

  /** SIGTERM: it may finish what it does. */
  stop(): void {
    const node = this.#node;
    if (!node) return;
    this.#options.trace.add(`STOP ${node.name}`);
    const stop = this.#stop;
    node.enter(() => stop.abort(new DOMException("the process was asked to stop", "AbortError")));
  }

  /** For ever; at the end of a world. */
  end(): void {
    const node = this.#node;
    this.#node = undefined;
    this.#lives = Number.NaN;
    node?.crash();
  }

  #exited(node: SimNode, cause: unknown): void {
    if (this.#node !== node) return;
    this.#options.trace.add(`EXIT ${node.name}${cause === undefined ? "" : ` ${String(cause)}`}`);
    this.#down(node);
  }

  #down(node: SimNode): void {
    this.#node = undefined;
    this.#frozenUntil = 0;
    node.crash();
    this.#options.after(this.#options.restartMs(), () => void this.#restart());
  }

  async #restart(): Promise<void> {
    await this.#options.mayStart?.();
    if (this.#holds.size > 0) {
      await new Promise<void>((resolve) => {
        this.#onRelease = resolve;
      });
    }
    if (!Number.isNaN(this.#lives)) this.start();
  }
}
