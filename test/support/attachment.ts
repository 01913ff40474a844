/**
 * A link as the registry knows it, with everything that a test does not care for filled in.
 *
 * @module
 */
import type { Session } from "../../lib/mux/session.ts";
import { groupOf } from "../../lib/policy/flow.ts";
import type { Attachment } from "../../lib/routing/registry.ts";

/** @param session What of a session is looked at. */
export function madeAttachment(session: object, change: Partial<Attachment> = {}): Attachment {
  const { namespace = "default", image = "", agent = "a" } = change;
  return {
    ...{ session: session as Session, agent, tokenId: "t", namespace, image },
    ...{ group: groupOf(namespace, image, agent), services: [], tcp: new Set<string>(), ports: new Map() },
    ...{ reach: [], egress: false, sinceMs: 0, claimed: {} },
    ...change,
  };
}
