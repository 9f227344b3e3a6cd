import { invalid, isReservedVariable, isVariableName } from "@sluice/core";
import { checkText } from "../wire/text.ts";

const namesMax = 64;
const bytesMax = 32 * 1024;
const field = "settings.environment";

/** The environment of a function. Throws `INVALID_ENVIRONMENT`, `RESERVED_ENVIRONMENT_NAME` or `INVALID_TEXT`. */
export function parseEnvironment(variables: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const entries = Object.entries(variables);
  if (entries.length > namesMax) throw wrong(`at most ${namesMax} names are accepted, not ${entries.length}`);
  let bytes = 0;
  for (const [name, value] of entries) {
    checkName(name);
    bytes += name.length + Buffer.byteLength(checkText(value, `${field}.variables.${name}`, bytesMax));
  }
  if (bytes > bytesMax) throw wrong(`names and values have ${bytes} bytes, at most ${bytesMax} are accepted`);
  return variables;
}

function checkName(name: string): void {
  if (!isVariableName(name)) {
    throw wrong("a name starts with a letter or `_`, followed by letters, digits or `_`, at most 128 characters");
  }
  if (isReservedVariable(name)) {
    throw invalid(
      "RESERVED_ENVIRONMENT_NAME",
      `${field}.variables.${name}`,
      `${name} is reserved; choose another name`,
    );
  }
}

function wrong(message: string): Error {
  return invalid("INVALID_ENVIRONMENT", field, message);
}
