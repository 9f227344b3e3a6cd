// A cluster of which everything can be broken: proxies on every way, signals for every process, and where the host can do it,
// network namespaces and small disks.
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type ClusterService, type ServiceOverrides, startCluster } from "@sluice/cluster";
import { AppError } from "@sluice/core";
import { openFolder } from "@sluice/testbed";
import { editsOf, mutationFlags, withoutVariable } from "../../test/mutations/index.ts";
import type { Arena, ArenaOptions, Capability } from "../contract.ts";
import { LocalArena } from "./arena.ts";
import { probeCapabilities } from "./host/capabilities.ts";
import { noDisks, openDisks } from "./host/disks.ts";
import { openNetwork, plainNetwork } from "./host/network.ts";
import { Links } from "./links.ts";
import { openObserver } from "./observer.ts";
import { openerOf } from "./proxy/peer.ts";

export { probeCapabilities } from "./host/capabilities.ts";

const root = join(import.meta.dirname, "../..");
const blockFlags = ["--import", pathToFileURL(join(import.meta.dirname, "block.mjs")).href];

/** Resolves when every service is ready. Throws `FAULT_IMPOSSIBLE` when it needs what this host cannot do. */
export async function openArena(options: ArenaOptions = {}): Promise<Arena> {
  const { leaseProfile, without = [], isolated = [], smallDisks = {}, overrides, ...ofCluster } = options;
  // Throws for a name that nobody has; services would only fail to start.
  editsOf(without);
  const capabilities = await probeCapabilities();
  if (isolated.length > 0) need(capabilities, "netns");
  if (Object.keys(smallDisks).length > 0) need(capabilities, "tmpfs");

  const ends: (() => unknown)[] = [];
  const end = async () => {
    for (const each of ends.splice(0).reverse()) await each();
  };
  try {
    const folder = openFolder({ name: "arena" });
    ends.push(() => folder.delete());
    const network = isolated.length > 0 ? openNetwork(isolated) : plainNetwork;
    ends.push(() => network[Symbol.dispose]());
    const disks = Object.keys(smallDisks).length > 0 ? openDisks(smallDisks) : noDisks;
    ends.push(() => disks[Symbol.dispose]());
    const services = new Map<string, ClusterService>();
    const links = new Links({
      host: network.host,
      knowsPairs: capabilities.has("pairs"),
      hostOf: (service) => network.hostOf(service),
      openerOf(client) {
        const schedulers = [...services.values()].filter(({ kind }) => kind === "scheduler");
        const pids = schedulers.flatMap(({ pid }) => pid ?? []);
        const pid = openerOf(client, pids);
        return network.serviceAt(client.remoteAddress ?? "") ?? schedulers.find((each) => each.pid === pid)?.name;
      },
    });
    ends.push(() => links[Symbol.dispose]());
    const blockFileOf = (service: string) => join(folder.path, `block-${service}`);

    const cluster = await startCluster({
      ...ofCluster,
      onDataDir: (path) => disks.attach(path),
      onStarted(part) {
        // Before it can have opened a connection.
        if ("httpAddress" in part) services.set(part.name, part);
        ofCluster.onStarted?.(part);
      },
      async overrides(seat, addresses) {
        const ofUser = (await overrides?.(seat, addresses)) ?? {};
        const ofLinks = await links.overridesFor(seat, addresses);
        const wrapper = network.wrapperOf(seat.name);
        return merged(ofUser, ofLinks, {
          environment: {
            ...(seat.kind === "scheduler" && leaseProfile && { SLUICE_SCHEDULER_LEASE_PROFILE: leaseProfile }),
            ...(without.length > 0 && { [withoutVariable]: without.join(",") }),
            SLUICE_CHAOS_BLOCK_FILE: blockFileOf(seat.name),
          },
          nodeFlags: [...(without.length > 0 ? mutationFlags(root) : []), ...blockFlags],
          ...(wrapper && { wrapper, host: network.hostOf(seat.name) }),
        });
      },
    });
    ends.push(() => cluster[Symbol.asyncDispose]());
    const observer = openObserver(cluster.backends.flatMap(({ kind, url }) => (kind === "etcd" ? [url] : [])));
    ends.push(() => observer[Symbol.asyncDispose]());
    const clientAddresses = await links.clientAddresses();
    return new LocalArena({
      cluster,
      capabilities,
      network,
      disks,
      links,
      observer,
      clientAddresses,
      blockFileOf,
      end,
    });
  } catch (error) {
    await end();
    throw error;
  }
}

/** The last one wins; words of wrappers stand one after the other, and so do flags of the interpreter. */
function merged(...all: readonly ServiceOverrides[]): ServiceOverrides {
  const wrapper = all.flatMap((each) => each.wrapper ?? []);
  return {
    ...Object.assign({}, ...all),
    environment: Object.assign({}, ...all.map((each) => each.environment)),
    flags: Object.assign({}, ...all.map((each) => each.flags)),
    nodeFlags: all.flatMap((each) => each.nodeFlags ?? []),
    ...(wrapper.length > 0 && { wrapper }),
  };
}

function need(capabilities: ReadonlySet<Capability>, capability: Capability): void {
  if (capabilities.has(capability)) return;
  throw new AppError("precondition", "FAULT_IMPOSSIBLE", `this host cannot do what needs ${capability}`);
}
