// The agent's side of a scheduler's connection, over real TLS.
import { Server } from "@grpc/grpc-js";
import {
  AgentServiceService,
  addApi,
  apiClient,
  channelCredentials,
  type FromAgent,
  joinTokenHeaders,
  serverCredentials,
  serverOptions,
  type TlsSource,
} from "@sluice/protocol";
import { type Certificate, createAuthority } from "@sluice/testbed/certificates";
import { afterAll, expect, test } from "vitest";
import { type GuardAttachOptions, guardAttach } from "./guard-attach.ts";

const authority = createAuthority();
afterAll(() => authority[Symbol.dispose]());
const agent = authority.issue("agent", { names: ["IP:127.0.0.1", "URI:spiffe://sluice/agent/a1"] });
const scheduler = authority.issue("scheduler", { names: ["URI:spiffe://sluice/scheduler/s1"] });

const tlsOf = (certificate: Certificate | undefined, clientAuth: TlsSource["clientAuth"] = "none"): TlsSource => ({
  files: authority.files(certificate),
  clientAuth,
  watch: () => () => undefined,
});

async function serve({ joinTokens, clientAuth }: GuardAttachOptions, tls: TlsSource | undefined) {
  const server = new Server(serverOptions);
  let attached = 0;
  const api = guardAttach(
    {
      async *attach() {
        attached += 1;
        const frame: FromAgent = { frame: undefined };
        yield frame;
      },
    },
    { joinTokens, clientAuth },
  );
  addApi(server, AgentServiceService, api);
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", serverCredentials(tls), (error, bound) => (error ? reject(error) : resolve(bound))),
  );
  return {
    get attached() {
      return attached;
    },
    address: `127.0.0.1:${port}`,
    [Symbol.dispose]: () => server.forceShutdown(),
  };
}

/** Attaches, and reads the first answer. */
async function attach(address: string, tokens: readonly string[], tls?: TlsSource): Promise<void> {
  const client = apiClient(AgentServiceService, address, {
    channelCredentials: channelCredentials(tls),
    headers: joinTokenHeaders(tokens),
  });
  const ending = new AbortController();
  async function* nothing() {}
  try {
    for await (const _frame of client.api.attach(nothing(), { signal: ending.signal })) return;
    throw new Error("the stream ended without a frame");
  } finally {
    ending.abort();
    client.close();
  }
}

const unauthenticated = { code: "unauthenticated", reason: "INVALID_JOIN_TOKEN" };
const wrongRole = { code: "forbidden", reason: "WRONG_ROLE" };

test("without TLS, whoever has a join token of the cluster attaches, and nobody else", async () => {
  using served = await serve({ joinTokens: ["new", "old"], clientAuth: "none" }, undefined);
  await attach(served.address, ["new"]);
  await attach(served.address, ["old", "older"]);
  for (const tokens of [[], ["older"]]) {
    await expect(attach(served.address, tokens)).rejects.toMatchObject(unauthenticated);
  }
  expect(served.attached).toBe(2);
});

test("with certificates, only a scheduler of the cluster attaches, and only with the token besides", async () => {
  using served = await serve({ joinTokens: ["token"], clientAuth: "require" }, tlsOf(agent, "require"));
  await attach(served.address, ["token"], tlsOf(scheduler));
  await expect(attach(served.address, ["wrong"], tlsOf(scheduler))).rejects.toMatchObject(unauthenticated);
  await expect(attach(served.address, ["token"], tlsOf(agent))).rejects.toMatchObject(wrongRole);
  await expect(attach(served.address, ["token"], tlsOf(undefined))).rejects.toMatchObject({ code: "unavailable" });
  await expect(attach(served.address, ["token"])).rejects.toMatchObject({ code: "unavailable" });
  expect(served.attached).toBe(1);
});

test("where a certificate may be missing, a scheduler must show one all the same", async () => {
  using served = await serve({ joinTokens: ["token"], clientAuth: "request" }, tlsOf(agent, "request"));
  await attach(served.address, ["token"], tlsOf(scheduler));
  await expect(attach(served.address, ["token"], tlsOf(undefined))).rejects.toMatchObject(wrongRole);
});
