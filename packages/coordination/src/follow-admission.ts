// Loop: keeps what the load-balancer says to the api-servers.
//
//   nothing known ──read──▶ known ──a hint, or 2 s──▶ read again
//
// Its age counts from when its revision was seen first, by the own monotonic clock: the clocks of two hosts need not agree.
// Only of the first document, which may be old, its own time is believed as well.
import { type Admission, readAdmission } from "./admission.ts";
import { type FollowerOptions, followLoop } from "./follow.ts";
import type { Coordinator } from "./index.ts";
import { admissionKey } from "./keys.ts";

export interface AdmissionFollower {
  /** Undefined: nothing was read yet, or there is none. */
  current(): FollowedAdmission | undefined;
  run(signal: AbortSignal): Promise<void>;
}

export interface FollowedAdmission {
  readonly admission: Admission;
  /** Older than `admission.validForMs`: its leader is gone, or says nothing any more because all queues are empty. */
  readonly ageMs: number;
}

export function createAdmissionFollower(options: FollowerOptions): AdmissionFollower {
  const { clock } = options;
  let known: { readonly admission: Admission; readonly writtenAt: number; readonly modRevision: number } | undefined;
  let hasRead = false;

  async function read(coordinator: Coordinator): Promise<void> {
    const { admission, modRevision } = await readAdmission(coordinator);
    const now = clock.monotonic();
    const oldMs = hasRead || admission === undefined ? 0 : Math.max(0, clock.now() - admission.at);
    hasRead = true;
    if (admission === undefined) known = undefined;
    else if (known?.modRevision !== modRevision) known = { admission, writtenAt: now - oldMs, modRevision };
  }

  return {
    current() {
      return known && { admission: known.admission, ageMs: clock.monotonic() - known.writtenAt };
    },
    run: followLoop(options, admissionKey, read),
  };
}
