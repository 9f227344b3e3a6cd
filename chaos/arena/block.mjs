// Loaded into every service before its own code. On SIGUSR2 its event loop does nothing for as many milliseconds as the file
// SLUICE_CHAOS_BLOCK_FILE says. It sleeps rather than works, which leaves the processors to others.
import { readFileSync } from "node:fs";

const file = process.env.SLUICE_CHAOS_BLOCK_FILE;
const nothing = new Int32Array(new SharedArrayBuffer(4));

process.on("SIGUSR2", () => {
  Atomics.wait(nothing, 0, 0, Number(readFileSync(file, "utf8")));
});
