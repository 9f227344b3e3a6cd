/** A structured log: the message is constant, what varies is in the fields. Ids are `taskId`, `agentId`, `partition`. */
export interface Logger {
  /** Per task. */
  debug(message: string, fields?: Readonly<Record<string, unknown>>): void;
  /** The state of something changed. */
  info(message: string, fields?: Readonly<Record<string, unknown>>): void;
  /** Degraded, healing itself. */
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void;
  /** A person must act. */
  error(message: string, fields?: Readonly<Record<string, unknown>>): void;
  /** The same log with fields on every line. */
  child(fields: Readonly<Record<string, unknown>>): Logger;
}
