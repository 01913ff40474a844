/**
 * What tells two events apart, how much of it is looked at, and whose they are.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { EVENT_TEXT_CHARS_MAX, type EventEnd, type NetwallEvent, type Noticed } from "./event.ts";

/** Longer keys are hashed. */
const KEY_CHARS_MAX = 768;

/** How much of what tells two events apart is looked at. */
export type Grain = "fine" | "source" | "group";

/** Whether somebody outside made it: whoever is, has as many addresses as it pays for. */
export function isVisitor({ source }: Noticed): boolean {
  return source?.kind === "network";
}

/**
 * Whose share of the table it takes: of a visitor or of a token. What a container claims to be is not in it, nor the
 * half of an IPv6 address that its host chooses: with either of them one source would be any number.
 */
export function sourceOf({ source }: Noticed): string {
  return digest([source?.name, source?.agent, source?.ip === undefined ? undefined : networkOf(source.ip)]);
}

/** The first 64 bits of an IPv6 address in canonical text; any other text as it is. Source: RFC 4291 §2.5.4. */
function networkOf(ip: string): string {
  const [head = "", tail] = ip.split("::");
  if (!ip.includes(":") || ip.includes(".")) return ip;
  const groups = head === "" ? [] : head.split(":");
  const after = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = Array<string>(Math.max(0, 8 - groups.length - after.length)).fill("0");
  return [...groups, ...zeros, ...after].slice(0, 4).join(":");
}

/** What must be equal for two to be one. Of the request: not its id, path, user agent and status. */
export function keyOf(noticed: Noticed, grain: Grain): string {
  const { type, effect, verdict, rule, direction, protocol, source, destination, http, deviation } = noticed;
  const base = [grain, type, effect, verdict, rule.kind, rule.id, direction, protocol];
  const towards = [destination?.kind, destination?.kind === "workload" ? destination.name : ""];
  if (grain !== "fine") {
    const service = destination?.kind === "workload" ? destination.service : "";
    return digest([...base, grain === "source" ? sourceOf(noticed) : source?.name, ...towards, service]);
  }
  return digest([
    ...base,
    noticed.pendingVerdict,
    noticed.pendingRule?.kind,
    noticed.pendingRule?.id,
    // The port of whoever calls is another one each time.
    endKey({ ...source, port: undefined }),
    endKey(destination),
    http === undefined ? "" : [http.method, http.host, http.route, http.contentType],
    deviation === undefined ? "" : [deviation.kind, deviation.observed],
    // Without an end or a request the message is all that there is to tell them apart by.
    source === undefined && destination === undefined && http === undefined ? noticed.message : "",
  ]);
}

function endKey(end: { [field in keyof EventEnd]?: EventEnd[field] | undefined } | undefined): unknown[] {
  return [
    end?.kind,
    end?.name,
    end?.namespace,
    end?.image,
    end?.agent,
    end?.service,
    end?.ip,
    end?.host,
    end?.port,
    end?.claimedContainerId,
    end?.claimedContainerName,
    end?.claimedHostname,
  ];
}

/** Without what is no longer the same in all that are one. What is said of the request is of the last one. */
export function coarsened(noticed: Noticed, grain: Grain): Noticed {
  const { deviation: _deviation, source, destination, ...rest } = noticed;
  const from = source === undefined || grain === "source" ? source : {
    kind: source.kind,
    name: source.name,
    ...(source.namespace === undefined ? {} : { namespace: source.namespace }),
    ...(source.image === undefined ? {} : { image: source.image }),
  };
  const to = destination === undefined || destination.kind === "workload"
    ? destination
    : { kind: destination.kind, name: "*" };
  const message = cut(`Many that differ in detail, the last: ${noticed.message}`);
  return {
    ...rest,
    message,
    ...(from === undefined ? {} : { source: from }),
    ...(to === undefined ? {} : { destination: to }),
  };
}

/** Keys are kept by the thousand, and a stranger can make each of them long. A hash costs more than a text to look up. */
function digest(parts: readonly unknown[]): string {
  const text = JSON.stringify(parts);
  return text.length <= KEY_CHARS_MAX ? text : createHash("sha256").update(text).digest("base64url");
}

/** In which no text is too long: a copy, if one is. */
export function fitted<T>(value: T): T {
  return isFitting(value) ? value : cutAll(value);
}

function isFitting(value: unknown): boolean {
  if (typeof value === "string") return value.length <= EVENT_TEXT_CHARS_MAX;
  if (typeof value !== "object" || value === null) return true;
  for (const name in value) if (!isFitting((value as Record<string, unknown>)[name])) return false;
  return true;
}

function cutAll<T>(value: T): T {
  if (typeof value === "string") return cut(value) as T;
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, cutAll(inner)])) as T;
}

/** A copy whose texts are not cut out of request heads: these would stay in memory for as long. See lib/own_copy.ts. */
export function ownEvent(event: NetwallEvent): NetwallEvent {
  return JSON.parse(JSON.stringify(event)) as NetwallEvent;
}

/** Half a character at the end would be no text any more. */
function cut(text: string): string {
  return text.length <= EVENT_TEXT_CHARS_MAX
    ? text
    : text.slice(0, EVENT_TEXT_CHARS_MAX).replace(/[\ud800-\udbff]$/, "");
}
