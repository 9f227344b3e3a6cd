// The certificates of a process: settings, what can be wrong with them, and their files read anew while it runs.
import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { createSecureContext } from "node:tls";
import type { Clock, TlsFiles } from "@sluice/core";
import { systemClock } from "./clock.ts";
import { ConfigError, type ConfigOf } from "./config/config.ts";
import { choice, text } from "./config/setting.ts";
import type { Logger } from "./log.ts";

/** Settings of every process that speaks gRPC. With none of them it speaks in the clear. */
export const tlsSettings = {
  tlsCa: text({
    default: undefined,
    variable: "SLUICE_TLS_CA",
    why: "PEM file of the authorities that certificates of others must be signed by; switches TLS on.",
  }),
  tlsCert: text({
    default: undefined,
    variable: "SLUICE_TLS_CERT",
    why: "PEM file of this process's certificate and its chain; whoever listens needs one.",
  }),
  tlsKey: text({
    default: undefined,
    variable: "SLUICE_TLS_KEY",
    why: "PEM file of the private key of the certificate, without a passphrase.",
  }),
  tlsClientAuth: choice({
    default: "none",
    of: ["none", "request", "require"],
    variable: "SLUICE_TLS_CLIENT_AUTH",
    why: "Whether callers must show a certificate: request lets those without one in, but not as a service.",
  }),
};
export type TlsConfig = ConfigOf<typeof tlsSettings>;
/** What a server asks of its callers' certificates. */
export type ClientAuth = TlsConfig["tlsClientAuth"];

/** The certificates of a process as they are now. */
export interface Tls {
  readonly files: TlsFiles;
  readonly clientAuth: ClientAuth;
  /** Calls `listener` after every change of the files; returns how to stop. */
  watch(listener: () => void): () => void;
  /** Looks for new files every minute, until the signal aborts. Files that are wrong change nothing and are logged. */
  run(signal: AbortSignal): Promise<void>;
}

export interface TlsDeps {
  readonly clock: Clock;
  readonly log: Logger;
}

const lookEveryMs = 60_000;
const dayMs = 86_400_000;
const expiresSoonMs = 7 * dayMs;

/** All that is wrong, for `ConfigSpec.checks`. `serves`: the process listens, so it needs a certificate. */
export function tlsProblems(config: TlsConfig, { serves }: { readonly serves: boolean }, now = systemClock.now()) {
  const { tlsCa, tlsCert, tlsKey, tlsClientAuth } = config;
  const problems: string[] = [];
  if (tlsCert !== undefined && tlsKey === undefined) problems.push("--tls-cert needs its --tls-key");
  if (tlsKey !== undefined && tlsCert === undefined) problems.push("--tls-key needs its --tls-cert");
  if (tlsCa === undefined && (tlsCert ?? tlsKey) !== undefined) problems.push("--tls-cert and --tls-key need --tls-ca");
  if (serves && tlsCa !== undefined && (tlsCert ?? tlsKey) === undefined) {
    problems.push("--tls-ca needs --tls-cert and --tls-key: this process listens");
  }
  if (tlsClientAuth !== "none" && tlsCa === undefined) {
    problems.push(`--tls-client-auth ${tlsClientAuth} needs --tls-ca, --tls-cert and --tls-key`);
  }
  const { problems: inFiles } = load(config, now);
  return [...problems, ...inFiles];
}

/** The certificates of a process; undefined: everything in the clear. Throws `ConfigError` for what `tlsProblems` tells. */
export function openTls(config: TlsConfig, deps: TlsDeps): Tls | undefined {
  return config.tlsCa === undefined ? undefined : new WatchedTls(config, deps);
}

class WatchedTls implements Tls {
  readonly clientAuth: ClientAuth;
  readonly #config: TlsConfig;
  readonly #deps: TlsDeps;
  readonly #listeners = new Set<() => void>();
  #files: TlsFiles;
  #lastWarning = "";

  constructor(config: TlsConfig, deps: TlsDeps) {
    const { files, problems } = load(config, deps.clock.now());
    if (files === undefined || problems.length > 0) throw new ConfigError(problems);
    this.clientAuth = config.tlsClientAuth;
    this.#config = config;
    this.#deps = deps;
    this.#files = files;
  }

  get files(): TlsFiles {
    return this.#files;
  }

  watch(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.#look();
      await this.#deps.clock.sleep(lookEveryMs, signal);
    }
  }

  #look(): void {
    const { clock, log } = this.#deps;
    const { files, problems, expiresAt } = load(this.#config, clock.now());
    if (files === undefined || problems.length > 0) {
      this.#warn("the certificate files are not usable; the former ones stay in use", problems.join("; "));
      return;
    }
    if (expiresAt < clock.now() + expiresSoonMs) {
      this.#warn("the certificate expires soon", `on ${new Date(expiresAt).toISOString()}`);
    } else this.#lastWarning = "";
    if (files.ca === this.#files.ca && files.cert === this.#files.cert && files.key === this.#files.key) return;
    this.#files = files;
    log.info("new certificate files are in use", { expiresAt: new Date(expiresAt).toISOString() });
    for (const listener of [...this.#listeners]) listener();
  }

  /** Says the same thing once. */
  #warn(message: string, detail: string): void {
    if (detail === this.#lastWarning) return;
    this.#lastWarning = detail;
    this.#deps.log.warn(message, { detail });
  }
}

interface Loaded {
  /** Undefined: TLS is off, or the files are not usable. */
  readonly files: TlsFiles | undefined;
  readonly problems: readonly string[];
  /** Of this process's certificate; never, without one. */
  readonly expiresAt: number;
}

function load({ tlsCa, tlsCert, tlsKey }: TlsConfig, now: number): Loaded {
  const problems: string[] = [];
  const ca = read("--tls-ca", tlsCa, problems);
  const cert = read("--tls-cert", tlsCert, problems);
  const key = read("--tls-key", tlsKey, problems);
  if (ca !== undefined) problems.push(...authorityProblems(ca, now));
  const own = cert === undefined ? undefined : parseCertificates(cert)[0];
  if (cert !== undefined)
    problems.push(...(own ? lifetimeProblems(own, now) : ["--tls-cert has no certificate in PEM"]));
  if (key !== undefined) problems.push(...keyProblems(key, own));
  if (problems.length === 0) problems.push(...contextProblems({ ca, cert, key }));
  return {
    files: ca === undefined ? undefined : { ca, ...(cert !== undefined && key !== undefined && { cert, key }) },
    problems,
    expiresAt: own ? Date.parse(own.validTo) : Number.POSITIVE_INFINITY,
  };
}

function read(flag: string, path: string | undefined, problems: string[]): string | undefined {
  if (path === undefined) return undefined;
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    problems.push(`${flag} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`);
    return undefined;
  }
}

/** One that is valid is enough: bundles of authorities carry expired ones along. */
function authorityProblems(pem: string, now: number): string[] {
  const authorities = parseCertificates(pem);
  if (authorities.length === 0) return ["--tls-ca has no certificate in PEM"];
  if (authorities.some((authority) => lifetimeProblems(authority, now).length === 0)) return [];
  return ["--tls-ca has no certificate that is valid today"];
}

function lifetimeProblems({ validFrom, validTo }: X509Certificate, now: number): string[] {
  if (Date.parse(validTo) <= now) return [`--tls-cert expired on ${validTo}`];
  if (Date.parse(validFrom) > now) return [`--tls-cert is not valid before ${validFrom}`];
  return [];
}

function keyProblems(pem: string, own: X509Certificate | undefined): string[] {
  try {
    const key = createPrivateKey(pem);
    return own === undefined || own.checkPrivateKey(key) ? [] : ["--tls-key does not belong to --tls-cert"];
  } catch {
    // The cause could quote the key.
    return ["--tls-key has no private key in PEM, or one with a passphrase"];
  }
}

/** What only the TLS library itself refuses, such as keys that are too short. */
function contextProblems(files: { [K in "ca" | "cert" | "key"]: string | undefined }): string[] {
  try {
    createSecureContext(files);
    return [];
  } catch (cause) {
    return [`the certificate cannot be used: ${cause instanceof Error ? cause.message : String(cause)}`];
  }
}

/** Those that cannot be parsed are left out. */
function parseCertificates(pem: string): X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? [];
  return blocks.flatMap((block) => {
    try {
      return [new X509Certificate(block)];
    } catch {
      return [];
    }
  });
}
