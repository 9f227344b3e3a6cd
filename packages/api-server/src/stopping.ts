import { AppError } from "@sluice/core";

/** The answer to calls that arrive while the server stops, and to those that its end cut off. */
export function stoppingError(): AppError {
  return new AppError("unavailable", "SHUTTING_DOWN", "this api-server stops; go on with another one", {
    retryAfterMs: 500,
  });
}
