import { required, type Setting, secret } from "./config/setting.ts";

/**
 * The join tokens of a process, separated by commas: it accepts all of them and gives the first one itself. At least 16
 * characters each; they are sent as a header.
 */
export const joinTokensSetting: Setting<readonly string[]> = {
  ...required(
    secret({
      default: undefined,
      variable: "SLUICE_JOIN_TOKEN",
      why: "Proves to agents, and of agents, that they are of this cluster; a,b,… while it is replaced.",
    }),
  ),
  default: [],
  parse(raw) {
    const tokens = raw.split(",").map((token) => token.trim());
    const isGood = (token: string) => /^[\x21-\x7e]{16,256}$/.test(token);
    if (tokens.every(isGood)) return { value: Object.freeze(tokens) };
    return { problem: "must be texts of 16 to 256 printable characters, separated by commas" };
  },
};
