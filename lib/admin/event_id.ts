/**
 * Ids of events as people read and paste them: without the zeros that make them sort as text.
 *
 * @module
 */

/** See `eventId` in lib/events/event_log.ts: the digits of a place in the log, to the base 36. */
const ID_CHARS = 11;

/** The id without leading zeros; any other text as it is. */
export function shortEventId(id: string): string {
  return /^[0-9a-z]{11}$/.test(id) ? id.replace(/^0{1,10}/, "") : id;
}

/** The whole id of a short one; any other text as it is. */
export function wholeEventId(id: string): string {
  return /^[0-9a-z]{1,10}$/.test(id) ? id.padStart(ID_CHARS, "0") : id;
}
