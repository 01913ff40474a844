/**
 * Makes foreign text safe to print: in a log line, in an error message, on a terminal.
 *
 * A control character can forge a second log line or drive a terminal, and a bidirectional override can show a
 * line in another order than it has. All of them leave here as visible escapes.
 *
 * Source: Unicode UAX #9 (bidirectional controls), ECMA-48 (control functions).
 *
 * @module
 */

/** C0 and C1 controls, DEL, line and paragraph separators, bidirectional controls and the byte order mark. */
// deno-lint-ignore no-control-regex
const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;

/** How many characters of foreign text a message repeats when the caller does not say. */
export const QUOTED_CHARS_MAX = 60;

/**
 * Replaces what could act on a terminal or end a line by an escape such as `\n` or `\u001b`.
 *
 * @param text Any text; lone surrogates become U+FFFD.
 */
export function printable(text: string): string {
  return text.toWellFormed().replace(UNSAFE, (character) => {
    if (character === "\n") return "\\n";
    if (character === "\r") return "\\r";
    if (character === "\t") return "\\t";
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}

/**
 * Puts foreign text in quotation marks for a message, printable and cut to a length.
 *
 * @param text Any text.
 * @param charsMax How much of it is shown, in UTF-16 units. @default 60
 */
export function quoted(text: string, charsMax: number = QUOTED_CHARS_MAX): string {
  const shown = text.length > charsMax ? `${text.slice(0, charsMax)}…` : text;
  return `"${printable(shown)}"`;
}
