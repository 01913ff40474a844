/**
 * Who serves what: the links of each service, and which of them takes the next stream.
 *
 * The least busy link goes first. A link that is leaving, full, or of an agent that is gone is never chosen.
 *
 * @module
 */
import type { Session } from "../mux/session.ts";

/** A link whose agent has said what it serves, and may. */
export interface Attachment {
  readonly session: Session;
  /** The agent's name, from its token. */
  readonly agent: string;
  /** The id of the token, for its revocation. */
  readonly tokenId: string;
  readonly services: readonly string[];
  readonly sinceMs: number;
  /** What the agent says of itself: hostname, container id, version. Shown, never believed. */
  readonly claimed: Readonly<Record<string, string>>;
}

export interface RegistryTotals {
  links: number;
  streams: number;
  /** Credit that agents have and did not use. */
  creditBytes: number;
  roundTrips: { agent: string; seconds: number }[];
}

/** Up to this many links all are compared; of more, a few are drawn, which balances nearly as well. */
const COMPARED_MAX = 16;
const DRAWN = 4;

export class Registry {
  readonly #attachments = new Set<Attachment>();
  readonly #byService = new Map<string, Attachment[]>();
  /** Services that were served since the start: their absence is a failure, not a wrong address. */
  readonly #seen = new Set<string>();
  #turn = 0;

  /** How many names of services are remembered after their agents left. */
  static readonly SERVICES_SEEN_MAX = 10_000;

  add(attachment: Attachment): void {
    this.#attachments.add(attachment);
    for (const service of attachment.services) {
      const list = this.#byService.get(service);
      if (list) list.push(attachment);
      else this.#byService.set(service, [attachment]);
      if (this.#seen.size < Registry.SERVICES_SEEN_MAX) this.#seen.add(service);
    }
  }

  remove(attachment: Attachment): void {
    if (!this.#attachments.delete(attachment)) return;
    for (const service of attachment.services) {
      const left = this.#byService.get(service)!.filter((other) => other !== attachment);
      if (left.length > 0) this.#byService.set(service, left);
      else this.#byService.delete(service);
    }
  }

  /**
   * The link that takes the next stream of a service.
   *
   * @param except A link that was tried already.
   * @returns `undefined` when none can.
   */
  select(service: string, except?: Session): Attachment | undefined {
    const list = this.#byService.get(service);
    if (list === undefined) return undefined;
    const count = Math.min(list.length, list.length > COMPARED_MAX ? DRAWN : COMPARED_MAX);
    let best: Attachment | undefined;
    for (let i = 0; i < count; i++) {
      // Equally busy links take turns.
      const candidate =
        list[list.length > COMPARED_MAX ? random(list.length) : (this.#turn + i) % list.length]!;
      if (candidate.session === except || !candidate.session.open) continue;
      if (!best || candidate.session.streamsOpen < best.session.streamsOpen) best = candidate;
    }
    this.#turn = (this.#turn + 1) & 0xffff;
    // Drawing may have hit only links that are full; then all are asked.
    return best ?? list.find((candidate) => candidate.session !== except && candidate.session.open);
  }

  /** Whether a link serves it now, or did since the start. */
  knows(service: string): boolean {
    return this.#seen.has(service) || this.#byService.has(service);
  }

  /** How many links a service has. */
  links(service: string): number {
    return this.#byService.get(service)?.length ?? 0;
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
    };
    for (const { agent, session } of this.#attachments) {
      totals.streams += session.streamsOpen;
      totals.creditBytes += session.creditGrantedBytes;
      totals.roundTrips.push({ agent, seconds: session.rttMs / 1000 });
    }
    return totals;
  }
}

function random(below: number): number {
  return Math.floor(Math.random() * below);
}
