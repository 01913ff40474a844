/**
 * What the routes of the admin API work on.
 *
 * @module
 */
import type { z } from "zod";
import type { Grant } from "../auth/grant.ts";
import type { Sessions } from "../auth/sessions.ts";
import type { Registry } from "../routing/registry.ts";
import type { Credential } from "./access.ts";
import type { FirewallControl } from "./control.ts";
import { ApiFault } from "./fault.ts";
import type { LiveStream } from "./live_stream.ts";
import type { entrySchema } from "./schemas.ts";
import type { TrafficControl } from "./traffic_control.ts";
import type { Turns } from "./turns.ts";

/** Where agent tokens are minted and revoked. */
export interface TokenBackend {
  /** The data directory: it holds the key and the lists. */
  readonly dataDir: string;
  /** Called after tokens were revoked, so that their links end now. */
  onRevoked?(): void;
}

/** How the page signs in and out. */
export interface SessionBackend {
  readonly sessions: Sessions;
  /** What a token or a code gives its holder, or the fault to answer; see lib/admin/access.ts. */
  grantOf(given: Credential, peer: string): Promise<Grant | ApiFault>;
}

/** Where visitors and agents come in: addresses, names and routes, and no secret. */
export type Entry = z.output<typeof entrySchema>;

export interface Backend {
  readonly registry: Registry;
  /** Absent while the firewall is off. */
  readonly firewall?: FirewallControl;
  /** The live stream of the same firewall. */
  readonly live?: LiveStream;
  readonly tokens?: TokenBackend;
  /** Also there while the firewall is off. */
  readonly traffic?: TrafficControl;
  /** Absent where there is no page. */
  readonly sessions?: SessionBackend;
  /** Absent where nobody says. */
  readonly entry?: Entry;
  /** What every answer is worked out in. */
  readonly turns: Turns;
  /** Such as `bun 1.4.5`. */
  readonly runtime: string;
  readonly startedAtMs: number;
  /** Since 1970. */
  readonly nowMs: () => number;
  /** False from the moment the gateway begins to stop. */
  readonly ready: () => boolean;
}

/** @throws {ApiFault} 404 when there is none. */
export function firewallOf({ firewall }: Backend): FirewallControl {
  if (firewall !== undefined) return firewall;
  throw new ApiFault(404, "The firewall of this gateway is off: start it with --firewall");
}

/** @throws {ApiFault} 404 when there is none. */
export function trafficOf({ traffic }: Backend): TrafficControl {
  if (traffic !== undefined) return traffic;
  throw new ApiFault(404, "This gateway keeps nothing of its traffic");
}
