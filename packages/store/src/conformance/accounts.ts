import { AccountId } from "@sluice/core";
import { expect, test } from "vitest";
import { account, bytes, type Subject } from "./subject.ts";

const key = { keyId: "key-1", accountId: account, encryptedSecret: bytes("secret"), enabled: true };

export function describeAccounts(subject: Subject): void {
  test("a key reads back as it was created", async () => {
    expect(await subject.store.accounts.createKey(key)).toBe(true);

    expect(await subject.store.accounts.key("key-1")).toEqual(key);
    expect(await subject.store.accounts.key("key-2")).toBeUndefined();
  });

  test("a key id is given once, whoever asks", async () => {
    await subject.store.accounts.createKey(key);

    const again = await subject.store.accounts.createKey({ ...key, accountId: AccountId("other"), enabled: false });

    expect(again).toBe(false);
    expect(await subject.store.accounts.key("key-1")).toEqual(key);
  });

  test("an account sees its own keys, by id", async () => {
    const second = { ...key, keyId: "key-2", enabled: false };
    await subject.store.accounts.createKey(second);
    await subject.store.accounts.createKey(key);
    await subject.store.accounts.createKey({ ...key, keyId: "key-3", accountId: AccountId("other") });

    expect(await subject.store.accounts.keys(account)).toEqual([key, second]);
    expect(await subject.store.accounts.keys(AccountId("nobody"))).toEqual([]);
  });

  test("a key with a NUL is the caller's mistake", async () => {
    await expect(subject.store.accounts.key("a\0")).rejects.toMatchObject({ code: "invalid", reason: "INVALID_TEXT" });
  });
}
