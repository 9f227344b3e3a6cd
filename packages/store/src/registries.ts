// The part of the contract that is not about tasks: functions, accounts, agents and logs.
import type { AccountId, EpochMs, Flow, Seq } from "@sluice/core";

// ------------------------------------------------------------------------------------------------------------ functions

export interface FunctionSettings {
  readonly runtime: string;
  readonly handler: string;
  readonly description: string;
  readonly timeoutMs: number;
  readonly memoryMb: number;
  readonly instanceConcurrency: number;
  readonly instancesMax: number;
  readonly environment: Readonly<Record<string, string>>;
  readonly initializer: { readonly handler: string; readonly timeoutMs: number } | undefined;
  readonly preStop: { readonly handler: string; readonly timeoutMs: number } | undefined;
  readonly idleTimeoutMs: number;
  readonly maxAsyncRetryAttempts: number;
  readonly maxAsyncEventAgeInSeconds: number;
  /** Attempts at the same time in the whole cluster; 0: no limit. */
  readonly concurrencyMax: number;
  /** How much of the `concurrencyMax` of its account is kept free for it; nothing while the account has none. */
  readonly concurrencyReserved: number;
  /** Attempts that start per second in the whole cluster; 0: no limit. */
  readonly rateMax: number;
  /** Attempts that may start at once after a quiet time; 0: those of one second, at least one. */
  readonly rateBurst: number;
  /** Share among the functions of its account, 1 to 100. */
  readonly weight: number;
  /** Its attempts may be stopped for more urgent tasks, and run again later. */
  readonly preemptible: boolean;
  /** Wants a queue of its own. */
  readonly dedicatedQueue: boolean;
  /** As `dedicatedQueue`, with an instance kept warm. */
  readonly latencySensitive: boolean;
}

/** What a function that does not say otherwise wants of flow control. */
export const defaultFlowSettings = {
  concurrencyMax: 0,
  concurrencyReserved: 0,
  rateMax: 0,
  rateBurst: 0,
  weight: 1,
  preemptible: false,
  dedicatedQueue: false,
  latencySensitive: false,
} as const satisfies Partial<FunctionSettings>;

/**
 * Whether a running instance depends on a setting: it was started with it, and is not used for any other value. What is not
 * of instances reaches those that run.
 */
export const isOfInstances = {
  runtime: true,
  handler: true,
  description: false,
  timeoutMs: true,
  memoryMb: true,
  instanceConcurrency: true,
  instancesMax: false,
  environment: true,
  initializer: true,
  preStop: true,
  idleTimeoutMs: false,
  maxAsyncRetryAttempts: false,
  maxAsyncEventAgeInSeconds: false,
  concurrencyMax: false,
  concurrencyReserved: false,
  rateMax: false,
  rateBurst: false,
  weight: false,
  preemptible: false,
  dedicatedQueue: false,
  latencySensitive: false,
} as const satisfies Record<keyof FunctionSettings, boolean>;

export interface FunctionRecord extends Flow {
  readonly settings: FunctionSettings;
  /** Unique among all functions; grows when the code changes, or a setting for which `isOfInstances` holds. */
  readonly revision: number;
  readonly codeSha256: string;
  readonly codeBytes: number;
  readonly createdAt: EpochMs;
  /** Grows with every change, whatever the clock says. */
  readonly updatedAt: EpochMs;
  /**
   * When it last became limited or unlimited (`concurrencyMax`, `rateMax`): attempts that were dispatched before may run
   * anywhere. Grows with every such change. 0: it is as it was created, and had no namesake before.
   */
  readonly limitsChangedAt: EpochMs;
}

/** Slots of its account that are kept free for a function. */
export interface Reservation extends Flow {
  /** At least 1, and no more than its own `concurrencyMax`. */
  readonly slots: number;
}

/** Functions of one account with reserved concurrency; of more nothing is kept. */
export const reservationsMax = 200;

export interface CodePackage {
  /** Hexadecimal. */
  readonly sha256: string;
  readonly zip: Uint8Array;
}

export interface FunctionRecords {
  /** Undefined: the name is taken. Stores the package if it is new. */
  create(flow: Flow, settings: FunctionSettings, code: CodePackage): Promise<FunctionRecord | undefined>;
  /** Undefined: no such function. */
  update(
    flow: Flow,
    settings: Partial<FunctionSettings>,
    code: CodePackage | undefined,
  ): Promise<FunctionRecord | undefined>;
  /** Missing ones are left out. */
  read(flows: readonly Flow[]): Promise<FunctionRecord[]>;
  /** By name, behind `after`. */
  list(accountId: AccountId, options: { prefix: string; after: string; limit: number }): Promise<FunctionRecord[]>;
  /** False: no such function. Deletes its package if nobody else uses it. */
  delete(flow: Flow): Promise<boolean>;
  /** Of these accounts, by account and name; up to `reservationsMax` of each. */
  reserved(accountIds: readonly AccountId[]): Promise<Reservation[]>;
  code(sha256: string): Promise<Uint8Array | undefined>;
}

// ------------------------------------------------------------------------------------------------------------- accounts

export interface AccessKey {
  readonly keyId: string;
  readonly accountId: AccountId;
  /** As encrypted by the api-server; the store never sees a secret. */
  readonly encryptedSecret: Uint8Array;
  readonly enabled: boolean;
}

/** Limits of an account as a whole: of all its functions together. */
export interface AccountSettings {
  /** Attempts at the same time in the whole cluster; 0: no limit. */
  readonly concurrencyMax: number;
  /** Attempts that start per second in the whole cluster; 0: no limit. */
  readonly rateMax: number;
  /** Attempts that may start at once after a quiet time; 0: those of one second, at least one. */
  readonly rateBurst: number;
  /** Share among the accounts, 1 to 100. */
  readonly weight: number;
}

export const defaultAccountSettings: AccountSettings = { concurrencyMax: 0, rateMax: 0, rateBurst: 0, weight: 1 };

export interface AccountRecord {
  readonly accountId: AccountId;
  readonly settings: AccountSettings;
  /** When it last became limited or unlimited; 0: never. Grows with every such change. */
  readonly limitsChangedAt: EpochMs;
  readonly createdAt: EpochMs;
}

export interface AccountRecords {
  /** Missing ones are left out: they have the default settings. */
  read(accountIds: readonly AccountId[]): Promise<AccountRecord[]>;
  /** Changes what it names; creates the account unless it exists. */
  update(accountId: AccountId, settings: Partial<AccountSettings>): Promise<AccountRecord>;
  /** By id, behind `after`. */
  list(options: { after: string; limit: number }): Promise<AccountRecord[]>;
  /** Creates the account and the key unless they exist. False: the key id is taken. */
  createKey(key: AccessKey): Promise<boolean>;
  key(keyId: string): Promise<AccessKey | undefined>;
  keys(accountId: AccountId): Promise<AccessKey[]>;
}

// --------------------------------------------------------------------------------------------------------------- agents

export interface AgentRecord {
  readonly agentId: string;
  readonly incarnation: number;
  readonly address: string;
  readonly slots: number;
  readonly version: string;
  readonly renewedAt: EpochMs;
  /** Its renewals are refused, and it will be marked dead. */
  readonly fenced: boolean;
}

export interface AgentIncarnation {
  readonly agentId: string;
  readonly incarnation: number;
}

export interface AgentRecords {
  /**
   * Makes this the agent's only incarnation; the one before is dead. The same `registrationId` again returns the same
   * incarnation.
   */
  register(agent: {
    agentId: string;
    address: string;
    slots: number;
    version: string;
    registrationId: string;
  }): Promise<AgentIncarnation>;
  /** Renews those that are neither dead, fenced, nor replaced; returns them. */
  renew(agents: readonly AgentIncarnation[]): Promise<AgentIncarnation[]>;
  /** Every agent whose latest incarnation is not dead. */
  list(): Promise<AgentRecord[]>;
  /**
   * From now on its renewals are refused, and its silence is counted anew; fencing it again changes nothing. Delete its key
   * in the coordinator first: it keeps the agent alive as well. False: it is another incarnation, or dead.
   */
  fence(agent: AgentIncarnation): Promise<boolean>;
  /** Marks it dead if it was not renewed for `silentMs`. True if it is dead (or replaced) afterwards. */
  markDead(agent: AgentIncarnation, silentMs: number): Promise<boolean>;
  /** Marks it dead at once; its caller has killed everything it ran. */
  deregister(agent: AgentIncarnation): Promise<void>;
}

// ----------------------------------------------------------------------------------------------------------------- logs

export interface LogPiece {
  readonly seq: Seq;
  readonly attempt: number;
  /** Order within the attempt, from 0. */
  readonly index: number;
  readonly stream: "stdout" | "stderr";
  readonly at: EpochMs;
  readonly data: Uint8Array;
}

export interface LogRecords {
  /** A piece that is there already is ignored. */
  append(pieces: readonly LogPiece[]): Promise<void>;
  /** Pieces of an attempt behind `after` (-1: from the start), in order. */
  read(key: { seq: Seq; attempt: number; after: number; limit: number }): Promise<LogPiece[]>;
}
