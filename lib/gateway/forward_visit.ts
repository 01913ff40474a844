/**
 * Forwards what a visitor asked for on a link: as a request, or as an upgrade of its connection.
 *
 * @module
 */
import type { GatewayConfig } from "../config/gateway_config.ts";
import { forward } from "../http/forward.ts";
import type { Deniable, ForwardFacts } from "../http/forward_options.ts";
import { forwardUpgrade } from "../http/forward_upgrade.ts";
import type { Session } from "../mux/session.ts";
import type { GatewayVisit } from "./flows.ts";
import type { Outcomes } from "./outcome.ts";

/**
 * Settles when the exchange is over. Never rejects.
 *
 * @param head The encoded request head.
 * @param protocols Of an upgrade: those to switch to; without, it is forwarded as any other request.
 * @param onBegin Told what ends the exchange from outside.
 */
export function forwardVisit(
  session: Session,
  visit: GatewayVisit,
  head: Uint8Array,
  protocols: string | undefined,
  { config: { limits }, outcomes: { traffic } }: {
    readonly config: Pick<GatewayConfig, "limits">;
    readonly outcomes: Pick<Outcomes, "traffic">;
  },
  onBegin?: (exchange: Deniable) => void,
): Promise<ForwardFacts> {
  const { incoming, outgoing, upgrade } = visit.arrival;
  const { method, hasBody } = visit.reading;
  const shared = {
    session,
    service: visit.service,
    head,
    method,
    answerTimeoutMs: limits.answerTimeout,
    onBegin,
  };
  if (upgrade) {
    const { socket, early } = upgrade;
    return forwardUpgrade({ ...shared, socket, early, upgrade: protocols !== undefined });
  }
  return forward({
    ...{ ...shared, incoming, outgoing: outgoing!, hasBody },
    tap: traffic.tap(visit),
    bodyBytesMax: limits.bodyBytesMax,
    idleTimeoutMs: limits.idleTimeout,
  });
}
