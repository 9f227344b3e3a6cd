import { taskStatuses } from "@sluice/client";
import type { Context } from "../context.ts";
import { type ExitCode, exitCodes } from "../errors.ts";
import { statusStyle } from "../format.ts";
import { type Cell, writeJson, writeTable } from "../output.ts";

/** Counting goes through lists, so it ends where a page does. */
const countMax = 500;

/** Whether the server answers, how it is, and how many tasks are in which status. */
export async function status({ client, output, signal, json, address }: Context): Promise<ExitCode> {
  const health = await client.health({ signal });
  let functions = 0;
  for await (const _ of client.functions.list({}, { signal })) functions += 1;
  const counts = await Promise.all(
    taskStatuses.map(async (name) => {
      const page = await client.listPage({ status: name, pageSize: countMax }, { signal });
      return { name, count: page.tasks.length, isComplete: page.nextPageToken === undefined };
    }),
  );
  if (json) {
    const tasks = Object.fromEntries(counts.map(({ name, count, isComplete }) => [name, { count, isComplete }]));
    await writeJson(output, { address, health, functions, tasks });
  } else {
    const facts: Cell[][] = [
      [{ text: "server" }, { text: address }],
      [{ text: "health" }, { text: health, style: health === "serving" ? "green" : "red" }],
      [{ text: "functions" }, { text: String(functions) }],
    ];
    const rows = counts.map(({ name, count, isComplete }): Cell[] => [
      { text: name, style: statusStyle(name) },
      { text: isComplete ? String(count) : `${count} or more` },
    ]);
    await writeTable(output, undefined, [...facts, ...rows]);
  }
  return health === "not serving" ? exitCodes.unavailable : exitCodes.ok;
}
