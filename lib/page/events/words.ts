/**
 * What the parts of an event are called, and how each is told in one cell of the table.
 *
 * Most of an event comes from strangers: every text leaves here visible, see `visible`.
 *
 * @module
 */
import type { EventEnd, EventType, NetwallEvent } from "../core/types.ts";
import { visible } from "../core/visible.ts";

export const TYPE_WORDS: Readonly<Record<EventType, string>> = {
  unexpectedConnection: "Unknown connection",
  unexpectedRequest: "Unknown request",
  policyRule: "Rule",
  stagedVerdict: "Staged policy",
  rateLimit: "Rate limit",
  authFailure: "Bad token",
  policyChange: "Policy change",
  modelStable: "Model stable",
  modelSaturated: "Model overfull",
  storeFault: "Store fault",
};

const DEVIATION_WORDS: Readonly<Record<NonNullable<NetwallEvent["deviation"]>["kind"], string>> = {
  edge: "connection",
  route: "route",
  method: "method",
  contentType: "content type",
};

const WOULD: Readonly<Record<NetwallEvent["verdict"], string>> = {
  forwarded: "would forward it",
  audited: "would alert on it",
  dropped: "would refuse it",
};

/** Ids of containers are shown as other tools show them. */
const CONTAINER_ID_CHARS = 12;

/** The container that an event is about: the one that called, else the one that was called. */
export function subjectOf({ source, destination }: NetwallEvent): EventEnd | undefined {
  if (source?.kind === "workload") return source;
  return destination?.kind === "workload" ? destination : undefined;
}

/** The name of a container as its agent claims it, else the beginning of its id; empty when it claims neither. */
export function containerOf(end: EventEnd | undefined): string {
  return visible(end?.claimedContainerName ?? end?.claimedContainerId?.slice(0, CONTAINER_ID_CHARS) ?? "");
}

/** One end in short: a group with its service, a network with the address, a host with its port. */
export function endText(end: EventEnd | undefined): string {
  if (end === undefined) return "";
  const more = end.kind === "network" ? end.ip : end.kind === "workload" ? end.service : undefined;
  return visible(more === undefined || more === "" ? end.name : `${end.name} ${more}`);
}

/** The rule in short: its id, or what decided where none did. */
export function ruleText({ kind, id }: { readonly kind: string; readonly id?: string | undefined }): string {
  return visible(id === undefined || id === "" ? kind : id);
}

/** The request in short, such as `POST /login 403`; empty when there is none. */
export function requestText({ http }: NetwallEvent): string {
  if (http === undefined) return "";
  return visible(`${http.method} ${http.path}${http.status === undefined ? "" : ` ${http.status}`}`);
}

/** Types of which the request says it all: the ends stand beside it. */
const OF_REQUESTS: ReadonlySet<EventType> = new Set([
  ...(["unexpectedConnection", "unexpectedRequest", "policyRule", "stagedVerdict"] as const),
]);

/** What happened, for a row that tells the ends and the rule besides. */
export function whatText(event: NetwallEvent): string {
  if (event.http === undefined || !OF_REQUESTS.has(event.type)) return visible(event.message);
  const { deviation } = event;
  return requestText(event) + (deviation?.kind === "contentType" ? visible(`, ${deviation.observed}`) : "");
}

/** What is not known, such as `Unknown route GET /admin`; empty when all was known. */
export function deviationText({ deviation }: NetwallEvent): string {
  return deviation === undefined
    ? ""
    : visible(`Unknown ${DEVIATION_WORDS[deviation.kind]} ${deviation.observed}`);
}

/** What would happen to it in the mode prevent, or by the staged policy; empty when that is the same. */
export function pendingText({ verdict, pendingVerdict, pendingRule, rule }: NetwallEvent): string {
  if (pendingVerdict === undefined || pendingVerdict === verdict) return "";
  const isOther = pendingRule?.kind === "rule" && pendingRule.id !== rule.id;
  const who = isOther
    ? `the staged rule ${pendingRule.id ?? ""}`
    : verdict === "audited" && pendingVerdict === "dropped"
    ? "the mode prevent"
    : "the staged policy";
  return visible(`${who} ${WOULD[pendingVerdict]}`);
}

/** The cells of a row. */
export interface Cells {
  readonly container: string;
  readonly host: string;
  readonly image: string;
  readonly source: string;
  readonly destination: string;
  readonly rule: string;
  readonly type: string;
  readonly what: string;
  readonly message: string;
}

export function cellsOf(event: NetwallEvent): Cells {
  const subject = subjectOf(event);
  return {
    container: containerOf(subject),
    host: visible(subject?.claimedHostname ?? ""),
    image: visible(subject?.image ?? ""),
    source: endText(event.source),
    destination: endText(event.destination),
    rule: ruleText(event.rule),
    type: TYPE_WORDS[event.type] ?? event.type,
    what: whatText(event),
    message: visible(event.message),
  };
}

/** An id as the command line shows it: without the zeros that make it sort as text. */
export function shortId(id: string): string {
  return id.replace(/^0+(?=.)/, "");
}
