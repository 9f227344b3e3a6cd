import { readFileSync } from "node:fs";
import { AppError, type TlsFiles } from "@sluice/core";

export interface TlsPaths {
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
}

/** The texts of PEM files; undefined: no authority, no TLS. Throws `TLS_FILE_UNREADABLE`. */
export function readTlsFiles({ ca, cert, key }: TlsPaths): TlsFiles | undefined {
  if (ca === undefined) return undefined;
  return {
    ca: read(ca),
    ...(cert !== undefined && { cert: read(cert) }),
    ...(key !== undefined && { key: read(key) }),
  };
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? "it cannot be read";
    throw new AppError("precondition", "TLS_FILE_UNREADABLE", `cannot read the certificate file ${path}: ${code}`, {
      cause,
    });
  }
}
