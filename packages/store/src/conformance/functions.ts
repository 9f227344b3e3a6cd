import { AccountId, FunctionName } from "@sluice/core";
import { expect, test } from "vitest";
import { type CodePackage, defaultFlowSettings, type FunctionSettings, isOfInstances } from "../index.ts";
import { account, bytes, flow, type Subject } from "./subject.ts";

const settings: FunctionSettings = {
  runtime: "nodejs18",
  handler: "index.handler",
  description: "says what it hears",
  timeoutMs: 60_000,
  memoryMb: 128,
  instanceConcurrency: 10,
  instancesMax: 4,
  environment: { GREETING: "hello" },
  initializer: { handler: "index.initialize", timeoutMs: 3_000 },
  preStop: undefined,
  idleTimeoutMs: 60_000,
  maxAsyncRetryAttempts: 3,
  maxAsyncEventAgeInSeconds: 86_400,
  ...defaultFlowSettings,
};

/** Each of them another one than in `settings`. */
const otherSettings: FunctionSettings = {
  runtime: "nodejs20",
  handler: "index.other",
  description: "",
  timeoutMs: 1,
  memoryMb: 256,
  instanceConcurrency: 1,
  instancesMax: 1,
  environment: { GREETING: "hello", NAME: "you" },
  initializer: undefined,
  preStop: { handler: "index.stop", timeoutMs: 1 },
  idleTimeoutMs: 1_000,
  maxAsyncRetryAttempts: 0,
  maxAsyncEventAgeInSeconds: 1,
  concurrencyMax: 1,
  concurrencyReserved: 1,
  rateMax: 0.5,
  rateBurst: 1,
  weight: 2,
  preemptible: true,
  dedicatedQueue: true,
  latencySensitive: true,
};

function aPackage(text: string): CodePackage {
  return { sha256: text.padEnd(64, "0"), zip: bytes(text) };
}

const other = { accountId: account, functionName: FunctionName("other") };

export function describeFunctions(subject: Subject): void {
  test("a function reads back as it was created", async () => {
    const created = await subject.store.functions.create(flow, settings, aPackage("a"));

    expect(created).toEqual({
      ...flow,
      settings,
      revision: created?.revision,
      codeSha256: aPackage("a").sha256,
      codeBytes: 1,
      createdAt: subject.now,
      updatedAt: subject.now,
      limitsChangedAt: 0,
    });
    expect(await subject.store.functions.read([other, flow])).toEqual([created]);
    expect(await subject.store.functions.code(aPackage("a").sha256)).toEqual(bytes("a"));
  });

  test("a name is taken once, and the code of the refused one is not kept", async () => {
    await subject.store.functions.create(flow, settings, aPackage("a"));

    expect(await subject.store.functions.create(flow, settings, aPackage("b"))).toBeUndefined();
    expect(await subject.store.functions.code(aPackage("b").sha256)).toBeUndefined();
  });

  test("an update changes what it names, and the revision", async () => {
    const created = await subject.store.functions.create(flow, settings, aPackage("a"));
    subject.passTime(5);

    const updated = await subject.store.functions.update(flow, { timeoutMs: 1, initializer: undefined }, undefined);

    expect(updated).toEqual({
      ...created,
      settings: { ...settings, timeoutMs: 1, initializer: undefined },
      revision: updated?.revision,
      updatedAt: subject.now,
    });
    expect(updated?.revision).toBeGreaterThan(created?.revision ?? 0);
    expect(await subject.store.functions.read([flow])).toEqual([updated]);
  });

  test("a revision lasts while everything is the same that an instance was started with", async () => {
    let last = await subject.store.functions.create(flow, settings, aPackage("a"));
    const isNew = async (changed: Partial<FunctionSettings>, code?: CodePackage) => {
      const before = last;
      last = await subject.store.functions.update(flow, changed, code);
      expect(last).toMatchObject({ settings: changed });
      // Also without a clock that moves on.
      expect(last?.updatedAt).toBeGreaterThan(before?.updatedAt ?? 0);
      return (last?.revision ?? 0) > (before?.revision ?? 0);
    };

    for (const [name, value] of Object.entries(otherSettings)) {
      expect([name, await isNew({ [name]: value })]).toEqual([name, isOfInstances[name as keyof FunctionSettings]]);
      expect([name, await isNew({ [name]: value })]).toEqual([name, false]);
    }
    expect(await isNew(otherSettings)).toBe(false);
    expect(await isNew({ rateMax: 5, memoryMb: 512 })).toBe(true);
    expect(await isNew({}, aPackage("a"))).toBe(false);
    expect(await isNew({ rateMax: 6 }, aPackage("b"))).toBe(true);
  });

  test("it is known since when a function is limited, or is not any more; other values of a limit change nothing", async () => {
    await subject.store.functions.create(flow, settings, aPackage("a"));
    const after = async (changed: Partial<FunctionSettings>) => {
      subject.passTime(5);
      return (await subject.store.functions.update(flow, changed, undefined))?.limitsChangedAt;
    };

    expect(await after({ timeoutMs: 1 })).toBe(0);
    const first = await after({ concurrencyMax: 2 });
    expect(first).toBe(subject.now);
    expect(await after({ concurrencyMax: 1, rateMax: 0.5 })).toBe(first);
    expect(await after({ concurrencyMax: 0 })).toBe(first);
    expect(await after({ rateMax: 0 })).toBe(subject.now);
    // Without a clock that moves on.
    const again = await subject.store.functions.update(flow, { rateMax: 1 }, undefined);
    expect(again?.limitsChangedAt).toBe(subject.now + 1);
  });

  test("a function that is created limited is so from the beginning, unless the name was in use before", async () => {
    const limited = { ...settings, concurrencyMax: 1 };
    const created = await subject.store.functions.create(flow, limited, aPackage("a"));
    expect(created?.limitsChangedAt).toBe(0);
    await subject.store.functions.delete(flow);
    subject.passTime(5);
    const namesake = await subject.store.functions.create(flow, limited, aPackage("a"));
    expect(namesake?.limitsChangedAt).toBe(subject.now);
    await subject.store.functions.delete(flow);
    subject.passTime(4 * 24 * 3_600_000);
    await subject.store.functions.create(other, limited, aPackage("a"));
    await subject.store.functions.delete(other);
    const much = await subject.store.functions.create(flow, limited, aPackage("a"));
    expect(much?.limitsChangedAt).toBe(0);
  });

  test("functions for which slots are kept are found, by account and name", async () => {
    const reserving = { ...settings, concurrencyReserved: 2 };
    await subject.store.functions.create(other, reserving, aPackage("a"));
    await subject.store.functions.create(flow, reserving, aPackage("a"));
    const foreign = { ...flow, accountId: AccountId("a-first") };
    await subject.store.functions.create(foreign, settings, aPackage("a"));

    const { reserved, update } = subject.store.functions;
    const both = [
      { ...flow, slots: 2 },
      { ...other, slots: 2 },
    ];
    expect(await reserved([account, foreign.accountId, account])).toEqual(both);
    expect(await reserved([foreign.accountId])).toEqual([]);
    await update(flow, { concurrencyReserved: 0 }, undefined);
    await update(other, { concurrencyMax: 1 }, undefined);
    await update(foreign, { concurrencyReserved: 1, concurrencyMax: 3 }, undefined);
    expect(await reserved([account, foreign.accountId])).toEqual([
      { ...foreign, slots: 1 },
      { ...other, slots: 1 },
    ]);
  });

  test("an update of a function that is not there changes nothing and keeps no code", async () => {
    expect(await subject.store.functions.update(flow, {}, aPackage("a"))).toBeUndefined();
    expect(await subject.store.functions.code(aPackage("a").sha256)).toBeUndefined();
  });

  test("new code replaces the old, which is deleted", async () => {
    await subject.store.functions.create(flow, settings, aPackage("a"));

    const updated = await subject.store.functions.update(flow, {}, aPackage("bb"));

    expect(updated).toMatchObject({ codeSha256: aPackage("bb").sha256, codeBytes: 2 });
    expect(await subject.store.functions.code(aPackage("a").sha256)).toBeUndefined();
    expect(await subject.store.functions.code(aPackage("bb").sha256)).toEqual(bytes("bb"));
  });

  test("an update with the same code keeps it", async () => {
    await subject.store.functions.create(flow, settings, aPackage("a"));

    await subject.store.functions.update(flow, {}, aPackage("a"));

    expect(await subject.store.functions.code(aPackage("a").sha256)).toEqual(bytes("a"));
  });

  test("a package lives until its last function is deleted", async () => {
    await subject.store.functions.create(flow, settings, aPackage("a"));
    await subject.store.functions.create(other, settings, aPackage("a"));

    expect(await subject.store.functions.delete(flow)).toBe(true);
    expect(await subject.store.functions.code(aPackage("a").sha256)).toEqual(bytes("a"));
    expect(await subject.store.functions.delete(other)).toBe(true);
    expect(await subject.store.functions.code(aPackage("a").sha256)).toBeUndefined();
    expect(await subject.store.functions.delete(other)).toBe(false);
  });

  test("a name that is used again gets a higher revision", async () => {
    const first = await subject.store.functions.create(flow, settings, aPackage("a"));
    await subject.store.functions.delete(flow);

    const second = await subject.store.functions.create(flow, settings, aPackage("a"));

    expect(second?.revision).toBeGreaterThan(first?.revision ?? 0);
  });

  test("functions are listed by name, by prefix, in pages, and of one account only", async () => {
    for (const name of ["b1", "a1", "b2", "b3", "c"]) {
      await subject.store.functions.create(
        { accountId: account, functionName: FunctionName(name) },
        settings,
        aPackage("a"),
      );
    }
    await subject.store.functions.create(
      { accountId: AccountId("stranger"), functionName: FunctionName("b0") },
      settings,
      aPackage("a"),
    );
    const names = async (options: { prefix: string; after: string; limit: number }) =>
      (await subject.store.functions.list(account, options)).map((each) => each.functionName);

    expect(await names({ prefix: "", after: "", limit: 10 })).toEqual(["a1", "b1", "b2", "b3", "c"]);
    expect(await names({ prefix: "b", after: "", limit: 2 })).toEqual(["b1", "b2"]);
    expect(await names({ prefix: "b", after: "b2", limit: 2 })).toEqual(["b3"]);
  });

  test("another account cannot read, update or delete a function", async () => {
    await subject.store.functions.create(flow, settings, aPackage("a"));
    const strange = { ...flow, accountId: AccountId("stranger") };

    expect(await subject.store.functions.read([strange])).toEqual([]);
    expect(await subject.store.functions.update(strange, { timeoutMs: 1 }, undefined)).toBeUndefined();
    expect(await subject.store.functions.delete(strange)).toBe(false);
    expect(await subject.store.functions.read([flow])).toMatchObject([{ settings }]);
  });

  test("a NUL in a setting is the caller's mistake", async () => {
    const creation = subject.store.functions.create(flow, { ...settings, description: "a\0b" }, aPackage("a"));

    await expect(creation).rejects.toMatchObject({ code: "invalid", reason: "INVALID_TEXT" });
    expect(await subject.store.functions.read([flow])).toEqual([]);
  });
}
