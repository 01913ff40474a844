/**
 * All that an event says, in groups, each value with the filter that finds others like it.
 *
 * @module
 */
import { moment, plural } from "../core/format.ts";
import type { EdgeRecord, EventEnd, NetwallEvent } from "../core/types.ts";
import { visible } from "../core/visible.ts";
import type { FilterName } from "./filters.ts";
import { deviationText, pendingText, ruleText, TYPE_WORDS } from "./words.ts";

export interface EventFact {
  readonly words: string;
  /** Visible. */
  readonly value: string;
  /** As it is compared; without one there is no filter. */
  readonly filter?: { readonly name: FilterName; readonly value: string };
  /** The agent that it names, which is found under Links. */
  readonly agent?: string;
}

export interface FactSection {
  readonly title: string;
  readonly facts: readonly EventFact[];
}

/** Sections that have something to say. */
export function sectionsOf(event: NetwallEvent): FactSection[] {
  const sections: FactSection[] = [
    { title: "What", facts: whatOf(event) },
    { title: "Source", facts: endOf(event.source, "source") },
    { title: "Destination", facts: endOf(event.destination, "destination") },
    { title: "Request", facts: requestOf(event) },
    { title: "Rule", facts: ruleOf(event) },
    { title: "Deviation", facts: deviationOf(event) },
  ];
  return sections.filter(({ facts }) => facts.length > 0);
}

/** The edge that an event is of, when it is known. */
export function edgeOfEvent(event: NetwallEvent, edges: Iterable<EdgeRecord>): EdgeRecord | undefined {
  const { direction, protocol, source, destination } = event;
  if (source === undefined || destination === undefined) return undefined;
  for (const edge of edges) {
    if (edge.direction !== direction || edge.protocol !== protocol || edge.source !== source.name) continue;
    const isThere = destination.kind === "host"
      ? edge.destination === "" && edge.host === destination.host && edge.port === destination.port
      : edge.destination === destination.name && edge.service === destination.service;
    if (isThere) return edge;
  }
  return undefined;
}

/** A fact, or nothing when there is no value. */
function fact(words: string, value: string | number | undefined, name?: FilterName): EventFact[] {
  if (value === undefined || value === "") return [];
  const text = String(value);
  return [{ words, value: visible(text), ...(name === undefined ? {} : { filter: { name, value: text } }) }];
}

function whatOf(event: NetwallEvent): EventFact[] {
  const times = event.count === 1 ? "" : `, ${plural(event.count, "time")} since ${moment(event.firstTime)}`;
  return [
    ...fact("Time", `${moment(event.time)}${times}`),
    {
      words: "Type",
      value: TYPE_WORDS[event.type] ?? event.type,
      filter: { name: "type", value: event.type },
    },
    ...fact("Severity", event.severity, "severity"),
    ...fact("Effect", event.effect, "effect"),
    ...fact("Verdict", event.verdict, "verdict"),
    ...fact("Mode in force", event.mode),
    ...fact("Direction", event.direction, "direction"),
    ...fact("Protocol", event.protocol),
  ];
}

function endOf(end: EventEnd | undefined, name: "source" | "destination"): EventFact[] {
  if (end === undefined) return [];
  const kind = { workload: "Group", network: "Network", host: "Host and port" }[end.kind];
  return [
    ...fact(kind, end.name, name),
    ...fact("Address", end.ip),
    ...fact("Service", end.service, "service"),
    ...fact("Namespace", end.namespace, "namespace"),
    ...fact("Image", end.image, "image"),
    ...fact("Agent", end.agent).map((each) => ({ ...each, agent: end.agent! })),
    ...fact(end.kind === "workload" ? "Port (claimed)" : "Port", end.kind === "host" ? undefined : end.port),
    ...fact("Container (claimed)", end.claimedContainerName, "host"),
    ...fact("Container id (claimed)", end.claimedContainerId, "host"),
    ...fact("Hostname (claimed)", end.claimedHostname, "host"),
  ];
}

function requestOf({ http, count }: NetwallEvent): EventFact[] {
  if (http === undefined) return [];
  return [
    ...(count > 1 ? [{ words: "Which", value: "the last one" }] : []),
    ...fact("Method", http.method),
    ...fact("Host", http.host),
    ...fact("Path", http.path, "q"),
    ...fact("Route", http.route),
    ...fact("Status", http.status),
    ...fact("Content type", http.contentType),
    ...fact("User agent", http.userAgent),
    ...fact("Request id", http.requestId),
  ];
}

function ruleOf(event: NetwallEvent): EventFact[] {
  const { rule, policyVersion } = event;
  const place = rule.index === undefined ? "" : `, number ${rule.index + 1}`;
  const pending = pendingText(event);
  return [
    ...fact("By", `${ruleText(rule)}${rule.kind === ruleText(rule) ? "" : ` (${rule.kind}${place})`}`),
    ...fact("Pending verdict", pending === "" ? event.pendingVerdict && "the same" : pending),
    ...fact("Policy version", policyVersion),
  ];
}

function deviationOf(event: NetwallEvent): EventFact[] {
  const { deviation } = event;
  if (deviation === undefined) return [];
  return [
    ...fact("Observed", deviationText(event)),
    ...fact("Expected", deviation.expected === "" ? "nothing of the kind is known" : deviation.expected),
  ];
}
