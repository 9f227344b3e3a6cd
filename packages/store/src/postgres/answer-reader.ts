// Puts an answer together from what arrives on a socket. An answer is a row of messages that ends with "ready for query";
// every message is a type byte and a length, which counts itself.

/** What is kept for the next answer; a larger buffer is let go. */
const keptBytesMax = 1024 * 1024;

/** More than a server sends at once; whoever claims more does not speak our protocol. */
const messageBytesMax = 2 ** 30;

const readyForQuery = "Z".charCodeAt(0);

export class AnswerReader {
  #buffer = Buffer.allocUnsafe(16 * 1024);
  #length = 0;
  /** Where the next message begins, counted from the start of the answer. */
  #next = 0;

  /**
   * The answer, once the chunk completes it; valid until the next call. What the server says unasked between two answers
   * becomes part of the second one. Throws if the bytes are no messages.
   */
  push(chunk: Buffer): Buffer | undefined {
    // Most answers come in one piece, which needs no copy.
    const isWhole = this.#length === 0;
    if (!isWhole) this.#append(chunk);
    const bytes = isWhole ? chunk : this.#buffer.subarray(0, this.#length);
    if (!this.#reachesEnd(bytes)) {
      if (isWhole) this.#append(chunk);
      return undefined;
    }
    const answer = bytes.subarray(0, this.#next);
    const rest = bytes.subarray(this.#next);
    this.#length = 0;
    this.#next = 0;
    if (rest.length > 0 || this.#buffer.length > keptBytesMax) this.#buffer = Buffer.allocUnsafe(16 * 1024);
    if (rest.length > 0) this.#append(rest);
    return answer;
  }

  /** The complete messages of an answer that will not come to its end. */
  unfinished(): Buffer {
    return this.#buffer.subarray(0, Math.min(this.#next, this.#length));
  }

  /** Goes on from message to message; true: it stands behind the one that ends the answer. */
  #reachesEnd(bytes: Buffer): boolean {
    while (this.#next + 5 <= bytes.length) {
      const length = bytes.readInt32BE(this.#next + 1);
      if (length < 4 || length > messageBytesMax) throw new Error(`a message of ${length} bytes`);
      const end = this.#next + 1 + length;
      if (end > bytes.length) return false;
      const isReady = bytes[this.#next] === readyForQuery;
      this.#next = end;
      if (isReady) return true;
    }
    return false;
  }

  #append(chunk: Buffer): void {
    const length = this.#length + chunk.length;
    if (length > this.#buffer.length) {
      const larger = Buffer.allocUnsafe(Math.max(length, this.#buffer.length * 2));
      this.#buffer.copy(larger, 0, 0, this.#length);
      this.#buffer = larger;
    }
    chunk.copy(this.#buffer, this.#length);
    this.#length = length;
  }
}
