// Checks that `docs/configuration.md` lists exactly the settings of every service, as their specs say them. A section that
// differs fails with the rows that it should have.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { agentSpec } from "@sluice/agent/settings";
import { apiServerSpec } from "@sluice/api-server/settings";
import { backendSettings } from "@sluice/backends/settings";
import {
  type ConfigSpec,
  describeSettings,
  type SettingDescription,
  type Settings,
  tlsSettings,
} from "@sluice/runtime";
import { schedulerSpec } from "@sluice/scheduler/settings";
import { standaloneSpec } from "@sluice/standalone";
import { expect, test } from "vitest";

const page = readFileSync(join(import.meta.dirname, "../docs/configuration.md"), "utf8");

/** Settings that several services have, each with one variable for all: they have sections of their own. */
const shared: Readonly<Record<string, Settings>> = { "The three servers": backendSettings, TLS: tlsSettings };

const sections: readonly (readonly [string, ConfigSpec<Settings>])[] = [
  ["api-server", own(apiServerSpec)],
  ["scheduler", own(schedulerSpec)],
  ["agent", own(agentSpec)],
  ["Standalone", own(standaloneSpec)],
  ...Object.entries(shared).map(([title, settings]) => [title, { service: "any", summary: "", settings }] as const),
];

/** The spec without what has a section of its own. */
function own({ service, summary, settings }: { service: string; summary: string; settings: Settings }) {
  const isShared = (name: string) => Object.values(shared).some((some) => name in some);
  const left = Object.entries(settings).filter(([name]) => !isShared(name));
  return { service, summary, settings: Object.fromEntries(left) };
}

test.each(sections)("the section %s lists the settings as they are", (title, spec) => {
  expect(rowsOf(title)).toEqual(describeSettings(spec).map(row));
});

test("the page has no other settings, and says which services have the shared ones", () => {
  const rows = page.split("\n").filter((line) => /^\| .*`SLUICE_/.test(line));
  expect(rows).toHaveLength(sections.reduce((sum, [, { settings }]) => sum + Object.keys(settings).length, 0));
  for (const settings of Object.values(shared)) {
    for (const { settings: all } of [apiServerSpec, schedulerSpec]) {
      expect(Object.keys(all)).toEqual(expect.arrayContaining(Object.keys(settings)));
    }
  }
  expect(Object.keys(agentSpec.settings)).toEqual(expect.arrayContaining(Object.keys(tlsSettings)));
});

function rowsOf(title: string): string[] {
  const [, section = ""] = page.split(`\n## ${title}\n`);
  const [own = ""] = section.split("\n## ");
  return own.split("\n").filter((line) => line.startsWith("| ") && line.includes("`SLUICE_"));
}

function row({ flag, variable, unit, default: value, isRequired, why }: SettingDescription): string {
  const cells = [
    flag === undefined ? "–" : `\`${flag}\``,
    `\`${variable}\``,
    unit ?? "–",
    isRequired ? "required" : (value ?? "–"),
    why,
  ];
  return `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
}
