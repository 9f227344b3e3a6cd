// Every failure of the queue has the reason `QUEUE_UNAVAILABLE`; its code tells why.
import { AppError, type Epoch, type OwnedPartition, partitionKey } from "@sluice/core";

/** NATS is away or refuses: what was asked may or may not have happened. */
export function unavailable(message: string, cause?: unknown): AppError {
  return new AppError("unavailable", "QUEUE_UNAVAILABLE", message, cause === undefined ? {} : { cause });
}

export function away(): AppError {
  return unavailable("no NATS server is connected");
}

/** No answer in time: what was asked may or may not have happened. */
export function late(deadlineMs: number): AppError {
  return new AppError("timeout", "QUEUE_UNAVAILABLE", `NATS has not answered within ${Math.ceil(deadlineMs)} ms`);
}

/** The stream is full. */
export function full(description: string): AppError {
  return new AppError("exhausted", "QUEUE_UNAVAILABLE", `the stream takes no more blocks: ${description}`);
}

/** Somebody owns lanes of this partition under a higher epoch. */
export function staleEpoch(owned: OwnedPartition, other: Epoch): AppError {
  return new AppError(
    "stale",
    "STALE_EPOCH",
    `epoch ${owned.epoch} of ${partitionKey(owned)} has met a consumer of epoch ${other}`,
  );
}

export function isStaleEpoch(error: unknown): error is AppError {
  return error instanceof AppError && error.reason === "STALE_EPOCH";
}
