import { expect, test } from "vitest";
import type { Subject } from "./subject.ts";

const host = { agentId: "host-1", address: "10.0.0.1:7000", slots: 8, version: "0.1.0", registrationId: "r1" };

export function describeAgents(subject: Subject): void {
  test("a registered agent is listed, renewed now", async () => {
    const incarnation = await subject.store.agents.register(host);

    expect(incarnation).toEqual({ agentId: "host-1", incarnation: 1 });
    expect(await subject.store.agents.list()).toEqual([
      {
        agentId: "host-1",
        incarnation: 1,
        address: host.address,
        slots: 8,
        version: "0.1.0",
        renewedAt: subject.now,
        fenced: false,
      },
    ]);
  });

  test("a repeated registration is the same incarnation, even after a later one", async () => {
    const first = await subject.store.agents.register(host);
    expect(await subject.store.agents.register(host)).toEqual(first);
    const second = await subject.store.agents.register({ ...host, registrationId: "r2" });

    expect(second.incarnation).toBe(2);
    expect(await subject.store.agents.register(host)).toEqual(first);
    expect(await subject.store.agents.list()).toMatchObject([second]);
  });

  test("a new incarnation replaces the one before, whose renewals are refused", async () => {
    const first = await subject.store.agents.register(host);
    const second = await subject.store.agents.register({ ...host, registrationId: "r2" });

    expect(await subject.store.agents.renew([first, second])).toEqual([second]);
    expect(await subject.store.agents.markDead(first, 1e9)).toBe(true);
    expect(await subject.store.agents.fence(first)).toBe(false);
  });

  test("incarnations go up for ever, over many lives", async () => {
    for (let life = 1; life <= 20; life++) {
      const registered = await subject.store.agents.register({ ...host, registrationId: `r${life}` });
      expect(registered.incarnation).toBe(life);
      if (life % 3 === 0) await subject.store.agents.deregister(registered);
    }
    expect(await subject.store.agents.markDead({ agentId: "host-1", incarnation: 1 }, 1e9)).toBe(true);
  });

  test("renewals move only forwards, many at once, and skip who is not known", async () => {
    const one = await subject.store.agents.register(host);
    const two = await subject.store.agents.register({ ...host, agentId: "host-2" });
    subject.passTime(2_000);

    const renewed = await subject.store.agents.renew([two, { agentId: "nobody", incarnation: 1 }, one]);

    expect(renewed).toHaveLength(2);
    expect(renewed).toEqual(expect.arrayContaining([one, two]));
    expect((await subject.store.agents.list()).map((agent) => agent.renewedAt)).toEqual([subject.now, subject.now]);
    subject.passTime(-1_000);
    await subject.store.agents.renew([one]);
    expect((await subject.store.agents.list())[0]?.renewedAt).toBe(subject.now + 1_000);
  });

  test("a fenced agent is listed, but renewed no more", async () => {
    const agent = await subject.store.agents.register(host);

    expect(await subject.store.agents.fence(agent)).toBe(true);
    expect(await subject.store.agents.fence(agent)).toBe(true);
    expect(await subject.store.agents.renew([agent])).toEqual([]);
    expect(await subject.store.agents.list()).toMatchObject([{ ...agent, fenced: true }]);
  });

  test("the silence of a fenced agent begins with its first fence", async () => {
    const agent = await subject.store.agents.register(host);
    subject.passTime(30_000);
    await subject.store.agents.fence(agent);
    subject.passTime(24_999);
    await subject.store.agents.fence(agent);

    expect(await subject.store.agents.markDead(agent, 25_000)).toBe(false);
    subject.passTime(1);
    expect(await subject.store.agents.markDead(agent, 25_000)).toBe(true);
  });

  test("an agent is marked dead only after its silence", async () => {
    const agent = await subject.store.agents.register(host);
    subject.passTime(24_999);

    expect(await subject.store.agents.markDead(agent, 25_000)).toBe(false);
    expect(await subject.store.agents.renew([agent])).toEqual([agent]);
    subject.passTime(25_000);
    expect(await subject.store.agents.markDead(agent, 25_000)).toBe(true);
    expect(await subject.store.agents.markDead(agent, 25_000)).toBe(true);
  });

  test("who is dead stays dead", async () => {
    const agent = await subject.store.agents.register(host);
    subject.passTime(25_000);
    await subject.store.agents.markDead(agent, 25_000);

    expect(await subject.store.agents.renew([agent])).toEqual([]);
    expect(await subject.store.agents.fence(agent)).toBe(false);
    expect(await subject.store.agents.list()).toEqual([]);
    expect(await subject.store.agents.register(host)).toEqual(agent);
    expect(await subject.store.agents.list()).toEqual([]);
  });

  test("a deregistered agent is dead at once", async () => {
    const agent = await subject.store.agents.register(host);

    await subject.store.agents.deregister(agent);

    expect(await subject.store.agents.list()).toEqual([]);
    expect(await subject.store.agents.markDead(agent, 1e9)).toBe(true);
  });

  test("deregistering an earlier incarnation does not touch the living one", async () => {
    const first = await subject.store.agents.register(host);
    const second = await subject.store.agents.register({ ...host, registrationId: "r2" });

    await subject.store.agents.deregister(first);

    expect(await subject.store.agents.list()).toMatchObject([second]);
  });
}
