// What agents call. They hold a join token instead of an access key, and see no account's data but the code they run.
import { invalid } from "@sluice/core";
import { type AgentGatewayServiceService, type Api, checkJoinToken } from "@sluice/protocol";
import type { Logger } from "@sluice/runtime";
import type { LogPiece, Store } from "@sluice/store";
import type { Watches } from "../tasks/watches.ts";
import { asBuffer } from "../wire/task.ts";
import { checkInteger, checkText } from "../wire/text.ts";
import type { CodeReader } from "./code-reader.ts";
import type { Lifeline } from "./lifeline.ts";
import type { Registrations } from "./registrations.ts";

export interface GatewayApiOptions {
  /** Any of them lets an agent in. */
  readonly joinTokens: readonly string[];
  readonly store: Store;
  readonly log: Logger;
  readonly watches: Watches;
  readonly registrations: Registrations;
  readonly lifeline: Lifeline;
  readonly codes: CodeReader;
}

const chunkBytesMax = 1024 * 1024;
const piecesMax = 4_096;
const attemptsMax = 1_000;
const pieceBytesMax = 256 * 1024;
const logStreams: ReadonlyMap<number, LogPiece["stream"]> = new Map([
  [1, "stdout"],
  [2, "stderr"],
]);

export function createGatewayApi(options: GatewayApiOptions): Api<typeof AgentGatewayServiceService> {
  const { registrations, lifeline, store, watches } = options;

  const checkToken = (given: string) => checkJoinToken(given, options.joinTokens);

  return {
    async register(request) {
      checkToken(request.joinToken);
      return registrations.register({
        agentId: parseAgentId(request.agentId),
        address: parseAddress(request.address),
        slots: checkInteger(request.slots, { field: "slots", reason: "INVALID_SLOTS", min: 1, max: 100_000 }),
        version: checkText(request.version, "version", 64),
        registrationId: parseRegistrationId(request.registrationId),
      });
    },

    async heartbeat(request) {
      checkToken(request.joinToken);
      const answer = await lifeline.renew(parseIncarnation(request));
      return { valid: answer === "valid", dead: answer === "dead" };
    },

    async deregister(request) {
      checkToken(request.joinToken);
      await registrations.deregister(parseIncarnation(request));
      return {};
    },

    async *getCode({ sha256, joinToken }, context) {
      checkToken(joinToken);
      if (!/^[0-9a-f]{64}$/.test(sha256)) throw invalid("INVALID_SHA256", "sha256", "must be 64 hexadecimal digits");
      const zip = await options.codes.read(sha256, context.signal);
      for (let from = 0; from < zip.length; from += chunkBytesMax) {
        yield { data: asBuffer(zip.subarray(from, from + chunkBytesMax)) };
      }
    },

    async putLogs({ joinToken, pieces }) {
      checkToken(joinToken);
      if (pieces.length > piecesMax) throw invalid("TOO_MANY_PIECES", "pieces", `at most ${piecesMax} are accepted`);
      const parsed = pieces.map(parsePiece);
      await store.logs.append(parsed);
      options.log.debug("stored logs", { pieces: parsed.length });
      // Followers on this api-server read at once; those on others when they look the next time.
      for (const seq of new Set(parsed.map((piece) => piece.seq))) watches.hint(seq);
      return {};
    },

    async findSettled({ joinToken, attempts }) {
      checkToken(joinToken);
      if (attempts.length > attemptsMax) {
        throw invalid("TOO_MANY_ATTEMPTS", "attempts", `at most ${attemptsMax} are accepted`);
      }
      return { settled: await store.tasks.settled(attempts) };
    },
  };
}

function parseAgentId(agentId: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/.test(agentId)) return agentId;
  throw invalid("INVALID_AGENT_ID", "agent_id", "an agent id has 1 to 128 letters, digits, `.`, `_` or `-`");
}

function parseIncarnation(request: { readonly agentId: string; readonly incarnation: number }) {
  const range = { field: "incarnation", reason: "INVALID_INCARNATION", min: 1, max: Number.MAX_SAFE_INTEGER };
  return { agentId: parseAgentId(request.agentId), incarnation: checkInteger(request.incarnation, range) };
}

function parseAddress(address: string): string {
  if (/^(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253}):\d{1,5}$/.test(address)) return address;
  throw invalid(
    "INVALID_ADDRESS",
    "address",
    "must read host:port, with the host in brackets if it is an IPv6 address",
  );
}

function parseRegistrationId(registrationId: string): string {
  if (/^[\x21-\x7e]{1,128}$/.test(registrationId)) return registrationId;
  throw invalid("INVALID_REGISTRATION_ID", "registration_id", "must have 1 to 128 printable ASCII characters");
}

interface WirePiece {
  readonly seq: number;
  readonly attempt: number;
  readonly index: number;
  readonly stream: number;
  readonly timeMs: number;
  readonly data: Buffer;
}

function parsePiece(piece: WirePiece, at: number): LogPiece {
  const path = `pieces[${at}]`;
  const check = (value: number, field: string, min: number, max = Number.MAX_SAFE_INTEGER) =>
    checkInteger(value, { field: `${path}.${field}`, reason: "INVALID_LOG_PIECE", min, max });
  const stream = logStreams.get(piece.stream);
  if (stream === undefined) throw invalid("INVALID_LOG_PIECE", `${path}.stream`, "1 is stdout, 2 is stderr");
  check(piece.data.length, "data", 0, pieceBytesMax);
  return {
    seq: check(piece.seq, "seq", 1),
    attempt: check(piece.attempt, "attempt", 1, 2 ** 31 - 1),
    index: check(piece.index, "index", 0, 2 ** 31 - 1),
    stream,
    at: check(piece.timeMs, "time_ms", 0, 8_640_000_000_000_000),
    data: piece.data,
  };
}
