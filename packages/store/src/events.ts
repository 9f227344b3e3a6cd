// How events come to those that a row has. The first and the last ones stay: a task that is refused for days is written again and
// again, with all of its events each time, and read in one message.

/**
 * How many events of a task stay, in order. The first one counts, although no row holds it: it is read off `enqueued_at`. What
 * comes between them is left out, and counted in `events_left_out`.
 */
export const eventsKept = { first: 50, last: 50 } as const;

const storedFirst = eventsKept.first - 1;
const storedMax = storedFirst + eventsKept.last;

interface Added {
  /** A JSON array. */
  readonly events: string;
  readonly count: string;
  /** Where nothing is added. */
  readonly unless?: string;
}

/**
 * What an update sets. The usual row, of some events, costs no more than the look at two lengths; nothing else may be done here for
 * each of them.
 */
export function addEvents(table: string, { events, count, unless = "false" }: Added): string {
  const together = `coalesce(${table}.events, '[]'::jsonb) || ${events}`;
  const length = `coalesce(jsonb_array_length(${table}.events), 0) + ${count}`;
  return `
    events = case
      when ${unless} then ${table}.events
      when ${length} <= ${storedMax} then ${together}
      else jsonb_path_query_array(${together}, '$[0 to ${storedFirst - 1}, last - ${eventsKept.last - 1} to last]')
    end,
    events_left_out = case
      when ${unless} or ${length} <= ${storedMax} then ${table}.events_left_out
      else coalesce(${table}.events_left_out, 0) + ${length} - ${storedMax}
    end`;
}
