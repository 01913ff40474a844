/**
 * How many alerts and refusals came since the user last looked at the events.
 *
 * It is kept in the page alone: a page that is opened anew begins with nothing unseen.
 *
 * @module
 */
import { count, plural } from "../core/format.ts";
import type { NetwallEvent } from "../core/types.ts";

/** More are not counted out. */
export const UNSEEN_SHOWN_MAX = 99;

/** Events by their id. */
export type EventsById = ReadonlyMap<string, NetwallEvent>;

/**
 * Alerts and refusals that are new, or came again, since.
 *
 * An event that grows has another `seq`. That it is greater says nothing: a gateway with another store counts anew.
 *
 * @param seen What there was when the user last looked.
 */
export function unseenOf(events: EventsById, seen: EventsById): number {
  if (events === seen) return 0;
  let unseen = 0;
  for (const { id, seq, effect } of events.values()) {
    if (effect !== "allow" && seen.get(id)?.seq !== seq) unseen += 1;
  }
  return unseen;
}

/** As it stands beside a name: `3`, `99+`. */
export function unseenText(unseen: number): string {
  return unseen > UNSEEN_SHOWN_MAX ? `${UNSEEN_SHOWN_MAX}+` : count(unseen);
}

/** The same in words, such as `3 new alerts`. */
export function unseenWords(unseen: number): string {
  return unseen > UNSEEN_SHOWN_MAX ? `more than ${UNSEEN_SHOWN_MAX} new alerts` : plural(unseen, "new alert");
}

/** The title of the page, for who has it in a tab in the background. */
export function titleOf(view: string, unseen: number): string {
  return `${unseen === 0 ? "" : `(${unseenText(unseen)}) `}${view} · netwall`;
}
