// Network namespaces: each service that is isolated has one, with one interface, whose other end is in a bridge. The bridge's
// address is the only one that they need: all proxies listen there.
//
//   service ── eth0 (namespace) ═══ veth (host) ── bridge, proxies ── backends and the other services on loopback
//
// Packets are dropped by the queueing discipline `blackhole` at the sending end: nobody hears of it, as with a bad cable.
import { AppError } from "@sluice/core";
import type { Direction, PacketFault } from "../../contract.ts";
import { networkTag } from "./leftovers.ts";
import { run, runs } from "./run.ts";

export interface Network extends Disposable {
  /** Where proxies listen, for everybody. */
  readonly host: string;
  /** Where a service listens. */
  hostOf(service: string): string;
  /** The service that is isolated at this address. */
  serviceAt(address: string): string | undefined;
  /** Words in front of the command of an isolated service. */
  wrapperOf(service: string): readonly string[] | undefined;
  /** Throws `FAULT_IMPOSSIBLE` for a service that is not isolated. */
  packets(service: string): PacketFault;
  heal(): void;
}

const loopback = "127.0.0.1";

/** Everybody on loopback. */
export const plainNetwork: Network = {
  host: loopback,
  hostOf: () => loopback,
  serviceAt: () => undefined,
  wrapperOf: () => undefined,
  packets(service) {
    throw notIsolated(service);
  },
  heal() {},
  [Symbol.dispose]() {},
};

/** Needs root on Linux, `ip` and `tc`. */
export function openNetwork(services: readonly string[]): Network {
  const tag = networkTag();
  const bridge = `${tag}br`;
  const subnet = freeSubnet();
  const host = `${subnet}.1`;
  const seats = new Map<string, Seat>();
  const close = () => {
    for (const { namespace } of seats.values()) runs("ip", "netns", "delete", namespace);
    runs("ip", "link", "delete", bridge);
  };
  try {
    run("ip", "link", "add", bridge, "type", "bridge", "forward_delay", "0");
    run("ip", "address", "add", `${host}/24`, "dev", bridge);
    run("ip", "link", "set", bridge, "up");
    for (const [index, service] of services.entries()) {
      const seat = {
        namespace: `${tag}-${service}`,
        device: `${tag}h${index}`,
        address: `${subnet}.${index + 2}`,
        isCut: { there: false, back: false },
      };
      seats.set(service, seat);
      join(seat, bridge);
    }
  } catch (error) {
    close();
    throw error;
  }
  const seatOf = (service: string) => {
    const seat = seats.get(service);
    if (!seat) throw notIsolated(service);
    return seat;
  };
  return {
    host,
    hostOf: (service) => seats.get(service)?.address ?? loopback,
    serviceAt: (address) => services.find((service) => seats.get(service)?.address === address),
    wrapperOf(service) {
      const seat = seats.get(service);
      // `ip netns exec` would hide the control groups, which an agent needs.
      return seat && ["nsenter", `--net=/run/netns/${seat.namespace}`];
    },
    packets(service) {
      const seat = seatOf(service);
      return { dropped: () => dropped(seat), cut: (direction) => cut(seat, direction), heal: () => heal(seat) };
    },
    heal() {
      for (const seat of seats.values()) heal(seat);
    },
    [Symbol.dispose]: close,
  };
}

interface Seat {
  readonly namespace: string;
  /** The end of its interface that is in the bridge. */
  readonly device: string;
  readonly address: string;
  readonly isCut: { there: boolean; back: boolean };
}

function join({ namespace, device, address }: Seat, bridge: string): void {
  run("ip", "netns", "add", namespace);
  run("ip", "link", "add", device, "type", "veth", "peer", "name", "eth0", "netns", namespace);
  run("ip", "link", "set", device, "master", bridge, "up");
  run("ip", "-n", namespace, "address", "add", `${address}/24`, "dev", "eth0");
  run("ip", "-n", namespace, "link", "set", "lo", "up");
  run("ip", "-n", namespace, "link", "set", "eth0", "up");
}

function cut(seat: Seat, direction: Direction = "both"): void {
  if (direction !== "back" && !seat.isCut.there) run(...sendingEnd(seat, "replace"), "blackhole");
  if (direction !== "there" && !seat.isCut.back) run(...receivingEnd(seat, "replace"), "blackhole");
  seat.isCut.there ||= direction !== "back";
  seat.isCut.back ||= direction !== "there";
}

function heal(seat: Seat): void {
  if (seat.isCut.there) run(...sendingEnd(seat, "delete"));
  if (seat.isCut.back) run(...receivingEnd(seat, "delete"));
  seat.isCut.there = seat.isCut.back = false;
}

/** Each qdisc counts from the moment when it was put there. */
function dropped(seat: Seat): number {
  const ends = [
    ...(seat.isCut.there ? [sendingEnd(seat, "show")] : []),
    ...(seat.isCut.back ? [receivingEnd(seat, "show")] : []),
  ];
  return ends
    .map(([command, ...args]) => run(command, "-s", ...args))
    .reduce((sum, shown) => sum + Number(/\(dropped (\d+)/.exec(shown)?.[1] ?? 0), 0);
}

type Command = [command: string, ...args: string[]];

function sendingEnd({ namespace }: Seat, verb: string): Command {
  return ["tc", "-n", namespace, "qdisc", verb, "dev", "eth0", "root"];
}

function receivingEnd({ device }: Seat, verb: string): Command {
  return ["tc", "qdisc", verb, "dev", device, "root"];
}

/** The first three numbers of one that this machine does not use. */
function freeSubnet(): string {
  const used = run("ip", "-4", "-o", "address", "show") + run("ip", "-4", "route", "show");
  for (let tries = 0; tries < 254; tries += 1) {
    const subnet = `10.213.${(process.pid + tries) % 254}`;
    if (!used.includes(`${subnet}.`)) return subnet;
  }
  throw new AppError("exhausted", "NO_FREE_SUBNET", "every subnet of 10.213.0.0/16 is used on this machine");
}

function notIsolated(service: string): AppError {
  return new AppError("precondition", "FAULT_IMPOSSIBLE", `${service} has no network namespace of its own`);
}
