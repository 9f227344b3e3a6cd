/** Lets in so many at once; who finds no room waits in line. */
export class Room {
  readonly #capacity: number;
  readonly #line: { readonly size: number; readonly enter: () => void }[] = [];
  #taken = 0;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  async enter(size: number): Promise<void> {
    if (this.#line.length === 0 && this.#fits(size)) {
      this.#taken += size;
      return;
    }
    await new Promise<void>((enter) => {
      this.#line.push({ size, enter });
    });
  }

  leave(size: number): void {
    this.#taken -= size;
    for (let next = this.#line[0]; next !== undefined && this.#fits(next.size); next = this.#line[0]) {
      this.#line.shift();
      this.#taken += next.size;
      next.enter();
    }
  }

  /** What is larger than the room enters alone. */
  #fits(size: number): boolean {
    return this.#taken === 0 || this.#taken + size <= this.#capacity;
  }
}
