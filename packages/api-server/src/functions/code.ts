import { createHash } from "node:crypto";
import { AppError, invalid } from "@sluice/core";
import type { BadPackageReason } from "@sluice/runtime";
import type { CodePackage } from "@sluice/store";

/** Validates a zip to its last byte; rejects with an error that has a `reason`. */
export type InspectZip = (zip: Uint8Array) => Promise<{ readonly files: number; readonly bytes: number }>;

const field = "code_zip";

/** Reasons of `inspectZip` as callers see them. */
export const codeReasons: Readonly<Record<Exclude<BadPackageReason, "digest">, string>> = {
  not_a_zip: "CODE_NOT_A_ZIP",
  corrupt: "CODE_CORRUPT",
  encrypted: "CODE_ENCRYPTED",
  unsafe_name: "CODE_UNSAFE_NAME",
  duplicate_name: "CODE_DUPLICATE_NAME",
  link_or_device: "CODE_LINK_OR_DEVICE",
  too_many_files: "CODE_TOO_MANY_FILES",
  too_large: "CODE_UNPACKED_TOO_LARGE",
  ratio: "CODE_RATIO",
};

/** The package of a zip that is safe to unpack. Throws `MISSING_CODE`, `CODE_TOO_LARGE` or one of `codeReasons`. */
export async function parseCode(
  zip: Buffer,
  { inspectZip, bytesMax }: { readonly inspectZip: InspectZip; readonly bytesMax: number },
): Promise<CodePackage> {
  if (zip.length === 0) throw invalid("MISSING_CODE", field, "send the code as a zip");
  if (zip.length > bytesMax) {
    throw invalid("CODE_TOO_LARGE", field, `the zip has ${zip.length} bytes, at most ${bytesMax} are accepted`);
  }
  try {
    const { files } = await inspectZip(zip);
    if (files === 0) throw invalid("CODE_EMPTY", field, "the zip holds no file");
  } catch (cause) {
    throw asRefusal(cause);
  }
  return { sha256: createHash("sha256").update(zip).digest("hex"), zip };
}

function asRefusal(cause: unknown): unknown {
  if (cause instanceof AppError || !(cause instanceof Error)) return cause;
  const given = "reason" in cause && typeof cause.reason === "string" ? cause.reason : "";
  const reason = new Map(Object.entries(codeReasons)).get(given);
  return reason === undefined ? cause : new AppError("invalid", reason, cause.message, { field, cause });
}
