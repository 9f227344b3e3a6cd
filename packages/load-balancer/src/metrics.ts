import { Counter, Gauge, type Registry } from "prom-client";

/** Every metric of the load-balancer; `docs/metrics.md` explains them. */
export function loadBalancerMetrics(registry: Registry) {
  const registers = [registry];
  return {
    isLeader: new Gauge({
      name: "sluice_load_balancer_leaders",
      help: "1 while this scheduler leads; the sum over all of them is 1 in a healthy cluster.",
      registers,
    }),
    members: new Gauge({
      name: "sluice_load_balancer_members",
      help: "Schedulers that the leader sees; 0 where none leads.",
      registers,
    }),
    partitions: new Gauge({
      name: "sluice_load_balancer_partitions",
      help: "Partitions of all queues, as the leader wishes them; 0 where none leads.",
      registers,
    }),
    rounds: new Counter({
      name: "sluice_load_balancer_rounds_total",
      help: "Looks at members and wishes, by outcome: led, followed, failed.",
      labelNames: ["outcome"],
      registers,
    }),
    written: new Counter({
      name: "sluice_load_balancer_written_wishes_total",
      help: "Wishes that were changed.",
      registers,
    }),
    moved: new Counter({
      name: "sluice_load_balancer_moved_partitions_total",
      help: "Partitions that were moved from one live scheduler to another.",
      registers,
    }),
    routes: new Gauge({
      name: "sluice_load_balancer_routes",
      help: "Flows that have, get or lose a queue of their own, as the leader sees them; 0 where none leads.",
      registers,
    }),
    refusedRoutes: new Gauge({
      name: "sluice_load_balancer_refused_routes",
      help: "Flows that want a queue of their own and do not get one, as all or their account have too many; 0 where none leads.",
      registers,
    }),
    routeChanges: new Counter({
      name: "sluice_load_balancer_route_changes_total",
      help: "Changes of routes, by the state that they came into: opening, open, folding, ended.",
      labelNames: ["state"],
      registers,
    }),
    reshaped: new Counter({
      name: "sluice_load_balancer_reshaped_partitions_total",
      help: "Partitions that the rule split, or made of two halves, by kind: split, merge.",
      labelNames: ["kind"],
      registers,
    }),
    events: new Counter({
      name: "sluice_load_balancer_events_total",
      help: "Changes that are in the list of events, by kind and by the reason that the leader had.",
      labelNames: ["kind", "reason"],
      registers,
    }),
    throttledQueues: new Gauge({
      name: "sluice_load_balancer_throttled_queues",
      help: "Queues whose backlog passed its reference, so that a share of the submissions is refused; 0 where none leads.",
      registers,
    }),
    throttledFlows: new Gauge({
      name: "sluice_load_balancer_throttled_flows",
      help: "Accounts and functions of which the api-servers refuse a share; 0 where none leads.",
      registers,
    }),
  };
}
export type LoadBalancerMetrics = ReturnType<typeof loadBalancerMetrics>;
