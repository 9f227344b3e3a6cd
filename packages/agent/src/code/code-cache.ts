// Unpacked code packages on this host, by the sha256 of the package.
//
//   <folder>/<sha256>/size    bytes unpacked, to recognise what a crash of the machine left half written
//   <folder>/<sha256>/code/   the code
//   <folder>/tmp-…            being unpacked, or being deleted
//
// A package appears under its name by a rename, complete or not at all.
import { createHash } from "node:crypto";
import { chmod, lstat, mkdir, readdir, readFile, rename, rm, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Clock, Random } from "@sluice/core";
import { BadPackage, defaultPackageLimits, type PackageLimits, unzip } from "@sluice/runtime";

/** Code that stays on disk until it is released. */
export interface CodeLease {
  readonly dir: string;
  release(): void;
}

export interface CodeSource {
  /** Throws `BadPackage` for code that can never run, and what `fetch` throws. */
  acquire(sha256: string, signal: AbortSignal): Promise<CodeLease>;
}

export interface CodeCacheOptions {
  readonly directory: string;
  readonly clock: Clock;
  /** Names folders that are being unpacked. */
  readonly random: Random;
  /** Downloads a package. */
  fetch(sha256: string, signal: AbortSignal): Promise<Uint8Array>;
  /** Unpacked bytes to keep. Code in use is kept beyond it. */
  readonly bytesMax: number;
  readonly limits?: PackageLimits;
}

export interface CodeCache extends CodeSource {
  readonly bytes: number;
}

interface Entry {
  readonly bytes: number;
  leases: number;
}

interface Load {
  readonly done: Promise<Entry>;
  readonly cancel: AbortController;
  callers: number;
  /** Once loaded: leased by the load itself until its callers have taken their own leases. */
  entry?: Entry | undefined;
}

/** Opens the cache, with what an earlier agent left in it. One process at a time may have it open. */
export async function openCodeCache(options: CodeCacheOptions): Promise<CodeCache> {
  await mkdir(options.directory, { recursive: true });
  return new DiskCodeCache(options, await readEntries(options.directory));
}

class DiskCodeCache implements CodeCache {
  readonly #options: CodeCacheOptions;
  /** In the order of use, oldest first. */
  readonly #entries: Map<string, Entry>;
  readonly #loads = new Map<string, Load>();

  constructor(options: CodeCacheOptions, entries: Map<string, Entry>) {
    this.#options = options;
    this.#entries = entries;
  }

  get bytes(): number {
    return [...this.#entries.values()].reduce((sum, { bytes }) => sum + bytes, 0);
  }

  async acquire(sha256: string, signal: AbortSignal): Promise<CodeLease> {
    if (!/^[0-9a-f]{64}$/.test(sha256)) throw new BadPackage("digest", `not a sha256: ${sha256.slice(0, 100)}`);
    signal.throwIfAborted();
    const entry = this.#entries.get(sha256);
    return entry ? this.#lease(sha256, entry) : this.#joinLoad(sha256, signal);
  }

  #lease(sha256: string, entry: Entry): CodeLease {
    entry.leases++;
    this.#entries.delete(sha256);
    this.#entries.set(sha256, entry);
    const now = this.#options.clock.now() / 1000;
    // The order of use must survive a restart; when this fails, only the order is lost.
    void utimes(join(this.#options.directory, sha256), now, now).catch(() => undefined);
    let isReleased = false;
    const release = () => {
      if (isReleased) return;
      isReleased = true;
      entry.leases--;
      this.#evict();
    };
    return { dir: join(this.#options.directory, sha256, "code"), release };
  }

  /** Many instances of a function start at once; the package is fetched once, until the last of them gives up. */
  async #joinLoad(sha256: string, signal: AbortSignal): Promise<CodeLease> {
    const load = this.#loads.get(sha256) ?? this.#startLoad(sha256);
    load.callers++;
    let onAbort = () => {};
    const aborted = new Promise<never>((_, reject) => {
      onAbort = () => reject(signal.reason);
      signal.addEventListener("abort", onAbort);
    });
    try {
      return this.#lease(sha256, await Promise.race([load.done, aborted]));
    } finally {
      signal.removeEventListener("abort", onAbort);
      load.callers--;
      if (load.callers === 0) this.#leave(sha256, load);
    }
  }

  #startLoad(sha256: string): Load {
    const cancel = new AbortController();
    const load: Load = { cancel, callers: 0, done: this.#load(sha256, cancel.signal) };
    this.#loads.set(sha256, load);
    const settle = (entry?: Entry) => {
      load.entry = entry;
      if (load.callers === 0) this.#leave(sha256, load);
      if (this.#loads.get(sha256) === load) this.#loads.delete(sha256);
    };
    load.done.then(settle, () => settle());
    return load;
  }

  /** The last caller has what it wanted, or has given up. */
  #leave(sha256: string, load: Load): void {
    if (this.#loads.get(sha256) === load) this.#loads.delete(sha256);
    if (!load.entry) {
      load.cancel.abort();
      return;
    }
    load.entry.leases--;
    load.entry = undefined;
    this.#evict();
  }

  async #load(sha256: string, signal: AbortSignal): Promise<Entry> {
    const { directory, fetch, limits = defaultPackageLimits, random } = this.#options;
    const bytes = await fetch(sha256, signal);
    const digest = createHash("sha256").update(bytes).digest("hex");
    if (digest !== sha256) throw new BadPackage("digest", `the package has the digest ${digest}, not ${sha256}`);
    const staging = join(directory, `tmp-${random.hex(8)}`);
    try {
      await mkdir(join(staging, "code"), { recursive: true });
      const size = await unzip(bytes, join(staging, "code"), limits);
      await writeFile(join(staging, "size"), String(size.bytes));
      signal.throwIfAborted();
      await rename(staging, join(directory, sha256));
      const entry = { bytes: size.bytes, leases: 1 };
      this.#entries.set(sha256, entry);
      return entry;
    } catch (error) {
      await removeTree(staging);
      throw error;
    }
  }

  #evict(): void {
    let bytes = this.bytes;
    for (const [sha256, entry] of this.#entries) {
      if (bytes <= this.#options.bytesMax) return;
      if (entry.leases > 0) continue;
      this.#entries.delete(sha256);
      bytes -= entry.bytes;
      void this.#remove(sha256);
    }
  }

  /** Renames before it deletes: whoever asks for the same code meanwhile fetches it anew, undisturbed. */
  async #remove(sha256: string): Promise<void> {
    const trash = join(this.#options.directory, `tmp-${this.#options.random.hex(8)}`);
    try {
      await rename(join(this.#options.directory, sha256), trash);
      await removeTree(trash);
    } catch {
      // The next start clears it away.
    }
  }
}

async function readEntries(directory: string): Promise<Map<string, Entry>> {
  const found: { name: string; usedAt: number; bytes: number }[] = [];
  for (const name of await readdir(directory)) {
    const path = join(directory, name);
    const bytes = /^[0-9a-f]{64}$/.test(name) ? await completeSize(path) : undefined;
    if (bytes === undefined) await removeTree(path);
    else found.push({ name, bytes, usedAt: (await lstat(path)).mtimeMs });
  }
  found.sort((one, other) => one.usedAt - other.usedAt);
  return new Map(found.map(({ name, bytes }) => [name, { bytes, leases: 0 }]));
}

/** The size of the code in `path`, or undefined when it is not all there. */
async function completeSize(path: string): Promise<number | undefined> {
  try {
    const expected = Number(await readFile(join(path, "size"), "utf8"));
    return (await treeSize(join(path, "code"))) === expected ? expected : undefined;
  } catch {
    return undefined;
  }
}

async function treeSize(path: string): Promise<number> {
  let bytes = 0;
  for (const entry of await readdir(path, { withFileTypes: true, recursive: true })) {
    if (entry.isFile()) bytes += (await lstat(join(entry.parentPath ?? entry.path, entry.name))).size;
  }
  return bytes;
}

/** Removes a folder whose subfolders user code may have made read-only. */
async function removeTree(path: string): Promise<void> {
  try {
    await rm(path, { recursive: true, force: true });
  } catch {
    for (const entry of await readdir(path, { withFileTypes: true, recursive: true })) {
      if (entry.isDirectory())
        await chmod(join(entry.parentPath ?? entry.path, entry.name), 0o700).catch(() => undefined);
    }
    await rm(path, { recursive: true, force: true });
  }
}
