// How gRPC connections are encrypted, and what the certificate of a caller says about it.
import { type ChannelCredentials, credentials, experimental, ServerCredentials } from "@grpc/grpc-js";
import type { TlsFiles } from "@sluice/core";

/** The certificates of this process, which may change while it runs; `openTls` of the runtime makes one. */
export interface TlsSource {
  readonly files: TlsFiles;
  /** `request`: callers may show a certificate; `require`: they must. */
  readonly clientAuth: "none" | "request" | "require";
  /** Calls `listener` after every change of `files`; returns how to stop. */
  watch(listener: () => void): () => void;
}

/** For a server; in the clear without `tls`. New certificates count for connections that are made after they came. */
export function serverCredentials(tls: TlsSource | undefined): ServerCredentials {
  if (tls === undefined) return ServerCredentials.createInsecure();
  if (tls.files.cert === undefined) throw new TypeError("a server needs a certificate of its own");
  const provider = new Provider(tls);
  const isRequired = tls.clientAuth === "require";
  // The first argument is the server's own certificate, whatever the declaration calls it.
  return experimental.createCertificateProviderServerCredentials(
    provider,
    tls.clientAuth === "none" ? null : provider,
    isRequired,
  );
}

/** For a client, which shows its certificate if it has one; in the clear without `tls`. */
export function channelCredentials(tls: TlsSource | undefined): ChannelCredentials {
  if (tls === undefined) return credentials.createInsecure();
  const provider = new Provider(tls);
  return experimental.createCertificateProviderChannelCredentials(
    provider,
    tls.files.cert === undefined ? null : provider,
  );
}

/**
 * Hands the files to the transport. Its own provider that watches files pushes them unchecked: a certificate that was
 * replaced a moment before its key would make a server drop every connection until the next look.
 */
class Provider implements experimental.CertificateProvider {
  readonly #tls: TlsSource;
  readonly #stops = new Map<unknown, () => void>();

  constructor(tls: TlsSource) {
    this.#tls = tls;
  }

  addCaCertificateListener(listener: experimental.CaCertificateUpdateListener): void {
    this.#add(listener, ({ ca }) => listener({ caCertificate: Buffer.from(ca) }));
  }

  addIdentityCertificateListener(listener: experimental.IdentityCertificateUpdateListener): void {
    this.#add(listener, ({ cert, key }) => {
      if (cert === undefined || key === undefined) return;
      listener({ certificate: Buffer.from(cert), privateKey: Buffer.from(key) });
    });
  }

  removeCaCertificateListener(listener: experimental.CaCertificateUpdateListener): void {
    this.#remove(listener);
  }

  removeIdentityCertificateListener(listener: experimental.IdentityCertificateUpdateListener): void {
    this.#remove(listener);
  }

  #add(listener: unknown, tell: (files: TlsFiles) => void): void {
    const change = () => tell(this.#tls.files);
    this.#stops.set(listener, this.#tls.watch(change));
    // Those who add a listener are not ready to be told before they return.
    queueMicrotask(change);
  }

  #remove(listener: unknown): void {
    this.#stops.get(listener)?.();
    this.#stops.delete(listener);
  }
}
