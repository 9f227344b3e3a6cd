/**
 * The only source of randomness that decisions may use. (Identifiers that must be unguessable, such as secrets, come
 * from `node:crypto` in the drivers.)
 */
export interface Random {
  /** Uniform in [0, 1). */
  next(): number;
  /**
   * An independent generator derived from this one's seed and `name`. Forking does not advance this generator, so
   * adding a component does not shift the dice of the others.
   */
  fork(name: string): Random;
  /** `bytes` random bytes as lower-case hexadecimal; for identifiers. */
  hex(bytes: number): string;
}
