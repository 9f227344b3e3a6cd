import { Server } from "@grpc/grpc-js";
import type { TlsFiles } from "@sluice/core";
import { type Certificate, createAuthority } from "@sluice/testbed/certificates";
import { afterAll, expect, test } from "vitest";
import { exampleApi } from "./conformance.ts";
import { channelCredentials, serverCredentials, type TlsSource } from "./credentials.ts";
import { identitiesOf } from "./identity.ts";
import { addApi, apiClient, type CallContext, serverOptions, TaskServiceService } from "./index.ts";

const [ours, foreign] = [createAuthority(), createAuthority()];
afterAll(() => {
  ours[Symbol.dispose]();
  foreign[Symbol.dispose]();
});
const server = ours.issue("server");
const scheduler = ours.issue("scheduler", { names: ["URI:spiffe://sluice/scheduler"] });

interface Source extends TlsSource {
  files: TlsFiles;
  change(files: TlsFiles): void;
}
function source(files: TlsFiles, clientAuth: TlsSource["clientAuth"] = "none"): Source {
  const listeners = new Set<() => void>();
  return {
    files,
    clientAuth,
    watch(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    change(next) {
      this.files = next;
      for (const listener of listeners) listener();
    },
  };
}

async function serve(tls: TlsSource | undefined) {
  const grpc = new Server(serverOptions);
  const identities: unknown[] = [];
  const api = exampleApi({ headers: undefined, aborted: [], batches: [] });
  addApi(grpc, TaskServiceService, {
    ...api,
    getTask(request, context) {
      identities.push(context.identities?.());
      return api.getTask(request, context);
    },
  });
  const port = await new Promise<number>((resolve, reject) =>
    grpc.bindAsync("127.0.0.1:0", serverCredentials(tls), (error, bound) => (error ? reject(error) : resolve(bound))),
  );
  return { identities, address: `127.0.0.1:${port}`, [Symbol.dispose]: () => grpc.forceShutdown() };
}

async function call(address: string, tls: TlsSource | undefined): Promise<void> {
  const client = apiClient(TaskServiceService, address, { channelCredentials: channelCredentials(tls) });
  const context: CallContext = { signal: new AbortController().signal, timeoutMs: 5_000 };
  try {
    await client.api.getTask({ function: "f", taskId: "t" }, context);
  } finally {
    client.close();
  }
}

const caller = (certificate?: Certificate) => source(ours.files(certificate));

test("a caller that trusts the server's authority is answered, and without a certificate is nobody", async () => {
  using served = await serve(source(ours.files(server)));
  await call(served.address, caller());
  await call(served.address, caller(scheduler));
  expect(served.identities).toEqual([[], []]);
});

test("a caller's certificate says which service it is", async () => {
  using served = await serve(source(ours.files(server), "require"));
  await call(served.address, caller(scheduler));
  expect(served.identities).toEqual([[{ role: "scheduler", id: undefined }]]);
});

test("a certificate that is asked for may be missing; one of another authority counts for nothing", async () => {
  using served = await serve(source(ours.files(server), "request"));
  const stranger = foreign.issue("stranger", { names: ["URI:spiffe://sluice/scheduler"] });
  await call(served.address, caller());
  await call(served.address, caller(scheduler));
  await call(served.address, source({ ...foreign.files(stranger), ca: ours.files().ca }));
  expect(served.identities).toEqual([[], [{ role: "scheduler", id: undefined }], []]);
});

test("a server with another authority, another host's name or an expired certificate is refused", async () => {
  using trusted = await serve(source(ours.files(server)));
  using misnamed = await serve(source(ours.files(ours.issue("misnamed", { names: ["DNS:other.example"] }))));
  using expired = await serve(source(ours.files(ours.issue("expired", { days: -1 }))));
  const refused = (reason: string) => ({ code: "unavailable", reason });
  const [untrusted, wrongHost] = [refused("CERTIFICATE_UNTRUSTED"), refused("CERTIFICATE_WRONG_HOST")];
  await expect(call(trusted.address, source(foreign.files()))).rejects.toMatchObject(untrusted);
  await expect(call(misnamed.address, caller())).rejects.toMatchObject(wrongHost);
  await expect(call(expired.address, caller())).rejects.toMatchObject(refused("CERTIFICATE_EXPIRED"));
});

test("a server that requires a certificate refuses a caller without one, and one of another authority", async () => {
  using served = await serve(source(ours.files(server), "require"));
  const stranger = foreign.issue("client");
  await expect(call(served.address, caller())).rejects.toMatchObject({ code: "unavailable" });
  const strange = source({ ...foreign.files(stranger), ca: ours.files().ca });
  await expect(call(served.address, strange)).rejects.toMatchObject({ code: "unavailable" });
  await expect(call(served.address, undefined)).rejects.toMatchObject({ code: "unavailable" });
  expect(served.identities).toEqual([]);
});

test("new certificates count for the next connection, of the server and of the caller", async () => {
  const [serving, calling] = [source(ours.files(server), "require"), caller(scheduler)];
  using served = await serve(serving);
  await call(served.address, calling);
  serving.change(foreign.files(foreign.issue("server")));
  await expect(call(served.address, calling)).rejects.toMatchObject({ code: "unavailable" });
  calling.change(foreign.files(foreign.issue("agent", { names: ["URI:spiffe://sluice/agent/a1"] })));
  await call(served.address, calling);
  expect(served.identities[1]).toEqual([{ role: "agent", id: "a1" }]);
});

test("a server without a certificate of its own is a mistake of ours", () => {
  expect(() => serverCredentials(source(ours.files()))).toThrow(TypeError);
});

test.each([
  [undefined, []],
  ["DNS:localhost, IP Address:127.0.0.1", []],
  ["DNS:a, URI:spiffe://sluice/agent/a-1.b_2", [{ role: "agent", id: "a-1.b_2" }]],
  ["URI:spiffe://sluice/api-server, URI:spiffe://sluice/agent", [{ role: "api-server" }, { role: "agent" }]],
  ['DNS:"a, URI:spiffe://sluice/agent"', []],
  ['DNS:"a\\", URI:spiffe://sluice/agent"', []],
  ['URI:"spiffe://sluice/agent, b"', []],
  ["URI:spiffe://elsewhere/agent", []],
  ["URI:spiffe://sluice/agent/a/b", []],
  ["URI:spiffe://sluice/", []],
  ["DNS:URI:spiffe://sluice/agent", []],
])("the names %j are the services %j", (names, expected) => {
  expect(identitiesOf(names)).toEqual(expected.map((identity) => ({ id: undefined, ...identity })));
});
