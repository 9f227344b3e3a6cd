import { instancesMax } from "./deploy.ts";

export { startWorkload } from "./workload.ts";

/** What agents need for the functions of the workload: the default follows the number of CPUs. */
export const agentEnvironment = { SLUICE_AGENT_INSTANCES_MAX: String(instancesMax) };
