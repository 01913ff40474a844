/**
 * What the firewall counts, for the metrics.
 *
 * @module
 */
import type { EventType, NetwallEvent } from "../events/event.ts";
import type { EventSink } from "../events/sinks/sink.ts";
import type { FirewallTotals } from "../metrics/gateway_metrics.ts";
import type { EdgeBook } from "../policy/edge_book.ts";
import type { StoreWriter } from "../store/store_writer.ts";
import type { Firewall } from "./firewall.ts";
import type { GatewayControl } from "./firewall_control.ts";

/** Events by type and effect: a merged one counts as often as it happened. */
export class EventCounts {
  readonly #counts = new Map<EventType, Map<string, number>>();
  /** What was counted of an event that may still grow; bounded by those that may. */
  readonly #last = new Map<string, number>();

  /** An event was written, new or grown. */
  add({ id, type, effect, count }: NetwallEvent): void {
    const grown = count - (this.#last.get(id) ?? 0);
    // The oldest makes room: by then it no longer grows.
    this.#last.delete(id);
    this.#last.set(id, count);
    if (this.#last.size > GROWING_MAX) this.#last.delete(this.#last.keys().next().value!);
    const ofType = this.#counts.get(type) ?? new Map<string, number>();
    ofType.set(effect, (ofType.get(effect) ?? 0) + grown);
    this.#counts.set(type, ofType);
  }

  list(): FirewallTotals["events"] {
    return [...this.#counts].flatMap(([type, ofType]) =>
      [...ofType].map(([effect, value]) => ({ type, effect, value }))
    );
  }
}

/** More than may grow at a time, see lib/events/event_log.ts. */
const GROWING_MAX = 16_384;

export interface TotalsParts {
  readonly firewall: Firewall;
  readonly control: GatewayControl;
  readonly writer: StoreWriter;
  readonly counts: EventCounts;
  readonly sinks: readonly EventSink[];
  readonly edges: EdgeBook;
}

export function totalsOf({ firewall, control, writer, counts, sinks, edges }: TotalsParts): FirewallTotals {
  const states = new Map<string, number>();
  for (const { learning } of control.groups()) {
    // A silent direction has no model.
    for (const model of learning) {
      if (model.edges > 0) states.set(model.state, (states.get(model.state) ?? 0) + 1);
    }
  }
  return {
    verdicts: firewall.verdicts(),
    events: counts.list(),
    unrecorded: [
      ...Object.entries(writer.unrecorded).map(([kind, value]) => ({ kind, value })),
      ...sinks.map(({ name, dropped }) => ({ kind: `sink ${name}`, value: dropped })),
    ],
    storeUp: writer.fault === undefined ? 1 : 0,
    policyVersion: firewall.policy.version,
    models: [...states].map(([state, value]) => ({ state, value })),
    edges: edges.size,
  };
}
