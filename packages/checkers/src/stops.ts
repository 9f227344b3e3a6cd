// Which tasks somebody asked to be stopped.
import type { StopAsked } from "./history.ts";
import type { TaskName } from "./rows.ts";

export function isSelected(task: TaskName & { readonly tags: readonly string[] }, stop: StopAsked): boolean {
  return (
    stop.account === task.account &&
    (stop.function === undefined || stop.function === task.function) &&
    (stop.taskId === undefined || stop.taskId === task.taskId) &&
    (stop.taskIdPrefix === undefined || task.taskId.startsWith(stop.taskIdPrefix)) &&
    (stop.tag === undefined || task.tags.includes(stop.tag))
  );
}
