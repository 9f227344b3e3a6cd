import { invalid } from "./errors.ts";

declare const brand: unique symbol;
type Brand<T, Name extends string> = T & { readonly [brand]: Name };

/** A tenant; taken from the credential, never from a request. */
export type AccountId = Brand<string, "AccountId">;
/** Name of a function within its account. */
export type FunctionName = Brand<string, "FunctionName">;
/** Id of a task within its function. */
export type TaskId = Brand<string, "TaskId">;

const accountIdPattern = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/;
const functionNamePattern = /^[A-Za-z_][A-Za-z0-9_-]{0,63}$/;
const taskIdPattern = /^[A-Za-z_][A-Za-z0-9_-]{0,127}$/;

/** Throws `INVALID_ACCOUNT_ID` unless `text` is one. */
export function AccountId(text: string, field = "account"): AccountId {
  if (!accountIdPattern.test(text)) {
    throw invalid("INVALID_ACCOUNT_ID", field, "an account id has 1 to 64 letters, digits, `_` or `-`");
  }
  return text as AccountId;
}

/** Throws `INVALID_FUNCTION_NAME` unless `text` is one. */
export function FunctionName(text: string, field = "function"): FunctionName {
  if (!functionNamePattern.test(text)) {
    throw invalid(
      "INVALID_FUNCTION_NAME",
      field,
      "a function name starts with a letter or `_`, followed by letters, digits, `_` or `-`, at most 64 characters",
    );
  }
  return text as FunctionName;
}

/** Throws `INVALID_TASK_ID` unless `text` is one that a client may choose. */
export function TaskId(text: string, field = "task_id"): TaskId {
  if (!taskIdPattern.test(text)) {
    throw invalid(
      "INVALID_TASK_ID",
      field,
      "a task id starts with a letter or `_`, followed by letters, digits, `_` or `-`, at most 128 characters",
    );
  }
  return text as TaskId;
}

/**
 * Number of a task in the store: what messages and hot statements use. A plain number, because it stays below 2^53 at
 * any rate that one database can reach.
 */
export type Seq = number;

/** Orders the owners of a lane; grows with every owner. A plain number for the same reason as `Seq`. */
export type Epoch = number;

/** (account, function): the unit of fairness, adaptive concurrency and backpressure. */
export interface Flow {
  readonly accountId: AccountId;
  readonly functionName: FunctionName;
}

/** A flow as a key of maps: `account/function`. */
export function flowKey(flow: Flow): string {
  return `${flow.accountId}/${flow.functionName}`;
}
