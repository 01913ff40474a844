/**
 * One event as one line for people.
 *
 * ```
 * 2026-11-22T11:24:15Z  alert       3×  shop/front-end → shop/user-db user-db:5432  tcp  by implicit  …
 * ```
 *
 * Most of an event comes from strangers: each text is cut, and nothing of it acts on a terminal or ends the line.
 *
 * @module
 */
import type { EventEnd, NetwallEvent } from "../events/event.ts";
import { printable } from "../printable.ts";

/** The longest name, path or deviation in a line; all of it is in the event itself. */
const TEXT_CHARS_MAX = 200;
/** An id of a container is shown as its tools do. */
const CONTAINER_ID_CHARS = 12;

const GREY = "2";
/** By effect: green, yellow, red. */
const COLORS: Readonly<Record<NetwallEvent["effect"], string>> = {
  allow: "32",
  alert: "33",
  prevent: "1;31",
};
const WOULD: Readonly<Record<NetwallEvent["verdict"], string>> = {
  forwarded: "would be forwarded",
  audited: "would be audited",
  dropped: "would be dropped",
};

/**
 * Renders an event.
 *
 * @param colors Only for a terminal.
 * @returns A line without its end.
 */
export function eventLine(event: NetwallEvent, colors: boolean): string {
  const paint = (code: string, text: string): string => colors ? `\x1b[${code}m${text}\x1b[0m` : text;
  const head = [
    paint(GREY, timeText(event.time)),
    paint(COLORS[event.effect], event.effect.padEnd(7)),
    `${event.count}×`.padStart(6),
  ];
  const { source, destination, pendingVerdict } = event;
  if (source === undefined && destination === undefined) {
    return [...head, event.type, shown(event.message, 2 * TEXT_CHARS_MAX)].join("  ");
  }
  const pending = pendingVerdict === undefined || pendingVerdict === event.verdict
    ? ""
    : WOULD[pendingVerdict];
  const parts = [
    ...head,
    `${endText(source)} → ${endText(destination)}`,
    requestText(event),
    paint(GREY, `by ${ruleText(event)}`),
    event.deviation === undefined ? "" : deviationText(event.deviation),
    // What was seen says all when something deviates; else the message does.
    event.deviation === undefined ? shown(event.message) : "",
    pending === "" ? "" : paint(GREY, `(${pending})`),
  ];
  return parts.filter((part) => part !== "").join("  ");
}

/** To the second, in UTC; a time that is none is shown as it is. */
function timeText(ms: number): string {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? String(ms) : `${date.toISOString().slice(0, 19)}Z`;
}

function endText(end: EventEnd | undefined): string {
  if (end === undefined) return "?";
  const name = shown(end.name);
  if (end.kind === "host") return name;
  if (end.kind === "network") {
    return end.ip === undefined || end.ip === "" ? name : `${name} ${shown(end.ip)}`;
  }
  const port = end.port === undefined ? "" : `:${end.port}`;
  const service = end.service === undefined ? "" : ` ${shown(end.service)}${port}`;
  const { claimedContainerId: id, claimedContainerName: container, claimedHostname: host } = end;
  const claims = [
    ...(container === undefined && id === undefined ? [] : [
      ["container", container, id?.slice(0, CONTAINER_ID_CHARS)].filter((it) => it !== undefined).join(" "),
    ]),
    ...(host === undefined ? [] : [`host ${host}`]),
  ];
  return claims.length === 0 ? `${name}${service}` : `${name}${service} (claims ${shown(claims.join(", "))})`;
}

function requestText({ http, protocol }: NetwallEvent): string {
  if (http === undefined) return protocol ?? "";
  const status = http.status === undefined ? "" : ` ${http.status}`;
  return `${shown(http.method)} ${shown(http.host)}${shown(http.path)}${status}`;
}

function ruleText({ rule }: NetwallEvent): string {
  return rule.id === undefined
    ? rule.kind
    : rule.kind === "rule"
    ? `rule ${shown(rule.id)}`
    : `${rule.kind} ${shown(rule.id)}`;
}

const DEVIATION_WORDS: Readonly<Record<NonNullable<NetwallEvent["deviation"]>["kind"], string>> = {
  edge: "unknown edge",
  route: "unknown route",
  method: "unknown method",
  contentType: "unknown content type",
};

function deviationText({ kind, observed, expected }: NonNullable<NetwallEvent["deviation"]>): string {
  const known = expected === "" ? "" : `, known: ${shown(expected)}`;
  return `${DEVIATION_WORDS[kind]}: ${shown(observed)}${known}`;
}

function shown(text: string, charsMax = TEXT_CHARS_MAX): string {
  return printable(text.length > charsMax ? `${text.slice(0, charsMax)}…` : text);
}
