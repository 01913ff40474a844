/**
 * Who serves what: the links of each service, and which of them takes the next stream.
 *
 * The least busy link goes first. A link that is leaving, full, or of an agent that is gone is never chosen.
 *
 * @module
 */
import type { Session } from "../mux/session.ts";
import type { Group } from "../policy/flow.ts";

/** How a service is carried: as HTTP requests, or as raw connections. */
export type ServiceKind = "http" | "tcp";

/** A link whose agent has said what it serves, and may. */
export interface Attachment {
  readonly session: Session;
  /** The agent's name, from its token. */
  readonly agent: string;
  /** The id of the token, for its revocation. */
  readonly tokenId: string;
  readonly namespace: string;
  /** The image, from the token; empty when it was not enrolled. */
  readonly image: string;
  /** Made from both: what policies are about. */
  readonly group: Group;
  /** What its token lets it call: services, `*` for any; and hosts outside. */
  readonly reach: readonly string[];
  readonly egress: boolean;
  readonly services: readonly string[];
  /** Those of the services that are raw connections. */
  readonly tcp: ReadonlySet<string>;
  readonly sinceMs: number;
  /** What the agent says of itself: hostname, container id, version. Shown, never believed. */
  readonly claimed: Readonly<Record<string, string>>;
  /** Ports of its targets, by service: claimed, so only shown. */
  readonly ports: ReadonlyMap<string, number>;
  /** What its last report claims of its wall, and when it came. */
  wall?: { readonly claim: WallClaim; readonly atMs: number };
}

/** What an agent claims to have found: whether anything in its container listens where others could reach it. */
export interface WallClaim {
  /** @see lib/seal/wall.ts */
  readonly state: "whole" | "broken" | "unknown";
  /** How many sockets listen, loopback and all. */
  readonly listeners: number;
  /** Sockets that can be reached from outside, in words. */
  readonly exposed: readonly string[];
  readonly faults: readonly string[];
}

export interface RegistryTotals {
  links: number;
  streams: number;
  /** Credit that agents have and did not use. */
  creditBytes: number;
  roundTrips: { agent: string; seconds: number }[];
  /** What the agent of each link claims of its wall. */
  walls: { agent: string; state: WallClaim["state"] }[];
}

/** Up to this many links all are compared; of more, a few are drawn, which balances nearly as well. */
const COMPARED_MAX = 16;
const DRAWN = 4;

export class Registry {
  readonly #attachments = new Set<Attachment>();
  readonly #byService: Readonly<Record<ServiceKind, Map<string, Attachment[]>>> = {
    http: new Map(),
    tcp: new Map(),
  };
  /** Services that were served since the start, and how last: their absence is a failure, not a wrong address. */
  readonly #seen = new Map<string, ServiceKind>();
  #turn = 0;

  /** How many names of services are remembered after their agents left. */
  static readonly SERVICES_SEEN_MAX = 10_000;

  add(attachment: Attachment): void {
    this.#attachments.add(attachment);
    for (const service of attachment.services) {
      const kind = kindIn(attachment, service);
      const list = this.#byService[kind].get(service);
      if (list) list.push(attachment);
      else this.#byService[kind].set(service, [attachment]);
      if (this.#seen.has(service) || this.#seen.size < Registry.SERVICES_SEEN_MAX) {
        this.#seen.set(service, kind);
      }
    }
  }

  remove(attachment: Attachment): void {
    if (!this.#attachments.delete(attachment)) return;
    for (const service of attachment.services) {
      const table = this.#byService[kindIn(attachment, service)];
      const left = table.get(service)!.filter((other) => other !== attachment);
      if (left.length > 0) table.set(service, left);
      else table.delete(service);
    }
  }

  /**
   * The link that takes the next stream of a service.
   *
   * @param except A link that was tried already.
   * @returns `undefined` when none can.
   */
  select(service: string, except?: Session, kind: ServiceKind = "http"): Attachment | undefined {
    const list = this.#byService[kind].get(service);
    if (list === undefined) return undefined;
    const count = Math.min(list.length, list.length > COMPARED_MAX ? DRAWN : COMPARED_MAX);
    let best: Attachment | undefined;
    for (let i = 0; i < count; i++) {
      // Equally busy links take turns.
      const candidate =
        list[list.length > COMPARED_MAX ? random(list.length) : (this.#turn + i) % list.length]!;
      if (candidate.session === except || !isFree(candidate, kind)) continue;
      if (!best || candidate.session.streamsOpen < best.session.streamsOpen) best = candidate;
    }
    this.#turn = (this.#turn + 1) & 0xffff;
    // Drawing may have hit only links that are full; then all are asked.
    return best ?? list.find((candidate) => candidate.session !== except && isFree(candidate, kind));
  }

  /** Whether a link serves it now, or did since the start. */
  knows(service: string): boolean {
    return this.kindOf(service) !== undefined;
  }

  /** How a service is carried, by the links that it has now, else by those it had last. Raw goes before HTTP. */
  kindOf(service: string): ServiceKind | undefined {
    if (this.#byService.tcp.has(service)) return "tcp";
    if (this.#byService.http.has(service)) return "http";
    return this.#seen.get(service);
  }

  /** Whether the links that stand serve it in another way: raw, or as HTTP. What comes later must do as they do. */
  isServedOtherwise(service: string, kind: ServiceKind): boolean {
    return this.#byService[kind === "tcp" ? "http" : "tcp"].has(service);
  }

  /** How many links a service has. */
  links(service: string, kind: ServiceKind = "http"): number {
    return this.#byService[kind].get(service)?.length ?? 0;
  }

  /** All links. */
  all(): Attachment[] {
    return [...this.#attachments];
  }

  /** What all links have together, for the gauges. */
  totals(): RegistryTotals {
    const totals: RegistryTotals = {
      links: this.#attachments.size,
      streams: 0,
      creditBytes: 0,
      roundTrips: [],
      walls: [],
    };
    for (const { agent, session, wall } of this.#attachments) {
      totals.walls.push({ agent, state: wall?.claim.state ?? "unknown" });
      totals.streams += session.streamsOpen;
      totals.creditBytes += session.creditGrantedBytes;
      totals.roundTrips.push({ agent, seconds: session.rttMs / 1000 });
    }
    return totals;
  }
}

/** Raw connections may stand for days: they never get the last quarter of a link, which is for requests. */
const RAW_SHARE_MAX = 3 / 4;

function isFree({ session }: Attachment, kind: ServiceKind): boolean {
  return session.open &&
    (kind === "http" || session.ownStreams < RAW_SHARE_MAX * (session.ownStreamsMax ?? 0));
}

function kindIn(attachment: Attachment, service: string): ServiceKind {
  return attachment.tcp.has(service) ? "tcp" : "http";
}

function random(below: number): number {
  return Math.floor(Math.random() * below);
}
