// I13: no account sees another's data. Every account uses the same task ids, asks for ids of others, and lists; what it is
// shown says who submitted it.
import { createChecker } from "./checker.ts";

const invariant = "I13";

export const i13 = createChecker({
  invariant,
  about: "No account sees another's data.",
  needs: ["views"],
  check: ({ views }) =>
    views.flatMap(({ at, account, by, function: name, taskId, owner }) => {
      if (owner === account) return [];
      return [{ invariant, message: `${account} was shown ${name}/${taskId} of ${owner} by ${by} at ${at} ms` }];
    }),
});
