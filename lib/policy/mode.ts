/**
 * The modes of a group: what happens to what is neither known nor ruled on.
 *
 * @module
 */

/** `learn`: allow and remember. `alert`: allow and record an event. `prevent`: block and record an event. */
export type Mode = "learn" | "alert" | "prevent";

/** From the mildest to the strictest. */
export const MODES: readonly Mode[] = ["learn", "alert", "prevent"];

/** The stricter of two modes: when both ends of a flow have one, it holds. */
export function stricter(a: Mode, b: Mode): Mode {
  return MODES.indexOf(a) >= MODES.indexOf(b) ? a : b;
}
