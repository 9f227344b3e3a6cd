import { get } from "node:http";
import { host as loopback } from "./ports.ts";

/** Status and text of an answer. Rejects when nobody listens, or nothing comes for a second. */
export function httpGet(
  port: number,
  path: string,
  host = loopback,
): Promise<{ readonly status: number; readonly text: string }> {
  return new Promise((resolve, reject) => {
    const request = get({ host, port, path, agent: false, timeout: 1_000 }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        text += chunk;
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
      response.on("error", reject);
    });
    request.on("timeout", () => request.destroy(new Error(`no answer from port ${port}`)));
    request.on("error", reject);
  });
}
