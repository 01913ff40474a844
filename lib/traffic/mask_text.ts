/**
 * Masks the secrets of a text whose shape is not sure: JSON, a form, markup, source, or lines of names and values.
 *
 * A body says by itself what it is, and may lie: so all ways to read it are tried, one after the other. Each takes a
 * time that grows with the length of the text alone, and pauses after a few thousand characters: who made the body may
 * be anybody.
 *
 * @module
 */
import { maskJsonSteps, stringEnd } from "./mask_json.ts";
import { maskMarkupSteps } from "./mask_markup.ts";
import { maskPairsSteps } from "./mask_pairs.ts";
import { isSecretName, MASK } from "./secret_names.ts";
import { inOneGo, type Steps } from "./steps.ts";

/** Parts of a form with files that are looked at. More are masked whole. */
const PARTS_MAX = 256;
/** What is done in one step, and how much of a text that could not be taken apart better. */
const STEP_CHARS = 4 << 10;
const STEP_CHARS_MAX = 16 << 10;

/** @param contentType As it was sent, with its parameters; it helps, and is not believed. */
export function maskText(text: string, contentType: string): string {
  return inOneGo(maskTextSteps(text, contentType));
}

/** The same in steps. */
export function* maskTextSteps(text: string, contentType: string): Steps<string> {
  const boundary = boundaryOf(text, contentType);
  if (boundary !== undefined) return yield* maskParts(text, boundary);
  return yield* maskPart(text, /x-www-form-urlencoded/i.test(contentType));
}

function* maskPart(text: string, isForm: boolean): Steps<string> {
  let masked = yield* maskJsonSteps(text, maskInner);
  if (isForm || looksLikeForm(masked)) masked = yield* maskPairsSteps(masked);
  if (masked.includes("<")) masked = yield* maskMarkupSteps(masked);
  masked = yield* maskLines(masked);
  masked = yield* maskNamed(masked);
  return yield* maskBare(masked);
}

/** A string of JSON: an address, or the text of a query. */
function* maskInner(value: string): Steps<string> {
  return yield* maskNamed(yield* maskPairsSteps(value, 1));
}

/** Pairs without a space, as forms and the targets of requests are. */
function looksLikeForm(text: string): boolean {
  return /^[^\s={}<>"]{1,256}=[^\s<>"]*\s*$/.test(text);
}

/** What parts are divided by: as the type says, or else as the text begins. */
function boundaryOf(text: string, contentType: string): string | undefined {
  const told = /^multipart\/[^;]*;(?:.*;)?\s*boundary=(?:"([^"]{1,70})|([^";\s]{1,70}))/i.exec(contentType);
  const boundary = told?.[1] ?? told?.[2];
  if (boundary !== undefined && text.includes(`--${boundary}`)) return boundary;
  return /^\s{0,8}--([^\r\n]{1,70})\r?\ncontent-/i.exec(text)?.[1];
}

/** Parts of multipart/form-data: each has a name of its own. Source: RFC 7578. */
function* maskParts(text: string, boundary: string): Steps<string> {
  const delimiter = `--${boundary}`;
  const parts = text.split(delimiter, PARTS_MAX + 1);
  const shown: string[] = [];
  for (const part of parts.slice(0, PARTS_MAX)) {
    const end = /\r?\n\r?\n/.exec(part);
    if (end === null) {
      shown.push(yield* maskPart(part, false));
      continue;
    }
    const head = part.slice(0, end.index);
    const body = part.slice(end.index + end[0].length);
    const isSecret = [...head.matchAll(/\bname\s{0,8}\*?=\s{0,8}"?([^"\r\n;]{1,256})/gi)]
      .some(([, name = ""]) => isSecretName(name));
    const shownBody = isSecret ? `${MASK}\r\n` : yield* maskPart(body, false);
    shown.push(`${yield* maskLines(head)}${end[0]}${shownBody}`);
  }
  return parts.length > PARTS_MAX ? `${shown.join(delimiter)}${delimiter}${MASK}` : shown.join(delimiter);
}

/** `name: value` and `name=value`, each on a line. */
function* maskLines(text: string): Steps<string> {
  let out = "";
  let from = 0;
  while (from < text.length) {
    const end = text.length - from <= STEP_CHARS ? -1 : text.indexOf("\n", from + STEP_CHARS);
    const lines = text.slice(from, end < 0 ? undefined : end + 1);
    from += lines.length;
    out += lines.replace(
      /^([ \t]*(?:- )?["']?)([\w.[\]-]{1,128})(["']?[ \t]*[:=][ \t]*)([^\r\n]+)/gm,
      (all, before, name, between, value) =>
        isSecretName(String(name)) && !ALREADY.test(String(value))
          ? `${before}${name}${between}${MASK}`
          : all,
    );
    yield;
  }
  return out;
}

/** Masked by another reading, which has kept what it could. */
const ALREADY = /^(?:[\w-]{1,32} |["'])?\[masked\]["']?[,;}\])\s]*$/;

/** Where a name and a value in quotes may be: `password: "…"` in a query, `'password': '…'` in a log. */
const NAMED = /(?<![\w$.-])(["']?)([A-Za-z_$][\w$.-]{0,127})\1\s{0,8}(?:=>|[:=])\s{0,8}(?=["'])/g;

/** Values in quotes, wherever they stand behind a secret name: in source, in queries, in what programs print. */
function* maskNamed(text: string): Steps<string> {
  let out = "";
  let from = 0;
  const ends = /[\n,;({]/g;
  while (from < text.length) {
    const longest = text.slice(from, from + STEP_CHARS_MAX);
    ends.lastIndex = STEP_CHARS;
    const end = longest.length <= STEP_CHARS ? undefined : ends.exec(longest)?.index;
    const piece = longest.slice(0, end === undefined ? undefined : end + 1);
    let copied = 0;
    for (const match of piece.matchAll(NAMED)) {
      const at = match.index + match[0].length;
      // What a value holds is no name.
      if (match.index < copied || !isSecretName(match[2]!)) continue;
      out += `${piece.slice(copied, at)}${piece[at]}${MASK}${piece[at]}`;
      copied = stringEnd(text, from + at) - from;
      if (copied >= piece.length) break;
    }
    out += piece.slice(copied);
    from += Math.max(copied, piece.length);
    yield;
  }
  return out;
}

/** Credentials that are known by how they look, wherever they stand. */
function* maskBare(text: string): Steps<string> {
  let out = "";
  let from = 0;
  const ends = /[^\w.~+/=-][^ \t]/g;
  while (from < text.length) {
    ends.lastIndex = from + STEP_CHARS;
    // Between a scheme and what follows it nothing is taken apart.
    const end = text.length - from <= STEP_CHARS ? undefined : ends.exec(text)?.index;
    const piece = text.slice(from, end);
    from += piece.length;
    out += piece.replace(
      /\b(bearer|basic)([ \t]+)[\w.~+/=-]{8,}/gi,
      (_all, scheme, space) => `${scheme}${space}${MASK}`,
    ).replace(WEB_TOKEN, maskWebToken);
    yield;
  }
  return out.replace(/-----BEGIN [A-Z ]{0,32}PRIVATE KEY-----[^-]*/g, `-----BEGIN PRIVATE KEY-----${MASK}`);
}

/**
 * A word that has the first letters of every JSON Web Token in it. A pattern for the whole of a token would begin anew
 * at each of its dashes, and read on to the end each time.
 */
const WEB_TOKEN = /(?<![\w.-])[\w.-]{8,}/g;

/** Masks it from there on if there is a dot behind them. Source: RFC 7519 §3. */
function maskWebToken(word: string): string {
  const at = word.search(/(?<![A-Za-z0-9])eyJ/);
  return at < 0 || word.lastIndexOf(".") < at + "eyJ".length ? word : `${word.slice(0, at)}${MASK}`;
}
