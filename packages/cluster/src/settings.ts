import { type ConfigSpec, setting } from "@sluice/runtime";

const count = (what: string, byDefault: number) =>
  setting.integer({ default: byDefault, min: 1, max: 50, why: `How many ${what} to start.` });

const settings = {
  apiServers: count("api-servers", 2),
  schedulers: count("schedulers", 3),
  agents: count("agents", 3),
  nats: setting.choice({ default: "1", of: ["1", "3"], why: "nats-servers; three are a cluster with three copies." }),
  dataDir: setting.text({
    default: undefined,
    defaultText: "a temporary one, deleted at the end",
    pattern: /./,
    form: "a folder",
    why: "Folder of data and logs; it is kept, and can be started again with what it holds.",
  }),
  restart: setting.boolean({ default: false, why: "Start again what is killed, on its ports and its data." }),
};

export const clusterSpec: ConfigSpec<typeof settings> = {
  service: "cluster",
  summary: "Sluice as many processes on this machine: backends, api-servers, schedulers, agents. Runs until Ctrl-C.",
  settings,
};
