// What a run should reach on a machine that has nothing else to do. Promises hold everywhere; aims are about time, and a busy
// machine that misses one says nothing: only `--aims` makes a run fail for it.
import type { Aim, AimResult, Figures, LeaseProfile } from "../contract.ts";

/** The 99th percentile of fewer is the worst of them, or nearly: it says nothing of one in a hundred. */
const samplesMin = 100;

/** The figure beside each aim. */
export function judgeAims(
  aims: readonly Aim[],
  { figures, profile }: { readonly figures: Figures; readonly profile: LeaseProfile },
): AimResult[] {
  return aims.map((aim) => {
    if (aim.figure === "adopted") {
      const { running, adopted } = figures.resumed;
      const value = running > 0 ? adopted / running : undefined;
      const verdict = verdictOf(value, (share) => share >= aim.share);
      return {
        about: "running tasks adopted",
        unit: "share",
        aim: aim.share,
        value,
        count: running,
        countMin: 1,
        verdict,
      };
    }
    const most = aim.p99Ms[profile];
    const { p99, count = 0 } = figures.failoverMs[aim.fault] ?? {};
    const verdict = count < samplesMin ? "not measured" : verdictOf(p99, (ms) => ms <= most);
    const about = `failover after ${aim.fault}, p99`;
    return { about, unit: "ms", aim: most, value: p99, count, countMin: samplesMin, verdict };
  });
}

function verdictOf(value: number | undefined, isMet: (value: number) => boolean): AimResult["verdict"] {
  if (value === undefined) return "not measured";
  return isMet(value) ? "met" : "missed";
}
