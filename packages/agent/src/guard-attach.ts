import { type AgentServiceService, type Api, checkJoinTokenOf, checkRole } from "@sluice/protocol";

type AgentApi = Api<typeof AgentServiceService>;

export interface GuardAttachOptions {
  /** Any of them lets a scheduler in. */
  readonly joinTokens: readonly string[];
  /** What the server asks of its callers' certificates. Unless `none`, a scheduler must show its own. */
  readonly clientAuth: "none" | "request" | "require";
}

/** The agent for callers from the network: whoever attaches makes it run code, so only schedulers of its cluster may. */
export function guardAttach(api: AgentApi, { joinTokens, clientAuth }: GuardAttachOptions): AgentApi {
  return {
    async *attach(input, context) {
      checkJoinTokenOf(context, joinTokens);
      if (clientAuth !== "none") checkRole(context, "scheduler");
      yield* api.attach(input, context);
    },
  };
}
