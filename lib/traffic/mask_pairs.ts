/**
 * Masks the values of secret parameters: in the target of a request, in addresses anywhere, and in forms.
 *
 * Source: RFC 3986 §3.2.1 (userinfo), §3.4; the URL standard for forms.
 *
 * @module
 */
import { maskJson } from "./mask_json.ts";
import { isSecretName, MASK } from "./secret_names.ts";
import type { Steps } from "./steps.ts";

/** Parameters within the value of a parameter are looked into so many times. */
const NESTED_MAX = 2;
/** A longer value that may hold parameters is not looked into, and so it is masked: it would hold everybody up. */
const INSIDE_CHARS_MAX = 16 << 10;
/** A longer name is secret whatever it says, also when every character of it is encoded. */
const NAME_CHARS_MAX = 3 * 256;
/** What is done in one step. */
const STEP_CHARS = 4 << 10;

/** Masks parameters of a target, an address or a form, wherever they stand in the text. */
export function maskPairs(text: string, nested: number = NESTED_MAX): string {
  const bare = text.includes("@") ? text.replace(/\/\/[^/?#@\s"]*@/g, `//${MASK}@`) : text;
  if (!/=|%3d/i.test(bare)) return bare;
  return bare.replace(/[^&;?#\s"'<>]+/g, (pair) => maskPair(pair, nested));
}

/** The same in steps: a text is taken apart where no parameter goes on. */
export function* maskPairsSteps(text: string, nested: number = NESTED_MAX): Steps<string> {
  const ends = /[&;?#\s"'<>]/g;
  let out = "";
  let from = 0;
  while (text.length - from > STEP_CHARS) {
    ends.lastIndex = from + STEP_CHARS;
    const end = ends.exec(text)?.index ?? text.length;
    out += maskPairs(text.slice(from, end), nested);
    from = end;
    yield;
  }
  return out + maskPairs(text.slice(from), nested);
}

function maskPair(pair: string, nested: number): string {
  const at = pair.indexOf("=");
  if (at < 0) return maskInside(pair, nested);
  const name = pair.slice(0, at);
  if (name.length > NAME_CHARS_MAX || isSecretName(decoded(name))) {
    return at === pair.length - 1 ? pair : `${name}=${MASK}`;
  }
  return `${name}=${maskInside(pair.slice(at + 1), nested)}`;
}

/** An address in a parameter, or a document. */
function maskInside(value: string, nested: number): string {
  if (nested <= 0 || !/=|%3d|%3a|:/i.test(value)) return value;
  if (value.length > INSIDE_CHARS_MAX) return MASK;
  const meant = decoded(value);
  const masked = maskPairs(maskJson(meant), nested - 1);
  return masked === meant ? value : encodeURIComponent(masked);
}

/** Percent-decoded as far as it can be. */
export function decoded(text: string): string {
  const spaced = text.replaceAll("+", " ");
  if (!spaced.includes("%")) return spaced;
  try {
    return decodeURIComponent(spaced);
  } catch {
    // What is no UTF-8 is read byte by byte.
    return spaced.replace(/%([0-9a-f]{2})/gi, (_all, hex) => String.fromCharCode(parseInt(String(hex), 16)));
  }
}
