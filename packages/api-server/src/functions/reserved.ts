// What functions have reserved of the concurrency of their account. Checked when somebody changes either, as far as can be seen
// then: of two changes at the same moment both may pass, and an operator may limit an account to less than its functions have
// reserved. Owners never start more than the account may run, in any case.
import { AppError, type Flow } from "@sluice/core";
import { type FunctionSettings, type Reservation, reservationsMax, type Store } from "@sluice/store";

const field = "settings.concurrency_reserved";

type Registries = Pick<Store, "accounts" | "functions">;
type Wanted = Pick<FunctionSettings, "concurrencyReserved" | "concurrencyMax">;

/**
 * Throws `TOO_MUCH_RESERVED` or `TOO_MANY_RESERVING` if the account has not so much left for the function. Less than is
 * reserved for it already is always fine, and so is anything in an account without a limit.
 */
export async function checkReserved({ accounts, functions }: Registries, flow: Flow, wanted: Wanted): Promise<void> {
  const slots = slotsOf(wanted);
  if (slots === 0) return;
  const { accountId, functionName } = flow;
  const [[account], reserved] = await Promise.all([accounts.read([accountId]), functions.reserved([accountId])]);
  const others = reserved.filter((other) => other.functionName !== functionName);
  const before = reserved.find((other) => other.functionName === functionName)?.slots ?? 0;
  if (slots <= before) return;
  if (others.length >= reservationsMax) {
    throw new AppError(
      "precondition",
      "TOO_MANY_RESERVING",
      `at most ${reservationsMax} functions of an account have reserved concurrency; take it from another one first`,
      { field },
    );
  }
  const concurrencyMax = account?.settings.concurrencyMax ?? 0;
  const taken = sumOf(others);
  if (concurrencyMax === 0 || taken + slots <= concurrencyMax) return;
  throw new AppError(
    "precondition",
    "TOO_MUCH_RESERVED",
    `account ${accountId} may run ${concurrencyMax} at a time, and ${taken} are reserved for its other functions: ` +
      `reserve ${Math.max(0, concurrencyMax - taken)} at most, or raise concurrency_max of the account`,
    { field },
  );
}

/** The same for a change of some settings of a function. One that is not there is not judged. */
export async function checkChangedReserved(
  registries: Registries,
  flow: Flow,
  changed: Partial<FunctionSettings>,
): Promise<void> {
  if (changed.concurrencyReserved === undefined && changed.concurrencyMax === undefined) return;
  const [record] = await registries.functions.read([flow]);
  if (record !== undefined) await checkReserved(registries, flow, { ...record.settings, ...changed });
}

function slotsOf({ concurrencyReserved, concurrencyMax }: Wanted): number {
  return concurrencyMax > 0 ? Math.min(concurrencyReserved, concurrencyMax) : concurrencyReserved;
}

function sumOf(reserved: readonly Reservation[]): number {
  return reserved.reduce((sum, { slots }) => sum + slots, 0);
}
