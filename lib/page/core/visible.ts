/**
 * Text of strangers, as it can be looked at.
 *
 * Nothing of it can become markup, but a character that turns the direction of writing could show a line in another
 * order than it has, and one that has no width could hide a difference between two names.
 *
 * Source: Unicode UAX #9 (bidirectional controls).
 *
 * @module
 */

/** C0 and C1 controls, DEL, the soft hyphen, separators of lines, and what steers direction or has no width. */
const UNSEEN =
  // deno-lint-ignore no-control-regex
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/** The text with each such character as an escape, such as `\u202e`. */
export function visible(text: string): string {
  return text.toWellFormed().replace(
    UNSEEN,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
