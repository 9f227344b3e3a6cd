import { AppError } from "@sluice/core";
import type { CallContext } from "./rpc.ts";

/** A service that a certificate names: by the URI `spiffe://sluice/<role>`, or `spiffe://sluice/<role>/<id>`. */
export interface Identity {
  /** Such as `scheduler` or `agent`. */
  readonly role: string;
  /** Undefined: any service of that role. */
  readonly id: string | undefined;
}

const identityPattern = /^spiffe:\/\/sluice\/(?<role>[a-z-]+)(?:\/(?<id>[A-Za-z0-9._-]+))?$/;

/** The services among a certificate's alternative names, which Node writes as `DNS:a, URI:b, DNS:"odd \"one\""`. */
export function identitiesOf(alternativeNames: string | undefined): readonly Identity[] {
  // Names with a comma or a quote come quoted, so that none can pretend to be two.
  const names = alternativeNames?.match(/[^",]+(?:"(?:\\.|[^"\\])*")?/g) ?? [];
  return names.flatMap((name) => {
    const [, uri = ""] = /^ ?URI:(.*)$/.exec(name) ?? [];
    const { role, id } = identityPattern.exec(uri)?.groups ?? {};
    return role === undefined ? [] : [{ role, id }];
  });
}

/**
 * Throws `WRONG_ROLE` unless the caller's certificate names that role, with that id or without one. Only for servers that
 * ask for certificates.
 */
export function checkRole({ identities }: CallContext, role: string, wantedId?: string): void {
  const isNamed = identities?.().some(
    (identity) =>
      identity.role === role && (wantedId === undefined || identity.id === undefined || identity.id === wantedId),
  );
  if (isNamed) return;
  const name = wantedId === undefined ? role : `${role}/${wantedId}`;
  throw new AppError("forbidden", "WRONG_ROLE", `the call needs a certificate for spiffe://sluice/${name}`);
}
