/**
 * What the panel says of an edge, and what of the model and of the events belongs to it.
 *
 * @module
 */
import type { EdgeRecord, ModelEdge } from "../core/types.ts";
import { visible } from "../core/visible.ts";

/** Each state with what it means. */
export const STATE_WORDS: Readonly<Record<EdgeRecord["state"], string>> = {
  learned: "it is in the learned model",
  manual: "a rule of the policy allows it",
  unknown: "let through, but neither learned nor allowed by a rule",
  blocked: "the newest was dropped",
};

/** What stands in the place of a rule when none decided. */
const DEFAULT_RULES: Readonly<Record<string, string>> = {
  learned: "the learned model",
  learning: "the mode learn: it lets all pass, and remembers",
  implicit: "the mode: no rule and no model knows it",
  closed: "nothing: no policy was loaded",
};

/** What decided when no rule did, in words; `undefined` when it was a rule. */
export function defaultRuleWords(rule: string): string | undefined {
  if (rule === "") return "nothing yet";
  return Object.hasOwn(DEFAULT_RULES, rule) ? DEFAULT_RULES[rule] : undefined;
}

/** Where an edge goes to, in full. */
export function destinationText({ destination, service, host, port }: EdgeRecord): string {
  return visible(destination === "" ? hostText(host, port) : `${destination} ${service}`);
}

/** Where an edge goes to, in short: the service, or host and port. */
export function targetText({ service, host, port }: EdgeRecord): string {
  return visible(service === "" ? hostText(host, port) : service);
}

/** The filters that find the events of an edge, and of others between the same two ends. */
export function eventFiltersOf(edge: EdgeRecord): Record<string, string> {
  const { direction, source, destination, service, host, port } = edge;
  return destination === ""
    ? { direction, source, destination: hostText(host, port) }
    : { direction, source, destination, service };
}

/** The edge of the model that is this one; `undefined` when it was not learned. */
export function modelEdgeOf(edge: EdgeRecord, model: readonly ModelEdge[]): ModelEdge | undefined {
  return model.find((each) =>
    each.direction === edge.direction && each.protocol === edge.protocol && each.source === edge.source &&
    (edge.destination === ""
      ? each.host === edge.host && each.port === edge.port
      : each.destination === edge.destination && each.service === edge.service)
  );
}

/** The group whose model an edge is in: the one that is called, or that calls outside. */
export function modelGroupOf(edge: EdgeRecord): string {
  return edge.destination === "" ? edge.source : edge.destination;
}

/** An operation of the model in its parts: `GET /users/{int}` or `POST /users application/json`. */
export interface Operation {
  readonly method: string;
  readonly path: string;
  readonly contentType: string;
}

/** Sorted by path, so that what belongs together stands together. */
export function operationsOf(edge: ModelEdge): Operation[] {
  return (edge.operations ?? []).map((text) => {
    const [method = "", path = "", ...rest] = text.split(" ");
    return { method: visible(method), path: visible(path), contentType: visible(rest.join(" ")) };
  }).sort((a, b) =>
    compare(a.path, b.path) || compare(a.method, b.method) || compare(a.contentType, b.contentType)
  );
}

/** The edges of a group, those that want an eye first. */
export interface GroupEdges {
  readonly incoming: readonly EdgeRecord[];
  readonly outgoing: readonly EdgeRecord[];
}

export function edgesOfGroup(group: string, edges: Iterable<EdgeRecord>): GroupEdges {
  const all = [...edges].sort(byNeed);
  return {
    incoming: all.filter(({ destination }) => destination === group),
    outgoing: all.filter(({ source }) => source === group),
  };
}

const NEED: Readonly<Record<EdgeRecord["state"], number>> = { blocked: 0, unknown: 1, manual: 2, learned: 3 };

function byNeed(a: EdgeRecord, b: EdgeRecord): number {
  return NEED[a.state] - NEED[b.state] || b.count - a.count || compare(a.id, b.id);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** As events write it. */
function hostText(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
