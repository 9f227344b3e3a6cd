import { readFileSync } from "node:fs";

/** The compiled descriptors of every service, for reflection: a serialised `FileDescriptorSet`. */
export function readDescriptors(): Buffer {
  return readFileSync(new URL("../gen/sluice.binpb", import.meta.url));
}
