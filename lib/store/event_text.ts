/**
 * Looking for events by a text in them, and by the machine that an end claims to be.
 *
 * Letters of ASCII are the same in either case, all other signs are compared as they are. Every store finds the same:
 * whatever it does to look at fewer events, these functions decide.
 *
 * @module
 */
import type { EventEnd, NetwallEvent } from "../events/event.ts";

/** Of a container's id so much is enough: it is what tools show. */
const CONTAINER_ID_CHARS_MIN = 12;

/** What a text is looked for in, one after the other. */
const WORDS: readonly ((event: NetwallEvent) => string | undefined)[] = [
  ({ message }) => message,
  ({ http }) => http?.path,
  ({ http }) => http?.host,
  ({ http }) => http?.requestId,
  ({ rule }) => rule.id,
  ...(["source", "destination"] as const).flatMap((end) =>
    ([
      "name",
      "agent",
      "image",
      "service",
      "ip",
      "host",
      "claimedContainerId",
      "claimedContainerName",
      "claimedHostname",
    ] as const).map((field) => (event: NetwallEvent): string | undefined => event[end]?.[field])
  ),
];

/** Whether a text is in the message, the path, or one of the names of an event. */
export function holdsText(event: NetwallEvent, text: string): boolean {
  const wanted = folded(text);
  return WORDS.some((word) => {
    const value = word(event);
    return value !== undefined && folded(value).includes(wanted);
  });
}

/** Whether either end claims to be this machine: by its hostname, or the name or the id of its container. */
export function isOnHost({ source, destination }: NetwallEvent, host: string): boolean {
  const wanted = folded(host);
  return claims(source, wanted) || claims(destination, wanted);
}

function claims(end: EventEnd | undefined, wanted: string): boolean {
  if (end === undefined) return false;
  const { claimedContainerId: id, claimedContainerName: name, claimedHostname: hostname } = end;
  if (id !== undefined && wanted.length >= CONTAINER_ID_CHARS_MIN && folded(id).startsWith(wanted)) {
    return true;
  }
  return [id, name, hostname].some((value) => value !== undefined && folded(value) === wanted);
}

/**
 * A part of a text that stands as it is, but for the case of its letters, in the JSON of every event that holds the
 * text: a store that does not find it there need not look any further. Empty when there is none.
 */
export function sureRun(text: string): string {
  // JSON may write any other sign in another way.
  const runs = folded(text).split(/[^\x20-\x7e]|["\\]/);
  return runs.reduce((longest, run) => run.length > longest.length ? run : longest, "");
}

function folded(text: string): string {
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}
