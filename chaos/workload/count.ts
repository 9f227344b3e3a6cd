/** A number that grows, and can be waited for. */
export class Count {
  value = 0;
  readonly #name: string;
  readonly #waiting = new Set<{ readonly target: number; readonly reached: () => void }>();

  /** `name` is for the message of a wait that is over. */
  constructor(name: string) {
    this.#name = name;
  }

  set(value: number): void {
    this.value = value;
    for (const wait of this.#waiting) if (value >= wait.target) wait.reached();
  }

  /** Resolves when it has grown by so much; rejects after `timeoutMs`. */
  more(by: number, timeoutMs: number): Promise<void> {
    const from = this.value;
    if (by <= 0) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const over = () => {
        this.#waiting.delete(wait);
        reject(new Error(`${this.value - from} of ${by} more tasks ${this.#name} within ${timeoutMs} ms`));
      };
      const timer = setTimeout(over, timeoutMs);
      const reached = () => {
        clearTimeout(timer);
        this.#waiting.delete(wait);
        resolve();
      };
      const wait = { target: from + by, reached };
      this.#waiting.add(wait);
    });
  }
}
