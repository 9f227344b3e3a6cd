import { OutcomeKind } from "@sluice/protocol";
import type { Shards } from "../../agents/shards.ts";
import type { Gate } from "../gates.ts";

/** Holds nothing back by itself: it charges flows with the agents that their attempts were lost with. */
export function lostAgentsGate(shards: Pick<Shards, "lost">): Gate {
  return {
    room: () => Number.POSITIVE_INFINITY,
    onEnded({ flowKey, agentId }, { kind }) {
      if (kind === OutcomeKind.LOST) shards.lost(flowKey, agentId);
    },
  };
}
