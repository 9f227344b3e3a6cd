import { agentSettings } from "@sluice/agent/settings";
import { accessProblems, accessSettings, limitSettings, listenSettings } from "@sluice/api-server/settings";
import { type ConfigOf, type ConfigSpec, setting } from "@sluice/runtime";
import { retentionSettings, throttleSettings } from "@sluice/scheduler/settings";

const fcAddress = "127.0.0.1:8090";

const settings = {
  ...listenSettings,
  fcAddress: { ...listenSettings.fcAddress, default: fcAddress, defaultText: fcAddress },
  dataDir: setting.text({
    default: ".sluice",
    pattern: /./,
    form: "a folder",
    why: "Folder that holds everything; one instance at a time.",
  }),
  ...accessSettings,
  accessKeyId: { ...accessSettings.accessKeyId, defaultText: "made at the first start and printed" },
  masterKey: setting.secret({
    default: undefined,
    variable: "SLUICE_MASTER_KEY",
    why: "Encrypts secrets at rest: 64 hexadecimal digits; default: a file of mode 0600 in the data folder.",
  }),
  ...limitSettings,
  ...throttleSettings,
  ...retentionSettings,
  ...agentSettings,
  logLevel: setting.choice({
    default: "warn",
    of: ["debug", "info", "warn", "error"],
    why: "Least severe lines of the log on standard error; debug has one per task.",
  }),
};

export const standaloneSpec: ConfigSpec<typeof settings> = {
  service: "",
  summary: "Sluice in one process: api-server, scheduler and agent on embedded drivers. Serves until Ctrl-C.",
  settings,
  checks: [accessProblems],
};
export type StandaloneConfig = ConfigOf<typeof settings>;
