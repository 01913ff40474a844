/**
 * Masks the values of secret keys in JSON, without parsing it: a body may be cut, or hold several documents, or be
 * broken, and its secrets must not be shown for that.
 *
 * Everything else stays as it is, byte for byte.
 *
 * @module
 */
import { isSecretName, MASK } from "./secret_names.ts";
import { inOneGo, type Steps } from "./steps.ts";

/** JSON in strings of JSON is looked into so many times. */
const NESTED_MAX = 3;
/** Characters between two places where the work may pause. */
const STEP_CHARS = 2 << 10;
/** A longer key is secret whatever it says, also when every character of it is escaped. */
const KEY_CHARS_MAX = 6 * 256;

/** Masks what stands under secret keys, objects and lists whole. */
export function maskJson(text: string): string {
  return inOneGo(maskJsonSteps(text));
}

/**
 * The same in steps.
 *
 * @param maskString Masks a string that is no key, as it is meant. @default nothing
 */
export function* maskJsonSteps(
  text: string,
  maskString: (value: string) => Steps<string> = unchanged,
  nested: number = NESTED_MAX,
): Steps<string> {
  let out = "";
  let copied = 0;
  let pausedAt = 0;
  let at = text.indexOf('"');
  while (at >= 0) {
    if (at - pausedAt >= STEP_CHARS) {
      pausedAt = at;
      yield;
    }
    const end = stringEnd(text, at);
    const colon = skipSpace(text, end);
    if (text[colon] !== ":") {
      const masked = yield* maskedString(text.slice(at, end), maskString, nested);
      if (masked !== undefined) {
        out += text.slice(copied, at) + masked;
        copied = end;
      }
      at = text.indexOf('"', end);
      continue;
    }
    const start = skipSpace(text, colon + 1);
    if (end - at <= KEY_CHARS_MAX && !isSecretName(meant(text.slice(at, end)))) {
      at = text.indexOf('"', start);
      continue;
    }
    const valueEnd = endOfValue(text, start);
    out += `${text.slice(copied, start)}"${MASK}"`;
    copied = valueEnd;
    at = text.indexOf('"', valueEnd);
  }
  return copied === 0 ? text : out + text.slice(copied);
}

// deno-lint-ignore require-yield -- it has nothing to pause for
function* unchanged(value: string): Steps<string> {
  return value;
}

/** Where a string ends that begins here; the end of the text when it is cut. */
export function stringEnd(text: string, start: number): number {
  const quote = text[start];
  for (let at = start + 1; at < text.length; at++) {
    const char = text[at];
    if (char === "\\") at++;
    else if (char === quote) return at + 1;
  }
  return text.length;
}

function skipSpace(text: string, from: number): number {
  let at = from;
  while (
    at < text.length && (text[at] === " " || text[at] === "\n" || text[at] === "\r" || text[at] === "\t")
  ) at++;
  return at;
}

function endOfValue(text: string, start: number): number {
  const first = text[start];
  if (first === '"') return stringEnd(text, start);
  if (first !== "{" && first !== "[") {
    const ends = /[,}\]\s]/g;
    ends.lastIndex = start;
    return ends.exec(text)?.index ?? text.length;
  }
  let depth = 0;
  for (let at = start; at < text.length; at++) {
    const char = text[at];
    if (char === '"') at = stringEnd(text, at) - 1;
    else if (char === "{" || char === "[") depth++;
    else if ((char === "}" || char === "]") && --depth === 0) return at + 1;
  }
  return text.length;
}

/** A string with its quotes, as it is meant; one that is cut or broken by what can be read of it. */
function meant(quoted: string): string {
  try {
    return String(JSON.parse(quoted));
  } catch {
    return quoted.replace(/^"|"$/g, "").replace(
      /\\(?:u([0-9a-f]{4})|(.))/gi,
      (_all, hex, char) => hex === undefined ? String(char) : String.fromCharCode(parseInt(String(hex), 16)),
    );
  }
}

/** @returns `undefined` when it stays as it is. */
function* maskedString(
  quoted: string,
  maskString: (value: string) => Steps<string>,
  nested: number,
): Steps<string | undefined> {
  // Most strings hold neither JSON nor parameters.
  if (!/[\\=:]/.test(quoted)) return undefined;
  const value = meant(quoted);
  const inner = nested > 0 && value.includes('"')
    ? yield* maskJsonSteps(value, maskString, nested - 1)
    : value;
  const masked = yield* maskString(inner);
  return masked === value ? undefined : JSON.stringify(masked);
}
