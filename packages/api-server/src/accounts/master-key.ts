// Reads files and draws random bytes: called by `main.ts` only.
import { randomBytes } from "node:crypto";
import { link, open, readFile, rm, stat } from "node:fs/promises";
import { AppError } from "@sluice/core";

export interface MasterKeySource {
  /** 64 hexadecimal digits, usually from `SLUICE_MASTER_KEY`; undefined or empty: the file decides. */
  readonly value: string | undefined;
  /** A file with 64 hexadecimal digits that only its owner may read; created if it is absent. */
  readonly file: string;
}

/** The 32 bytes under which secrets are encrypted. Throws `INVALID_MASTER_KEY` or `MASTER_KEY_EXPOSED`. */
export async function readMasterKey({ value, file }: MasterKeySource): Promise<Buffer> {
  if (value) return parse(value, "SLUICE_MASTER_KEY");
  await createOnce(file);
  if (((await stat(file)).mode & 0o077) !== 0) {
    throw new AppError("precondition", "MASTER_KEY_EXPOSED", `others can read ${file}; run: chmod 600 ${file}`);
  }
  return parse(await readFile(file, "utf8"), file);
}

function parse(text: string, origin: string): Buffer {
  if (!/^[0-9A-Fa-f]{64}$/.test(text.trim())) {
    throw new AppError("precondition", "INVALID_MASTER_KEY", `${origin} must hold 64 hexadecimal digits`);
  }
  return Buffer.from(text.trim(), "hex");
}

/** Appears complete or not at all, and never replaces a file that is there. */
async function createOnce(file: string): Promise<void> {
  if (await exists(file)) return;
  const draft = `${file}.${randomBytes(6).toString("hex")}`;
  const handle = await open(draft, "wx", 0o600);
  try {
    await handle.writeFile(`${randomBytes(32).toString("hex")}\n`);
    await handle.sync();
    await link(draft, file).catch((cause: NodeJS.ErrnoException) => {
      if (cause.code !== "EEXIST") throw cause;
    });
  } finally {
    await handle.close();
    await rm(draft, { force: true });
  }
}

async function exists(file: string): Promise<boolean> {
  return stat(file).then(
    () => true,
    (cause: NodeJS.ErrnoException) => {
      if (cause.code === "ENOENT") return false;
      throw cause;
    },
  );
}
