// How long partitions had no owner, as the schedulers' logs say it.

interface Line {
  readonly time?: string;
  readonly msg?: string;
  readonly partition?: string;
}

/** In ms, for each time that one scheduler ended a partition and the next thing was that one took it over. */
export function ownerlessGaps(logs: readonly string[]): number[] {
  const lines = logs
    .flatMap((log) => log.split("\n").flatMap(parse))
    .sort((a, b) => a.at - b.at || Number(b.isEnd) - Number(a.isEnd));
  const endedAt = new Map<string, number>();
  return lines.flatMap(({ at, isEnd, partition }) => {
    const since = endedAt.get(partition);
    if (isEnd) endedAt.set(partition, at);
    else endedAt.delete(partition);
    return isEnd || since === undefined ? [] : [at - since];
  });
}

function parse(line: string) {
  if (!line.includes('"partition ended"') && !line.includes('"took over a partition"')) return [];
  const { time, msg, partition = "" } = JSON.parse(line) as Line;
  return [{ at: Date.parse(time ?? ""), isEnd: msg === "partition ended", partition }];
}
