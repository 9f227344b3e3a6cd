// Every key in etcd.
import { type Flow, flowKey, type Partition, partitionKey } from "@sluice/core";

/** A scheduler, under its lease. */
export const memberKey = (id: string): string => `/members/${id}`;
export const membersPrefix = "/members/";
/** What the load-balancer wants of a queue; under no lease. */
export const wishKey = (queue: string): string => `/wishes/${queue}`;
export const wishesPrefix = "/wishes/";
/** Who owns a partition, under its lease. */
export const claimKey = (partition: Partition): string => `/claims/${partitionKey(partition)}`;
export const claimsPrefix = "/claims/";
/** How busy a scheduler's partitions are, under its lease. */
export const loadsKey = (memberId: string): string => `/loads/${memberId}`;
export const loadsPrefix = "/loads/";
/** What the load-balancer tells the api-servers; under no lease, and valid for a time that it names. */
export const admissionKey = "/admission";
/** The queue that a flow was given as its own; under no lease. */
export const routeKey = (flow: Flow): string => `/routes/${flowKey(flow)}`;
export const routesPrefix = "/routes/";
/** How many slots of agents a scheduler could use, under its lease. */
export const slotsKey = (memberId: string): string => `/slots/${memberId}`;
export const slotsPrefix = "/slots/";
/** Something that was changed; under no lease. */
export const eventKey = (id: string): string => `/events/${id}`;
export const eventsPrefix = "/events/";
/** Which scheduler runs the load-balancer, under its lease. */
export const leaderKey = "/leader";
/** An agent's incarnation, under a lease that the api-servers renew. */
export const agentKey = (agentId: string): string => `/agents/${agentId}`;
export const agentsPrefix = "/agents/";
