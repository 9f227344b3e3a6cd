import { AppError } from "@sluice/core";

/** The answer to calls that arrive while the server stops, and to those that its end cut off. */
export function stoppingError(): AppError {
  return new AppError("unavailable", "SHUTTING_DOWN", "this api-server stops; go on with another one", {
    // Soon: the transport has said before that the next call takes another connection.
    retryAfterMs: 100,
  });
}
