/**
 * From what the API says to what the map shows: nodes and lines, filtered, and merged where a namespace is collapsed.
 *
 * The same input gives the same output in the same order. Nothing here is drawn.
 *
 * @module
 */
import type { EdgeRecord } from "../core/types.ts";
import type { Alerts } from "./alerts.ts";
import type { WorkloadFacts } from "./facts.ts";
import { DIRECTIONS, type MapFilters } from "./filters.ts";
import {
  LINE_STATES,
  lineOf,
  type LineState,
  type MapLine,
  mergedLine,
  needOf,
  type RawLine,
  targetOf,
  worst,
} from "./line.ts";
import {
  type MapNode,
  namespaceId,
  namespaceNode,
  namespaceOf,
  type OutsideNode,
  workloadId,
} from "./node.ts";
import { rawLines } from "./raw_lines.ts";

/** Of more workloads than this, namespaces start collapsed. */
export const OPEN_WORKLOADS_MAX = 40;
/** Sources, and hosts, that are shown each by itself; the rest are one node. */
export const OUTSIDE_MAX = 16;
/** Lines that are drawn. Of more the worst and newest are, and the map says so. */
export const LINES_MAX = 2_000;

export interface MapInput {
  /** Of `factsByGroup`: they change seldom, edges many times a second. */
  readonly facts: ReadonlyMap<string, WorkloadFacts>;
  readonly edges: Iterable<EdgeRecord>;
  /** Per second, by the id of an edge. */
  readonly rates: ReadonlyMap<string, number>;
  /** Of `alertsOf`. @default none */
  readonly alerts?: Alerts;
  readonly filters: MapFilters;
  readonly nowMs: number;
}

export interface MapModel {
  /** By id. */
  readonly nodes: readonly MapNode[];
  /** By id. */
  readonly lines: readonly MapLine[];
  /** Every edge that the filters leave, each by itself. */
  readonly raw: readonly RawLine[];
  /** The workloads that the filters leave, each by itself, by name. */
  readonly workloads: readonly WorkloadFacts[];
  /** Edges before filtering. */
  readonly total: number;
  /** Lines that are not drawn, as there are too many. */
  readonly cut: number;
  /** Namespaces that could be collapsed. */
  readonly namespaces: readonly string[];
  /** Those that are. */
  readonly collapsed: ReadonlySet<string>;
}

export function mapModel(input: MapInput): MapModel {
  const { filters } = input;
  const facts = new Map(input.facts);
  const all = rawLines(input.edges, facts, input.alerts);
  const scope = scopeOf(all, facts, filters);
  const raw = scope.lines.filter((line) => isWanted(line, filters, input.nowMs));
  const shown = shownNodes(raw, facts, scope, filters);
  const { collapsed, namespaces } = foldOf(shown, scope.ids, filters);
  const stand = standIns(raw, collapsed);
  const { lines, inside, cut } = drawn(raw, stand, input.rates);
  const nodes = nodesOf(shown, facts, collapsed, inside, stand);
  const workloads = [...facts.values()].filter(({ group }) => shown.has(workloadId(group)))
    .sort((a, b) => compare(a.group, b.group));
  return { nodes, lines, raw, workloads, total: all.length, cut, namespaces, collapsed };
}

/** What search and focus leave: lines, and the nodes at their ends or that were asked for by themselves. */
interface Scope {
  readonly lines: readonly RawLine[];
  readonly ids: ReadonlySet<string>;
  /** Those that were asked for by themselves: they are shown without a line too. */
  readonly asked: ReadonlySet<string>;
}

function scopeOf(
  all: readonly RawLine[],
  facts: ReadonlyMap<string, WorkloadFacts>,
  { search, focus }: MapFilters,
): Scope {
  const words = search.toLowerCase().split(/\s+/).filter((word) => word !== "");
  const workloads = [...facts.keys()].map(workloadId);
  if (words.length === 0 && focus === "") {
    const ids = new Set(workloads);
    for (const { from, to } of all) ids.add(from).add(to);
    return { lines: all, ids, asked: new Set() };
  }
  const hasAll = (text: string): boolean => words.every((word) => text.includes(word));
  const textOf = (id: string): string => facts.get(id.slice("group:".length))?.text ?? id.toLowerCase();
  const isFocus = (id: string): boolean =>
    id === focus || (focus.startsWith("ns:") && namespaceId(namespaceOf(id) ?? "\0") === focus);
  const lines = all.filter(({ record, from, to }) => {
    if (focus !== "" && !isFocus(from) && !isFocus(to)) return false;
    return words.length === 0 ||
      hasAll(`${textOf(from)}\n${textOf(to)}\n${targetOf(record)}\n${record.lastRule}`.toLowerCase());
  });
  const asked = new Set(workloads.filter((id) => focus === "" ? hasAll(textOf(id)) : isFocus(id)));
  return { lines, ids: new Set([...lines.flatMap(({ from, to }) => [from, to]), ...asked]), asked };
}

function isWanted({ record, state }: RawLine, filters: MapFilters, nowMs: number): boolean {
  const { directions, states, quietMinutes } = filters;
  return directions.has(record.direction) && states.has(state) &&
    (quietMinutes === 0 || nowMs - record.lastSeenMs <= quietMinutes * 60_000);
}

/** Ids of what is shown. What is outside is shown for its lines; a workload also without one, unless they are filtered. */
function shownNodes(
  raw: readonly RawLine[],
  facts: ReadonlyMap<string, WorkloadFacts>,
  scope: Scope,
  filters: MapFilters,
): ReadonlySet<string> {
  const shown = new Set(scope.asked);
  for (const { from, to } of raw) shown.add(from).add(to);
  const areLinesFiltered = filters.quietMinutes > 0 || filters.directions.size < DIRECTIONS.length ||
    filters.states.size < LINE_STATES.length;
  if (areLinesFiltered) return shown;
  for (const group of facts.keys()) {
    const id = workloadId(group);
    if (scope.ids.has(id)) shown.add(id);
  }
  return shown;
}

/** Only what the user chose decides whether namespaces start collapsed: the map must not fold by itself as traffic comes. */
function foldOf(
  shown: ReadonlySet<string>,
  scope: ReadonlySet<string>,
  { fold, opened, shut }: MapFilters,
): { collapsed: Set<string>; namespaces: string[] } {
  const workloads = [...scope].filter((id) => namespaceOf(id) !== undefined).length;
  const isShut = fold === "all" || (fold === "auto" && workloads > OPEN_WORKLOADS_MAX);
  const namespaces = [...new Set([...shown].flatMap((id) => namespaceOf(id) ?? []))].sort();
  const collapsed = namespaces.filter((name) => shut.has(name) || (isShut && !opened.has(name)));
  return { collapsed: new Set(collapsed), namespaces };
}

/** By the id of a node, the id of the one that stands for it; and who the rest outside is. */
interface StandIns {
  readonly of: (id: string) => string;
  readonly rests: readonly OutsideNode[];
}

const REST = "*rest*";

function standIns(raw: readonly RawLine[], collapsed: ReadonlySet<string>): StandIns {
  const rests: OutsideNode[] = [];
  const instead = new Map<string, string>();
  for (const kind of ["source", "host"] as const) {
    const prefix = kind === "source" ? "from:" : "host:";
    const rest = beyond(raw, prefix);
    if (rest.length === 0) continue;
    const id = `${prefix}${REST}`;
    for (const member of rest) instead.set(member, id);
    const names = rest.map((member) => member.slice(prefix.length));
    rests.push({ kind, id, name: `${names.length} more ${kind}s`, names });
  }
  const of = (id: string): string => {
    const namespace = namespaceOf(id);
    if (namespace !== undefined) return collapsed.has(namespace) ? namespaceId(namespace) : id;
    return instead.get(id) ?? id;
  };
  return { of, rests };
}

/** What is outside and has no place: those with the worst lines have, then those whose name comes first. */
function beyond(raw: readonly RawLine[], prefix: string): string[] {
  const rank = new Map<string, number>();
  for (const { from, to, state } of raw) {
    const id = prefix === "from:" ? from : to;
    if (!id.startsWith(prefix)) continue;
    rank.set(id, Math.min(rank.get(id) ?? LINE_STATES.length, LINE_STATES.indexOf(state)));
  }
  if (rank.size <= OUTSIDE_MAX) return [];
  const sorted = [...rank.keys()].sort((a, b) => rank.get(a)! - rank.get(b)! || compare(a, b));
  // The rest takes the last place.
  return sorted.slice(OUTSIDE_MAX - 1);
}

/** What goes on within a collapsed namespace, by the id of its node. */
type Inside = ReadonlyMap<string, readonly LineState[]>;

function drawn(
  raw: readonly RawLine[],
  stand: StandIns,
  rates: ReadonlyMap<string, number>,
): { lines: MapLine[]; inside: Inside; cut: number } {
  const lines: MapLine[] = [];
  const merged = new Map<string, MapLine[]>();
  const inside = new Map<string, LineState[]>();
  for (const line of raw) {
    const [from, to] = [stand.of(line.from), stand.of(line.to)];
    const one = lineOf({ ...line, from, to }, rates.get(line.record.id) ?? 0);
    if (from === line.from && to === line.to) lines.push(one);
    else if (from === to) addTo(inside, from, line.state);
    else addTo(merged, `${from}|${to}|${one.direction}`, one);
  }
  for (const [id, of] of merged) lines.push(mergedLine(id, of));
  const cut = Math.max(0, lines.length - LINES_MAX);
  if (cut > 0) {
    lines.sort((a, b) => needOf(a) - needOf(b) || b.lastSeenMs - a.lastSeenMs || compare(a.id, b.id));
    lines.length = LINES_MAX;
  }
  return { lines: lines.sort((a, b) => compare(a.id, b.id)), inside, cut };
}

function nodesOf(
  shown: ReadonlySet<string>,
  facts: ReadonlyMap<string, WorkloadFacts>,
  collapsed: ReadonlySet<string>,
  inside: Inside,
  stand: StandIns,
): MapNode[] {
  const nodes: MapNode[] = [...stand.rests];
  const members = new Map<string, WorkloadFacts[]>();
  for (const id of shown) {
    const namespace = namespaceOf(id);
    const own = namespace === undefined ? undefined : facts.get(id.slice("group:".length));
    if (namespace === undefined) {
      if (stand.of(id) === id) nodes.push(outsideNode(id));
    } else if (own !== undefined) {
      if (collapsed.has(namespace)) addTo(members, namespace, own);
      else nodes.push({ kind: "workload", id, namespace, facts: own });
    }
  }
  for (const [namespace, own] of members) {
    const states = inside.get(namespaceId(namespace)) ?? [];
    nodes.push(namespaceNode(namespace, own, worst(states), states.length));
  }
  return nodes.sort((a, b) => compare(a.id, b.id));
}

function outsideNode(id: string): OutsideNode {
  const name = id.slice(5);
  return { kind: id.startsWith("from:") ? "source" : "host", id, name, names: [name] };
}

function addTo<T>(map: Map<string, T[]>, key: string, value: T): void {
  const values = map.get(key);
  if (values === undefined) map.set(key, [value]);
  else values.push(value);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
