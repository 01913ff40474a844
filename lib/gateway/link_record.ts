/**
 * What happens to links, for the log and the metrics.
 *
 * @module
 */
import type { Logger } from "../log.ts";
import type { GatewayMetrics } from "../metrics/gateway_metrics.ts";
import type { Attachment, WallClaim } from "../routing/registry.ts";
import type { AdmissionEvent } from "./admission.ts";
import type { RunningFirewall } from "./open_firewall.ts";

export interface LinkRecorder {
  readonly log: Logger;
  readonly metrics: GatewayMetrics;
  readonly firewall?: Pick<RunningFirewall, "refusedToken"> | undefined;
}

export function recordLink({ log, metrics, firewall }: LinkRecorder, event: AdmissionEvent): void {
  if (event.kind === "linked") {
    const { agent, group, services, reach, egress, session, claimed } = event.attachment;
    metrics.link(event.again ? "remade" : "made");
    const calls = { ...(reach.length > 0 ? { reach: some(reach) } : {}), ...(egress ? { egress } : {}) };
    const own = { agent, group: group.id, services: some(services), ...calls };
    log.info("linked", { ...own, peer: session.link.peer, ...claimed });
  } else if (event.kind === "wall") {
    recordWall(log, event.attachment, event.before);
  } else if (event.kind === "lost") {
    const { agent, peer, end } = event;
    metrics.link("lost");
    log.info("link ended", { agent, peer, code: end.code, reason: end.message });
  } else if (event.kind === "left") {
    log.debug("left before it was linked", { peer: event.peer, reason: event.message });
  } else {
    const { peer, code, message: reason, failures, slowed } = event;
    metrics.link("refused");
    log.warn("link refused", { peer, code, reason });
    if (failures !== undefined) firewall?.refusedToken("link", peer, code, failures);
    if (slowed) log.warn("the tokens of a peer are looked at slowly from now on", { peer, failures });
  }
}

/** Names of a line that may be written for every link that is made. */
const NAMES_SHOWN = 16;

function some(names: readonly string[]): string {
  const more = names.length > NAMES_SHOWN ? `, and ${names.length - NAMES_SHOWN} more` : "";
  return `${names.slice(0, NAMES_SHOWN).join(",")}${more}`;
}

/** Only what changes is told: the same report comes every minute. */
function recordWall(log: Logger, { agent, wall }: Attachment, before: WallClaim | undefined): void {
  const { state, exposed, faults } = wall!.claim;
  if (state === "broken") log.warn("the wall of an agent is broken", { agent, exposed: exposed.join(", ") });
  else if (state === "unknown") {
    log.warn("the wall of an agent is not known", { agent, faults: faults.join(", ") });
  } else if (before !== undefined) log.info("the wall of an agent is whole again", { agent });
}
