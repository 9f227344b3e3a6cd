import { AccountId } from "@sluice/core";
import { expect, test } from "vitest";
import { defaultAccountSettings } from "../index.ts";
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

  test("an account has the default settings until they are changed, each by itself", async () => {
    const { accounts } = subject.store;
    expect(await accounts.read([account])).toEqual([]);
    await accounts.createKey(key);
    const created = {
      accountId: account,
      settings: defaultAccountSettings,
      limitsChangedAt: 0,
      createdAt: subject.now,
    };
    expect(await accounts.read([account, AccountId("other"), account])).toEqual([created]);
    subject.passTime(5);

    expect(await accounts.update(account, { weight: 3 })).toEqual({
      ...created,
      settings: { ...defaultAccountSettings, weight: 3 },
    });
    const limited = await accounts.update(account, { concurrencyMax: 2 });
    expect(limited).toMatchObject({ settings: { concurrencyMax: 2, weight: 3 }, limitsChangedAt: subject.now });
    subject.passTime(5);
    const changed = await accounts.update(account, { concurrencyMax: 1, rateMax: 2.5, rateBurst: 4 });
    expect(changed).toEqual({
      ...limited,
      settings: { concurrencyMax: 1, rateMax: 2.5, rateBurst: 4, weight: 3 },
    });
    expect(await accounts.read([account])).toEqual([changed]);
    const unlimited = await accounts.update(account, { concurrencyMax: 0, rateMax: 0 });
    expect(unlimited.limitsChangedAt).toBe(subject.now);
    expect((await accounts.update(account, { rateMax: 1 })).limitsChangedAt).toBe(subject.now + 1);
  });

  test("an account without keys can be limited, and accounts are listed by id", async () => {
    const other = AccountId("other");
    const settings = { concurrencyMax: 1 };
    const created = await subject.store.accounts.update(other, settings);
    expect(created).toMatchObject({ accountId: other, settings, limitsChangedAt: subject.now, createdAt: subject.now });
    await subject.store.accounts.createKey(key);
    const list = async (after: string, limit: number) =>
      (await subject.store.accounts.list({ after, limit })).map(({ accountId }) => accountId);

    expect(await list("", 10)).toEqual([account, other]);
    expect(await list("", 1)).toEqual([account]);
    expect(await list(account, 10)).toEqual([other]);
  });

  test("a key with a NUL is the caller's mistake", async () => {
    await expect(subject.store.accounts.key("a\0")).rejects.toMatchObject({ code: "invalid", reason: "INVALID_TEXT" });
  });
}
