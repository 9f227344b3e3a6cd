import { chmod, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readMasterKey } from "./master-key.ts";
import { openSecret, sealSecret } from "./secret-box.ts";

const masterKey = Buffer.alloc(32, 7);

test("a sealed secret opens under the same master key and key id only", () => {
  const sealed = sealSecret(masterKey, "ak1", "correct horse");
  expect(openSecret(masterKey, "ak1", sealed)).toBe("correct horse");
  const wrong = expect.objectContaining({ reason: "WRONG_MASTER_KEY" });
  expect(() => openSecret(Buffer.alloc(32, 8), "ak1", sealed)).toThrow(wrong);
  expect(() => openSecret(masterKey, "ak2", sealed)).toThrow(wrong);
  for (let index = 0; index < sealed.length; index++) {
    const changed = Buffer.from(sealed);
    changed[index] = (changed[index] ?? 0) ^ 1;
    expect(() => openSecret(masterKey, "ak1", changed)).toThrow(wrong);
  }
  expect(() => openSecret(masterKey, "ak1", sealed.subarray(0, 20))).toThrow(wrong);
});

test("nonces differ between secrets and between key ids", () => {
  const nonce = (keyId: string, secret: string) =>
    Buffer.from(sealSecret(masterKey, keyId, secret).subarray(1, 13)).toString("hex");
  expect(new Set([nonce("a", "secret 1"), nonce("a", "secret 2"), nonce("b", "secret 1")]).size).toBe(3);
});

test("the master key file is created once, for its owner only", async () => {
  await using folder = await temporaryFolder();
  const file = join(folder.path, "master.key");
  const keys = await Promise.all([1, 2, 3].map(() => readMasterKey({ value: undefined, file })));
  expect(new Set(keys.map((key) => key.toString("hex"))).size).toBe(1);
  expect(keys[0]).toHaveLength(32);
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  expect((await readFile(file, "utf8")).trim()).toBe(keys[0]?.toString("hex"));
});

test("a master key file that others can read is refused", async () => {
  await using folder = await temporaryFolder();
  const file = join(folder.path, "master.key");
  await readMasterKey({ value: "", file });
  await chmod(file, 0o640);
  await expect(readMasterKey({ value: undefined, file })).rejects.toMatchObject({ reason: "MASTER_KEY_EXPOSED" });
});

test("a master key that is not 64 hexadecimal digits is refused, and a given one wins over the file", async () => {
  await using folder = await temporaryFolder();
  const file = join(folder.path, "master.key");
  await expect(readMasterKey({ value: "short", file })).rejects.toMatchObject({ reason: "INVALID_MASTER_KEY" });
  expect(await readMasterKey({ value: "ab".repeat(32), file })).toEqual(Buffer.alloc(32, 0xab));
  await writeFile(file, "not a key", { mode: 0o600 });
  await expect(readMasterKey({ value: undefined, file })).rejects.toMatchObject({ reason: "INVALID_MASTER_KEY" });
});

async function temporaryFolder() {
  const path = await mkdtemp(join(tmpdir(), "sluice-master-key-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) };
}
