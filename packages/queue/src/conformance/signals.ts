import { expect, test } from "vitest";
import { type QueueUnderTest, until } from "./world.ts";

export function describeSignals(open: () => Promise<QueueUnderTest>): void {
  test("a hint reaches everybody who listens to its topic, and nobody else", async () => {
    await using world = await open();
    const heard: string[] = [];
    world.signals.listen("marked.q0", (payload) => heard.push(`a ${payload}`));
    world.signals.listen("marked.q0", (payload) => heard.push(`b ${payload}`));
    world.signals.listen("marked.q1", (payload) => heard.push(`c ${payload}`));
    world.signals.listen("marked", (payload) => heard.push(`d ${payload}`));

    await until(world, () => {
      world.signals.send("marked.q0", "17,18");
      return new Set(heard).size >= 2;
    });

    expect([...new Set(heard)].toSorted()).toEqual(["a 17,18", "b 17,18"]);
  });

  test("a hint never arrives while it is being sent", async () => {
    await using world = await open();
    let isSending = false;
    const heard: boolean[] = [];
    world.signals.listen("changed", () => heard.push(isSending));

    await until(world, () => {
      isSending = true;
      world.signals.send("changed", "1");
      isSending = false;
      return heard.length > 0;
    });

    expect(heard).not.toContain(true);
  });

  test("who stops listening hears nothing more; a hint that nobody hears is no error", async () => {
    await using world = await open();
    const heard: string[] = [];
    const stop = world.signals.listen("function", () => heard.push("stopped"));
    world.signals.listen("function", () => heard.push("still there"));
    stop();
    stop();
    world.signals.send("nobody", "listens");

    await until(world, () => {
      world.signals.send("function", "main/echo");
      return heard.length > 0;
    });

    expect(heard).not.toContain("stopped");
  });
}
