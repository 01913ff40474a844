/**
 * One event as one line for people.
 *
 * ```
 * 2026-11-22T11:24:15Z  1a    alert     3×  shop/front-end → shop/redis user-db:5432  tcp  unknown, prevent would refuse it
 * ```
 *
 * Most of an event comes from strangers: each text is cut, and nothing of it acts on a terminal or ends the line.
 *
 * @module
 */
import type { EventEnd, EventType, NetwallEvent } from "../events/event.ts";
import { printable } from "../printable.ts";
import { shortEventId } from "./event_id.ts";

/** The longest name, path or deviation in a line; all of it is in the event itself. */
const TEXT_CHARS_MAX = 64;
/** The same when all of a line was asked for, and of a message that is alone. */
const LONG_CHARS_MAX = 400;
/** An id of a container is shown as its tools do. */
const CONTAINER_ID_CHARS = 12;
const ID_COLUMNS = 4;
const COUNT_COLUMNS = 4;

const GREY = "2";
type Did = NetwallEvent["effect"] | "staged";
/** By what was done: green, yellow, red, blue. */
const COLORS: Readonly<Record<Did, string>> = {
  allow: "32",
  alert: "33",
  prevent: "1;31",
  staged: "34",
};

/** Events of which the message says all, with their type in words. */
const NOTES: Readonly<Partial<Record<EventType, string>>> = {
  authFailure: "bad token",
  policyChange: "policy changed",
  modelStable: "model stable",
  modelSaturated: "model overfull",
  storeFault: "store fault",
};
const NOTE_COLORS: Readonly<Partial<Record<EventType, string>>> = { authFailure: "33", storeFault: "1;31" };

export interface LineOptions {
  /** Only for a terminal. */
  readonly colors: boolean;
  /** With what agents claim, what is known instead, the rule and the message. */
  readonly long: boolean;
}

/**
 * Renders an event.
 *
 * @returns A line without its end.
 */
export function eventLine(event: NetwallEvent, { colors, long }: LineOptions): string {
  const paint = (code: string, text: string): string => colors ? `\x1b[${code}m${text}\x1b[0m` : text;
  const shown = (text: string): string => cut(text, long ? LONG_CHARS_MAX : TEXT_CHARS_MAX);
  const id = shortEventId(event.id);
  const head = [paint(GREY, timeText(event.time)), cut(id, TEXT_CHARS_MAX).padEnd(ID_COLUMNS)];
  const { source, destination } = event;
  const note = NOTES[event.type];
  if (note !== undefined || source === undefined && destination === undefined) {
    const times = event.count === 1 ? "" : `${event.count}×`;
    const words = paint(NOTE_COLORS[event.type] ?? GREY, note ?? event.type);
    return [...head, words, times, cut(event.message, LONG_CHARS_MAX)].filter((it) => it !== "").join("  ");
  }
  const did = didOf(event);
  const parts = [
    ...head,
    paint(COLORS[did], did.padEnd("prevent".length)),
    `${event.count}×`.padStart(COUNT_COLUMNS),
    `${endText(source, shown, long)} → ${endText(destination, shown, long)}`,
    requestText(event, shown, long),
    [whyText(event, shown, long), pendingText(event, shown)].filter((it) => it !== "").join(", "),
    long ? paint(GREY, `by ${ruleText(event.rule, shown)}: ${shown(event.message)}`) : "",
  ];
  return parts.filter((part) => part !== "").join("  ");
}

/** What the staged policy alone has something to say about is told as its doing. */
function didOf({ effect, verdict, pendingVerdict }: NetwallEvent): Did {
  const isStaged = effect === "allow" && verdict === "forwarded" && pendingVerdict !== undefined &&
    pendingVerdict !== "forwarded";
  return isStaged ? "staged" : effect;
}

type Shown = (text: string) => string;

/** To the second, in UTC; a time that is none is shown as it is. */
function timeText(ms: number): string {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? String(ms) : `${date.toISOString().slice(0, 19)}Z`;
}

function endText(end: EventEnd | undefined, shown: Shown, long: boolean): string {
  if (end === undefined) return "?";
  const name = shown(end.name);
  if (end.kind === "host") return name;
  if (end.kind === "network") {
    return end.ip === undefined || end.ip === "" ? name : `${name} ${shown(end.ip)}`;
  }
  const port = end.port === undefined ? "" : `:${end.port}`;
  const place = `${name}${end.service === undefined ? "" : ` ${shown(end.service)}${port}`}`;
  const claims = long ? claimsOf(end) : [];
  return claims.length === 0 ? place : `${place} (claims ${shown(claims.join(", "))})`;
}

function claimsOf(end: EventEnd): string[] {
  const { claimedContainerId: id, claimedContainerName: container, claimedHostname: host } = end;
  return [
    ...(container === undefined && id === undefined ? [] : [
      ["container", container, id?.slice(0, CONTAINER_ID_CHARS)].filter((it) => it !== undefined).join(" "),
    ]),
    ...(host === undefined ? [] : [`host ${host}`]),
  ];
}

/** The host is most often that of the service. */
function requestText({ http, protocol }: NetwallEvent, shown: Shown, long: boolean): string {
  if (http === undefined) return protocol ?? "";
  const status = http.status === undefined ? "" : ` ${http.status}`;
  return `${shown(http.method)} ${shown(long ? `${http.host}${http.path}` : http.path)}${status}`;
}

function ruleText({ kind, id }: { kind: string; id?: string | undefined }, shown: Shown): string {
  return id === undefined ? shown(kind) : `${shown(kind)} ${shown(id)}`;
}

const DEVIATION_WORDS: Readonly<Record<NonNullable<NetwallEvent["deviation"]>["kind"], string>> = {
  edge: "unknown",
  route: "unknown route",
  method: "unknown method",
  contentType: "unknown content type",
};

/** What is not known; without a deviation, the rule that it is by. */
function whyText({ rule, deviation, type }: NetwallEvent, shown: Shown, long: boolean): string {
  if (type === "stagedVerdict") return "";
  // At the end of a long line the rule stands beside the message.
  if (deviation === undefined) return long ? "" : `by ${ruleText(rule, shown)}`;
  const { kind, observed, expected } = deviation;
  const words = DEVIATION_WORDS[kind];
  // Both ends, the method and the path stand in the line already.
  if (!long) return kind === "contentType" ? `${words} ${shown(observed)}` : words;
  return `${words} ${shown(observed)}${expected === "" ? "" : `, known: ${shown(expected)}`}`;
}

const WOULD: Readonly<Record<NetwallEvent["verdict"], string>> = {
  forwarded: "would forward it",
  audited: "would alert on it",
  dropped: "would refuse it",
};

/** What would happen in the mode prevent, or by the staged policy. */
function pendingText(event: NetwallEvent, shown: Shown): string {
  const { verdict, pendingVerdict, pendingRule, rule } = event;
  if (pendingVerdict === undefined || pendingVerdict === verdict) return "";
  const isOther = pendingRule !== undefined && pendingRule.kind === "rule" && pendingRule.id !== rule.id;
  const who = isOther
    ? `the staged rule ${shown(pendingRule.id ?? "")}`
    : verdict === "audited" && pendingVerdict === "dropped"
    ? "prevent"
    : "the staged policy";
  return `${who} ${WOULD[pendingVerdict]}`;
}

function cut(text: string, charsMax: number): string {
  return printable(text.length > charsMax ? `${text.slice(0, charsMax)}…` : text);
}
