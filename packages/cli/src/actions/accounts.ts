// The limits of accounts, for operators.
import type { Account, AccountSettings } from "@sluice/client";
import type { Context } from "../context.ts";
import { type ExitCode, exitCodes } from "../errors.ts";
import { type Cell, writeJson, writeNote, writeTable } from "../output.ts";

export async function getAccount(context: Context, id: string): Promise<ExitCode> {
  return show(context, await context.client.cluster.account(id, context));
}

export async function setAccount(context: Context, id: string, settings: Partial<AccountSettings>): Promise<ExitCode> {
  return show(context, await context.client.cluster.updateAccount(id, settings, context));
}

export async function listAccounts({ client, output, signal, json }: Context): Promise<ExitCode> {
  const accounts: Account[] = [];
  for await (const account of client.cluster.accounts({ signal })) {
    if (json) await writeJson(output, account);
    else accounts.push(account);
  }
  if (json) return exitCodes.ok;
  if (accounts.length === 0) await writeNote(output, "no accounts");
  else await writeTable(output, ["ACCOUNT", "CONCURRENCY", "RATE", "BURST", "WEIGHT"], accounts.map(rowOf));
  return exitCodes.ok;
}

async function show({ output, json }: Context, account: Account): Promise<ExitCode> {
  if (json) await writeJson(output, account);
  else await writeTable(output, ["ACCOUNT", "CONCURRENCY", "RATE", "BURST", "WEIGHT"], [rowOf(account)]);
  return exitCodes.ok;
}

function rowOf({ id, settings: { concurrencyMax, rateMax, rateBurst, weight } }: Account): Cell[] {
  const limit = (value: number, unit = "") => (value === 0 ? "no limit" : `${value}${unit}`);
  const cells = [id, limit(concurrencyMax), limit(rateMax, "/s"), burstOf(rateMax, rateBurst), String(weight)];
  return cells.map((text) => ({ text }));
}

/** A burst that was set counts from when there is a rate. */
function burstOf(rateMax: number, rateBurst: number): string {
  if (rateMax > 0) return String(rateBurst || Math.max(1, rateMax));
  return rateBurst > 0 ? `${rateBurst} (no rate)` : "";
}
