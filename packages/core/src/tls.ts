/** PEM texts with which a process proves who it is and checks others. */
export interface TlsFiles {
  /** Certificate authority that the other side must be signed by. */
  readonly ca: string;
  /** With `key`: this side's own certificate, for mutual TLS. */
  readonly cert?: string;
  readonly key?: string;
}
