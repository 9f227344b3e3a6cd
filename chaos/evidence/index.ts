export { judge } from "./judge.ts";
export { toTimeline } from "./timeline.ts";
