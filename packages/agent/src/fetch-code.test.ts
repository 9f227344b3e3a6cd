import { createHash } from "node:crypto";
import type { AgentGatewayServiceService, Api } from "@sluice/protocol";
import { expect, test } from "vitest";
import { createCodeFetch } from "./fetch-code.ts";

const zip = Buffer.from("a zip in several chunks");
const sha256 = createHash("sha256").update(zip).digest("hex");

function fetchFrom(chunks: readonly Buffer[], bytesMax = 1_000) {
  const requests: object[] = [];
  const getCode: Api<typeof AgentGatewayServiceService>["getCode"] = async function* (request) {
    requests.push(request);
    for (const data of chunks) yield { data };
  };
  const fetch = createCodeFetch({ gateway: { getCode }, joinToken: "token", bytesMax });
  return { requests, fetch: () => fetch(sha256, new AbortController().signal) };
}

test("a package is put together from its chunks", async () => {
  const { requests, fetch } = fetchFrom([zip.subarray(0, 5), zip.subarray(5)]);
  expect(Buffer.from(await fetch())).toEqual(zip);
  expect(requests).toEqual([{ sha256, joinToken: "token" }]);
});

test("a package that arrives incomplete may be tried again", async () => {
  await expect(fetchFrom([zip.subarray(0, 5)]).fetch()).rejects.toMatchObject({
    code: "unavailable",
    reason: "CODE_INCOMPLETE",
  });
});

test("a package beyond the bound is refused", async () => {
  await expect(fetchFrom([zip, zip], 30).fetch()).rejects.toMatchObject({ reason: "CODE_TOO_LARGE" });
});
