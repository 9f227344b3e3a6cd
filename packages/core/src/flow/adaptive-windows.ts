// What adaptive dispatch judges by.
//
// Errors lag: an attempt that is refused after 5 s says something about the rate of 5 s ago. So windows are made of the
// attempts that *started* in them, and are judged when their errors must have come; attempts from before a shrink count
// nowhere. Those that are still running count as accepted: what runs for minutes must not look like a refusal.
//
// An end names its start, not a time: an error that counted in another window than its start would make what was accepted
// there too little, or negative; and a rate of 0 is the bound for ever, so that it is never released or tried again.

/** What the end of an attempt says of its start. */
export interface AdaptiveStart {
  readonly at: number;
  /** Number of the window that counts it. */
  readonly window: number;
}

/** Of the attempts that started in it. Errors are never more than starts. */
export interface Window {
  readonly number: number;
  /** It goes on with those from this number on. */
  first: number;
  from: number;
  /** Undefined: open. */
  until: number | undefined;
  starts: number;
  errors: number;
  /** When it began; 0: free. */
  readonly rate: number;
}

export class Windows {
  #windows: Window[];
  /** The one before them, if it says something and they do not go on with it. */
  #judged: Window | undefined;

  constructor(now: number) {
    this.#windows = [openWindow(0, now, 0)];
  }

  /** The last one, always. */
  get open(): Window {
    return this.#windows.at(-1) as Window;
  }

  /** What was tried of late, and what was refused of that so far. */
  get ofLate(): Pick<Window, "starts" | "errors"> {
    const windows = this.#judged ? [this.#judged, ...this.#windows] : this.#windows;
    return {
      starts: windows.reduce((sum, { starts }) => sum + starts, 0),
      errors: windows.reduce((sum, { errors }) => sum + errors, 0),
    };
  }

  started(now: number): AdaptiveStart {
    const { open } = this;
    open.starts++;
    return { at: now, window: open.number };
  }

  released(start: AdaptiveStart): void {
    const window = this.#of(start);
    if (window) window.starts = Math.max(window.errors, window.starts - 1);
  }

  /** Returns whether it counts. */
  refused(start: AdaptiveStart): boolean {
    const window = this.#of(start);
    // What is told twice, or of a start that was released, must not make what was accepted negative.
    if (window) window.errors = Math.min(window.starts, window.errors + 1);
    return window !== undefined;
  }

  /** A new one is open. */
  close(now: number, rate: number): void {
    const { open } = this;
    open.until = now;
    this.#windows.push(openWindow(open.number + 1, now, rate));
  }

  /** The first one, if it was closed by then; it counts nothing any more. */
  takeClosedBy(time: number): Window | undefined {
    const [first] = this.#windows;
    if (first?.until === undefined || first.until > time) return undefined;
    this.#windows.shift();
    this.#judged = undefined;
    return first;
  }

  /** It was taken, and says something. */
  keep(window: Window): void {
    this.#judged = window;
  }

  /** It was taken, and the next one goes on with it. */
  goOnWith({ first, from, starts, errors }: Window): void {
    const [next] = this.#windows;
    if (!next) return;
    this.#judged = undefined;
    next.first = first;
    next.from = from;
    next.starts += starts;
    next.errors += errors;
  }

  /** What has started so far counts nowhere. */
  startAnew(now: number, rate: number): void {
    this.#judged = undefined;
    this.#windows = [openWindow(this.open.number + 1, now, rate)];
  }

  /** The one that counts it; undefined: it was judged, or is from before a shrink. */
  #of({ window }: AdaptiveStart): Window | undefined {
    return this.#windows.findLast(({ first }) => first <= window);
  }
}

function openWindow(number: number, from: number, rate: number): Window {
  return { number, first: number, from, until: undefined, starts: 0, errors: 0, rate };
}
