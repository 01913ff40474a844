/**
 * What the API says, with the ids that the map uses: workloads by their groups, and edges with the nodes they join.
 *
 * @module
 */
import type { EdgeRecord, GroupView, Link } from "../core/types.ts";
import { alertKey, type Alerts, NO_ALERTS } from "./alerts.ts";
import { factsOf, type WorkloadFacts } from "./facts.ts";
import { type RawLine, stateOf } from "./line.ts";
import { hostId, sourceId, workloadId } from "./node.ts";

/** What is known of each group, by its id. */
export function factsByGroup(
  groups: readonly GroupView[],
  links: readonly Link[],
): ReadonlyMap<string, WorkloadFacts> {
  const linksOf = Map.groupBy(links, ({ group }) => group);
  const facts = new Map(groups.map((view) => [view.id, factsOf(view.id, view, linksOf.get(view.id) ?? [])]));
  for (const [group, own] of linksOf) {
    if (!facts.has(group)) facts.set(group, factsOf(group, undefined, own));
  }
  return facts;
}

/**
 * Edges with their nodes and states.
 *
 * @param facts A group that no agent of was seen since the gateway started is known by its edges alone: it is added.
 */
export function rawLines(
  edges: Iterable<EdgeRecord>,
  facts: Map<string, WorkloadFacts>,
  alerts: Alerts = NO_ALERTS,
): RawLine[] {
  const isOpen = (group: string): boolean => facts.get(group)?.wall === "broken";
  const source = oncePerName(sourceId);
  const host = oncePerName(hostId);
  const workload = oncePerName((group) => {
    if (!facts.has(group)) facts.set(group, factsOf(group, undefined, []));
    return workloadId(group);
  });
  return Array.from(edges, (record) => ({
    record,
    from: record.direction === "north-south" ? source(record.source) : workload(record.source),
    to: record.destination === "" ? host(record.host) : workload(record.destination),
    state: stateOf(record, isOpen),
    alerts: alerts.size === 0 ? 0 : alerts.get(alertKey(record)) ?? 0,
  }));
}

/** The same text for the same name: it is made, and hashed, once for all edges. */
function oncePerName(make: (name: string) => string): (name: string) => string {
  const made = new Map<string, string>();
  return (name) => {
    const known = made.get(name);
    if (known !== undefined) return known;
    const id = make(name);
    made.set(name, id);
    return id;
  };
}
