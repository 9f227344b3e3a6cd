/** What can stand in a chain: in one at a time. */
export interface Linked<T extends Linked<T>> {
  chain: Chain<T> | undefined;
  next: T | undefined;
  previous: T | undefined;
}

/**
 * A doubly linked list through its items: a block moves between a lane and the hands of a consumer, and leaves either from
 * the middle, in constant time. (A ring cannot remove from the middle; an insertion-ordered `Map` looks for its first key
 * among all those that were deleted before it.)
 */
export class Chain<T extends Linked<T>> {
  #first: T | undefined;
  #last: T | undefined;

  get first(): T | undefined {
    return this.#first;
  }

  append(item: T): void {
    item.chain = this;
    item.previous = this.#last;
    item.next = undefined;
    if (this.#last === undefined) this.#first = item;
    else this.#last.next = item;
    this.#last = item;
  }

  prepend(item: T): void {
    item.chain = this;
    item.previous = undefined;
    item.next = this.#first;
    if (this.#first === undefined) this.#last = item;
    else this.#first.previous = item;
    this.#first = item;
  }

  remove(item: T): void {
    if (item.previous === undefined) this.#first = item.next;
    else item.previous.next = item.next;
    if (item.next === undefined) this.#last = item.previous;
    else item.next.previous = item.previous;
    item.chain = undefined;
    item.next = undefined;
    item.previous = undefined;
  }

  *[Symbol.iterator](): Generator<T> {
    for (let item = this.#first; item !== undefined; item = item.next) yield item;
  }
}
