// Every scenario by its name; each is a regression for ever.
import type { Scenario } from "../contract.ts";
import { backends } from "./backends.ts";
import { blocked } from "./blocked.ts";
import { controls } from "./controls.ts";
import { crashes } from "./crashes.ts";
import { cuts } from "./cuts.ts";
import { disks } from "./disks.ts";
import { freezes } from "./freezes.ts";
import { herds } from "./herds.ts";
import { links } from "./links.ts";
import { poison } from "./poison.ts";
import { reshape } from "./reshape.ts";
import { stops } from "./stops.ts";

export { randomFaults } from "./random.ts";
export { inSequence } from "./sequence.ts";

export const scenarios: readonly Scenario[] = [
  ...crashes,
  ...freezes,
  ...stops,
  reshape,
  ...cuts,
  ...links,
  ...blocked,
  ...backends,
  ...disks,
  poison,
  ...herds,
  ...controls,
];
