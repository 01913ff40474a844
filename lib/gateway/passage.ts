/**
 * One request or connection on its way through the firewall: what was judged of it, who is at its ends, and what cuts
 * it off when a new policy denies it.
 *
 * @module
 */
import type { NetwallEvent } from "../events/event.ts";
import type { Deniable } from "../http/forward_options.ts";
import type { OpenEdge } from "../policy/edge_book.ts";
import type { Flow, Judgement } from "../policy/flow.ts";
import type { Attachment } from "../routing/registry.ts";

/** Who is at the ends, beyond what is judged: for the event. */
export interface PassageEnds {
  readonly flow: Flow;
  /** The agent that calls; `undefined` for a visitor. */
  readonly from: Attachment | undefined;
  /** The agent that serves; `undefined` for a host outside. */
  readonly to: Attachment | undefined;
  /** HTTP: what the event says of the request. An operator who sends one again teaches nothing by it. */
  readonly request?:
    | { readonly id: string; readonly userAgent: string | undefined; readonly isReplay?: boolean }
    | undefined;
}

/** How it ended. */
export interface PassageEnd {
  /** Answered without an error, or connected. */
  readonly ok: boolean;
  readonly inBytes: number;
  readonly outBytes: number;
  /** HTTP: what the caller got; 0 when no head was sent. */
  readonly status?: number;
}

/** A flow that was judged. The firewall holds it until its end. */
export interface Passage extends PassageEnds {
  /** The one that was asked last. */
  to: Attachment | undefined;
  /** With the address that is dialled, once a name outside has been resolved. */
  flow: Flow;
  /** The newest: a new policy judges what is open again. */
  judgement: Judgement;
  /** The route that its path falls under; empty for a raw connection. */
  readonly route: string;
  /** Since 1970. */
  readonly startedMs: number;
  /** What is under way, to be cut off. Set once there is something. */
  exchange: Deniable | undefined;
  /** A connection that stands, or a request that takes long, on the map. */
  open: OpenEdge | undefined;
  /** What was told of it last. */
  event: NetwallEvent | undefined;
  ended: boolean;
}
