import { type AgentGatewayServiceService, type Api, checkRole } from "@sluice/protocol";

type GatewayApi = Api<typeof AgentGatewayServiceService>;

/**
 * The gateway for callers with certificates: only agents get in, and an agent whose certificate names its id only as that
 * one. The join token is asked for besides.
 */
export function guardGateway(api: GatewayApi): GatewayApi {
  return {
    async register(request, context) {
      checkRole(context, "agent", request.agentId);
      return api.register(request, context);
    },
    async heartbeat(request, context) {
      checkRole(context, "agent", request.agentId);
      return api.heartbeat(request, context);
    },
    async deregister(request, context) {
      checkRole(context, "agent", request.agentId);
      return api.deregister(request, context);
    },
    async *getCode(request, context) {
      checkRole(context, "agent");
      yield* api.getCode(request, context);
    },
    async putLogs(request, context) {
      checkRole(context, "agent");
      return api.putLogs(request, context);
    },
    async findSettled(request, context) {
      checkRole(context, "agent");
      return api.findSettled(request, context);
    },
  };
}
