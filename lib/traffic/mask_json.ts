/**
 * Masks the values of secret keys in JSON, without parsing it: a body may be cut, or hold several documents, or be
 * broken, and its secrets must not be shown for that.
 *
 * Everything else stays as it is, byte for byte.
 *
 * @module
 */
import { isSecretName, MASK } from "./secret_names.ts";

/** JSON in strings of JSON is looked into so many times. */
const NESTED_MAX = 3;

/**
 * Masks what stands under secret keys, objects and lists whole.
 *
 * @param maskString Masks a string that is no key, as it is meant. @default nothing
 */
export function maskJson(
  text: string,
  maskString: (value: string) => string = (value) => value,
  nested: number = NESTED_MAX,
): string {
  let out = "";
  let copied = 0;
  let at = text.indexOf('"');
  while (at >= 0) {
    const end = stringEnd(text, at);
    const colon = skipSpace(text, end);
    if (text[colon] !== ":") {
      const masked = maskedString(text.slice(at, end), maskString, nested);
      if (masked !== undefined) {
        out += text.slice(copied, at) + masked;
        copied = end;
      }
      at = text.indexOf('"', end);
      continue;
    }
    const start = skipSpace(text, colon + 1);
    if (!isSecretName(meant(text.slice(at, end)))) {
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

/** Where a string ends that begins here; the end of the text when it is cut. */
function stringEnd(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    const char = text[at];
    if (char === "\\") at++;
    else if (char === '"') return at + 1;
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
    let at = start;
    while (at < text.length && !/[,}\]\s]/.test(text[at]!)) at++;
    return at;
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
function maskedString(
  quoted: string,
  maskString: (value: string) => string,
  nested: number,
): string | undefined {
  // Most strings hold neither JSON nor parameters.
  if (!/[\\=:]/.test(quoted)) return undefined;
  const value = meant(quoted);
  const inner = nested > 0 && value.includes('"') ? maskJson(value, maskString, nested - 1) : value;
  const masked = maskString(inner);
  return masked === value ? undefined : JSON.stringify(masked);
}
