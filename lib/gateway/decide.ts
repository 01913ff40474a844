/**
 * decide: asks the firewall about a request, before it is forwarded and when it is over.
 *
 * @module
 */
import { FAILURE_STATUS } from "../http/failure.ts";
import type { Deniable, ForwardFacts } from "../http/forward_options.ts";
import type { Attachment } from "../routing/registry.ts";
import { DENIED, DENIED_STATUS, type Firewall } from "./firewall.ts";
import { type GatewayVisit, requestEnds } from "./flows.ts";

/** An answer of the gateway's own in place of the service's. */
export interface Denial {
  readonly status: 403 | 429;
  readonly detail: string;
  /** Flat names and values. */
  readonly fields: string[];
}

/** Judges a request that is about to go to an agent. @returns `undefined` when it may. */
export function decideRequest(firewall: Firewall, visit: GatewayVisit, to: Attachment): Denial | undefined {
  const { passage } = visit;
  if (passage !== undefined) {
    // Tried on another link: of the same group, it is the same request.
    const { destination } = passage.flow;
    if (destination.kind === "service" && destination.group.id === to.group.id) {
      passage.to = to;
      return undefined;
    }
    firewall.end(passage);
  }
  const ends = requestEnds(visit, to);
  // What an operator sends again is no doing of the one who sent it first.
  const isCounted = passage === undefined && visit.replayOf === undefined;
  const limited = isCounted ? firewall.limit(ends) : undefined;
  if (limited !== undefined) {
    const seconds = String(Math.max(1, Math.ceil(limited.retryAfterMs / 1000)));
    return { status: 429, detail: limited.detail, fields: ["Retry-After", seconds] };
  }
  visit.passage = firewall.admit(ends);
  if (visit.passage.judgement.verdict !== "dropped") return undefined;
  return { status: DENIED_STATUS, detail: DENIED, fields: [] };
}

/** What ends the exchange when a new policy denies it. */
export function linkDenial({ passage }: GatewayVisit): ((exchange: Deniable) => void) | undefined {
  if (passage === undefined) return undefined;
  return (exchange) => {
    passage.exchange = exchange;
  };
}

/** Tells the firewall how the request ended: only an answer without an error teaches. */
export function endRequest(firewall: Firewall, { passage }: GatewayVisit, facts: ForwardFacts): void {
  if (passage === undefined) return;
  const { failure, requestBytes: inBytes, responseBytes: outBytes } = facts;
  const ok = facts.status > 0 && facts.status < 400;
  const status = facts.status > 0 ? facts.status : failure === undefined ? 0 : FAILURE_STATUS[failure];
  firewall.end(passage, { ok, inBytes, outBytes, status });
}
