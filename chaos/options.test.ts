import { expect, test } from "vitest";
import { commandOf, readOptions } from "./options.ts";

function read(...argv: string[]) {
  const program = commandOf()
    .exitOverride()
    .configureOutput({ writeErr: () => {} });
  return readOptions(program, argv);
}

test("scenarios are named, and a fault is repeated", () => {
  expect(read("--scenario", "a", "--scenario", "b", "--repeat", "3")).toMatchObject({
    scenario: ["a", "b"],
    repeat: 3,
  });
});

test("faults by chance last as long as is said", () => {
  expect(read("--random", "--minutes", "0.5", "--seed", "7")).toMatchObject({ random: true, minutes: 0.5, seed: 7 });
  expect(read("--random")).toMatchObject({ minutes: 5, repeat: 1 });
});

test.each([
  [["--random", "--all"], "'--random' cannot be used with option '--all'"],
  [["--random", "--scenario", "a"], "'--random' cannot be used with option '--scenario <name>'"],
  [["--all", "--fast"], "'--fast' cannot be used with option '--all'"],
  [["--repeat", "2", "--random"], "'--random' cannot be used with option '--repeat <n>'"],
  [["--all", "--minutes", "5"], "--minutes can only be used with --random"],
])("%j is refused", (argv, message) => {
  expect(() => read(...argv)).toThrow(message);
});
