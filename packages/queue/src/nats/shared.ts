/**
 * Runs `work` once for all who ask before it has begun; who asks while it runs shares the next run. So nobody gets an answer
 * that is older than the question, and a hundred questions cost two answers.
 */
export class Shared<T> {
  readonly #work: () => Promise<T>;
  #running: Promise<unknown> = Promise.resolve();
  #next: Promise<T> | undefined;

  constructor(work: () => Promise<T>) {
    this.#work = work;
  }

  run(): Promise<T> {
    this.#next ??= this.#begin();
    return this.#next;
  }

  async #begin(): Promise<T> {
    await this.#running.catch(() => undefined);
    this.#next = undefined;
    const run = this.#work();
    this.#running = run;
    return run;
  }
}
