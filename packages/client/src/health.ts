// The standard health service (`grpc.health.v1`), of which the client needs one method and one field.

/** What the server says of itself. */
export type Health = "serving" | "not serving" | "unknown";

const serving = 1;
const notServing = 2;

/** A definition for `apiClient`. */
export const HealthService = {
  check: {
    path: "/grpc.health.v1.Health/Check",
    requestStream: false,
    responseStream: false,
    // The whole server: the field `service` (1, text) is empty, so the message is.
    requestSerialize: (_request: Record<string, never>): Buffer => Buffer.alloc(0),
    requestDeserialize: (_bytes: Buffer): Record<string, never> => ({}),
    // The field `status` (1, enum) is a tag and a number below 128.
    responseSerialize: (health: Health): Buffer =>
      Buffer.from([8, health === "serving" ? serving : health === "not serving" ? notServing : 0]),
    responseDeserialize: (bytes: Buffer): Health => {
      if (bytes[0] !== 8) return "unknown";
      return bytes[1] === serving ? "serving" : bytes[1] === notServing ? "not serving" : "unknown";
    },
  },
} as const;
