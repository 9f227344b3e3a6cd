// Certificates for tests, made by `openssl`.
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TlsFiles } from "@sluice/core";
import { openFolder } from "./folder.ts";

/** One certificate with its key, as files. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

export interface CertificateOptions {
  /** Such as `DNS:localhost`, `IP:127.0.0.1` or `URI:spiffe://sluice/agent`. Default: localhost and 127.0.0.1. */
  readonly names?: readonly string[];
  /** From now; a negative number: it expired so long ago. Default 1. */
  readonly days?: number;
}

/** An authority in a temporary folder. */
export interface Authority extends Disposable {
  /** PEM file of its own certificate. */
  readonly ca: string;
  readonly folder: string;
  /** Makes a certificate that it signs. */
  issue(name: string, options?: CertificateOptions): Certificate;
  /** The same as texts. */
  files(certificate?: Certificate): TlsFiles;
}

export function createAuthority(): Authority {
  const opened = openFolder({ name: "ca" });
  const folder = opened.path;
  const at = (name: string) => join(folder, name);
  const openssl = (...args: string[]) => execFileSync("openssl", args, { cwd: folder, stdio: "pipe" });
  const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  openssl(
    "req",
    "-x509",
    ...newKey,
    "-keyout",
    "ca.key",
    "-out",
    "ca.pem",
    "-days",
    "2",
    "-subj",
    "/CN=Test authority",
  );
  return {
    ca: at("ca.pem"),
    folder,
    issue(name, { names = ["DNS:localhost", "IP:127.0.0.1"], days = 1 } = {}) {
      openssl("req", ...newKey, "-keyout", `${name}.key`, "-out", `${name}.csr`, "-subj", `/CN=${name}`);
      writeFileSync(at(`${name}.ext`), `subjectAltName=${names.join(",")}\n`);
      const signing = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", `${name}.ext`];
      openssl("x509", "-req", "-in", `${name}.csr`, "-out", `${name}.pem`, ...signing, "-days", String(days));
      return { cert: at(`${name}.pem`), key: at(`${name}.key`) };
    },
    files(certificate) {
      const ca = readFileSync(at("ca.pem"), "utf8");
      if (certificate === undefined) return { ca };
      return { ca, cert: readFileSync(certificate.cert, "utf8"), key: readFileSync(certificate.key, "utf8") };
    },
    [Symbol.dispose]: () => opened.delete(),
  };
}
