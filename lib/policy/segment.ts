/**
 * Segments of a path: one spelling for each, and which of them are values.
 *
 * A learned route is a row of segments. A number or an identifier in one is written as a placeholder, so that
 * `/users/7` and `/users/8` are one route. What could be read as another path by the service behind (dot segments,
 * a hidden slash) is never covered by a placeholder.
 *
 * Source: RFC 3986 §2.3, §3.3, §6.2.2 (unreserved characters, segments, normalisation).
 *
 * @module
 */

/** The longest path that is learned, in characters, in its one spelling. */
export const PATH_CHARS_MAX = 1024;
/** The most segments of a path that is learned. */
export const SEGMENTS_MAX = 32;
/** The longest word that is learned as it is. */
export const LITERAL_CHARS_MAX = 128;
/** What the name of an unknown route shows of a path at most. */
const SHOWN_SEGMENTS_MAX = 16;
const SHOWN_LITERAL_CHARS_MAX = 64;
/** How often a segment may be encoded over itself and still be looked through. */
const ENCODED_TIMES_MAX = 3;
/** What is shorter is a word: v2, s3, log4j. */
const ID_CHARS_MIN = 8;
/** An identifier has at least so many digits: `checkout-v2` and `oauth20` are words. */
const ID_DIGITS_MIN = 3;

/** With fewer digits it is one by `NffrFeUfNV2Hib`: so long without a break, so many capitals and digits together. */
const RANDOM_CHARS_MIN = 12;
const RANDOM_CAPITALS_MIN = 5;
/** Without any digit: such a share of capitals, but not capitals alone. */
const RANDOM_CAPITALS_SHARE_MIN = 0.38;
const RANDOM_RUN = /[A-Za-z0-9]{12,}/;

/** Stands for one segment of a kind. `{id}` is every value below and what else looks like one. */
export type Placeholder = "{int}" | "{uuid}" | "{hex}" | "{date}" | "{id}" | "{str}";

export type SegmentKind =
  | "empty"
  /** Digits alone. */
  | "int"
  /** The same, long enough to be hexadecimal by chance without letters. */
  | "longInt"
  | "uuid"
  /** Eight or more hexadecimal digits, some of each sort. */
  | "hex"
  /** The same by its letters alone: more likely a word. */
  | "hexWord"
  /** A day, such as 2031-05-17; with a time it is an `id`. */
  | "date"
  /** Eight or more characters with three digits or more, or twelve that look random. */
  | "id"
  | "word"
  /** Hides a slash, a backslash or a control character: only ever equal to itself. */
  | "hidden";

/** What a segment of a kind is written as when it is met first; nothing is as itself. */
const OWN: Readonly<Record<SegmentKind, Placeholder | undefined>> = {
  empty: undefined,
  int: "{int}",
  longInt: "{int}",
  uuid: "{uuid}",
  hex: "{hex}",
  hexWord: undefined,
  date: "{date}",
  id: "{id}",
  word: undefined,
  hidden: undefined,
};

/** The placeholders that cover a kind, the narrowest first. */
const COVERING: Readonly<Record<SegmentKind, readonly Placeholder[]>> = {
  empty: [],
  int: ["{int}", "{id}", "{str}"],
  longInt: ["{int}", "{hex}", "{id}", "{str}"],
  uuid: ["{uuid}", "{id}", "{str}"],
  hex: ["{hex}", "{id}", "{str}"],
  hexWord: ["{hex}", "{id}", "{str}"],
  date: ["{date}", "{id}", "{str}"],
  id: ["{id}", "{str}"],
  word: ["{str}"],
  hidden: [],
};

const COVERING_PLACEHOLDERS: Readonly<Record<Placeholder, readonly Placeholder[]>> = {
  "{int}": ["{int}", "{id}", "{str}"],
  "{uuid}": ["{uuid}", "{id}", "{str}"],
  "{hex}": ["{hex}", "{id}", "{str}"],
  "{date}": ["{date}", "{id}", "{str}"],
  "{id}": ["{id}", "{str}"],
  "{str}": ["{str}"],
};

const INT = /^\d+$/;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const HEX = /^[0-9a-f]{8,}$/i;
const DATE = /^\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])$/;
const BRACE = 0x7b;
const PLACEHOLDER = /^\{(?:int|uuid|hex|date|id|str)\}$/;
/** A path that is spelled in its one way already. */
const PLAIN = /^[A-Za-z0-9\-._~!$&'()*+,;=:@/]*$/;
/** Some servers cut off what follows a semicolon before they look at the dots. */
const DOT_SEGMENT = /(?:^|\/)\.{1,2}(?:;[^/]*)?(?:\/|$)/;
const UNRESERVED = /^[A-Za-z0-9\-._~]$/;
// deno-lint-ignore no-control-regex
const SEPARATOR = /[/\\\u0000-\u001f\u007f]/;

/** Which kind a segment is of. @param segment As `readPath` gives it. */
export function segmentKind(segment: string): SegmentKind {
  if (segment === "") return "empty";
  if (INT.test(segment)) return segment.length >= ID_CHARS_MIN ? "longInt" : "int";
  const encoded = segment.includes("%");
  if ((encoded || segment.includes("\\")) && SEPARATOR.test(decoded(segment))) return "hidden";
  const digits = digitsIn(encoded ? segment.replace(/%[0-9A-F]{2}/g, "_") : segment);
  if (HEX.test(segment)) return digits > 0 ? "hex" : "hexWord";
  if (digits < ID_DIGITS_MIN) return looksRandom(segment) ? "id" : "word";
  if (UUID.test(segment)) return "uuid";
  if (DATE.test(segment)) return "date";
  return segment.length >= ID_CHARS_MIN ? "id" : "word";
}

/**
 * Long without a break, with more capitals and digits than words that are run together have. `GetUserByEmailAndName`
 * has one capital in four letters, a random text one in two.
 */
function looksRandom(segment: string): boolean {
  const run = segment.length < RANDOM_CHARS_MIN ? undefined : RANDOM_RUN.exec(segment)?.[0];
  if (run === undefined) return false;
  const others = run.replace(/[a-z]/g, "").length;
  return /\d/.test(run)
    ? others >= RANDOM_CAPITALS_MIN
    : others >= run.length * RANDOM_CAPITALS_SHARE_MIN && others < run.length;
}

function digitsIn(text: string): number {
  let digits = 0;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code >= 48 && code <= 57) digits += 1;
  }
  return digits;
}

/** The placeholder that a segment is learned as; `undefined` when it is learned as it stands. */
export function ownPlaceholder(segment: string): Placeholder | undefined {
  return OWN[segmentKind(segment)];
}

/** The placeholders that stand for a segment, or for all that another placeholder does; the narrowest first. */
export function coveringPlaceholders(segment: string): readonly Placeholder[] {
  if (isPlaceholder(segment)) return COVERING_PLACEHOLDERS[segment];
  return COVERING[segmentKind(segment)];
}

/** Whether a segment of a template is a placeholder. In a path no brace stays as it is, so nobody can send one. */
export function isPlaceholder(segment: string): segment is Placeholder {
  return segment.charCodeAt(0) === BRACE && PLACEHOLDER.test(segment);
}

/** Whether the word may be one of those that `{str}` takes the place of. */
export function isCollapsible(segment: string): boolean {
  const kind = segmentKind(segment);
  return kind !== "empty" && kind !== "hidden";
}

/**
 * Splits a path into segments in their one spelling: escapes of unreserved characters are decoded, others have
 * upper-case digits, and what may not stand in a path is escaped. Case is kept. `*` is read as `/*`.
 *
 * @param path As it was sent, without the query.
 * @returns At least one segment; a path that ends in a slash has an empty one at its end. `undefined` when it is too
 *   long or has a dot segment, however encoded: what the service makes of it cannot be known, so it is never learned.
 */
export function readPath(path: string): string[] | undefined {
  if (path.length > PATH_CHARS_MAX) return undefined;
  const plain = PLAIN.test(path);
  const spelled = plain ? path : spell(path);
  if (spelled.length > PATH_CHARS_MAX || DOT_SEGMENT.test(spelled)) return undefined;
  const segments = (spelled.startsWith("/") ? spelled.slice(1) : spelled).split("/");
  if (segments.length > SEGMENTS_MAX) return undefined;
  return !plain && segments.some(hidesDots) ? undefined : segments;
}

function spell(path: string): string {
  return path.toWellFormed().replace(/%[0-9a-fA-F]{2}|[^\u0021-\u007e]|[{}]/gu, (found) => {
    if (found.length > 1 && found.startsWith("%")) {
      const character = String.fromCharCode(Number.parseInt(found.slice(1), 16));
      return UNRESERVED.test(character) ? character : found.toUpperCase();
    }
    return encodeURIComponent(found);
  });
}

/** Whether a segment becomes a dot segment, or one with dot segments in it, for who decodes it again. */
function hidesDots(segment: string): boolean {
  if (!segment.includes("%") && !segment.includes("\\")) return false;
  return DOT_SEGMENT.test(decoded(segment).replaceAll("\\", "/"));
}

/** The segment with its escapes decoded until there are none; bytes beyond ASCII stay as they are. */
function decoded(segment: string): string {
  let text = segment;
  for (let times = 0; times < ENCODED_TIMES_MAX && text.includes("%"); times += 1) {
    text = text.replace(
      /%([0-7][0-9a-f])/gi,
      (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)),
    );
  }
  return text;
}

/** Puts segments of a path or a template together again. */
export function joinSegments(segments: readonly string[]): string {
  return `/${segments.join("/")}`;
}

/**
 * A short name for a path that no route is known for: values become placeholders, long words `{str}`, and what is
 * too deep or cannot be read ends in `**`. It never fails.
 */
export function maskedPath(path: string): string {
  const spelled = spell(path.slice(0, PATH_CHARS_MAX));
  const segments = (spelled.startsWith("/") ? spelled.slice(1) : spelled).split("/");
  const shown = segments.slice(0, SHOWN_SEGMENTS_MAX).map((segment) =>
    ownPlaceholder(segment) ?? (segment.length > SHOWN_LITERAL_CHARS_MAX ? "{str}" : segment)
  );
  const whole = segments.length <= SHOWN_SEGMENTS_MAX && path.length <= PATH_CHARS_MAX;
  return joinSegments(whole ? shown : [...shown, "**"]);
}
