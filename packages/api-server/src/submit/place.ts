import { type Flow, flowKey, hash32 } from "@sluice/core";

export function queueOf(flow: Flow): string {
  return `q${hash32(flowKey(flow)) % 8}`;
}
