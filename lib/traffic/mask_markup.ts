/**
 * Masks secrets in XML and HTML: what stands in elements of secret names, in attributes of such names, and in what is
 * named by an attribute, such as `<input name="token" value="…">` or `<param name="password">…</param>`.
 *
 * It is walked and not parsed: it may be cut or broken, or no markup at all. No character is looked at more than a few
 * times, whatever comes.
 *
 * @module
 */
import { isSecretName, MASK } from "./secret_names.ts";
import type { Steps } from "./steps.ts";

/** A longer tag is none. */
const TAG_CHARS_MAX = 4 << 10;
const NAME_CHARS_MAX = 256;
const STEP_CHARS = 4 << 10;

/** A name, an equals sign, a value: each begins behind the one before, so nothing is read twice. */
const ATTRIBUTE = /([^\s=<>"'/]+)(\s*=\s*)?(?:("[^"]*"?|'[^']*'?)|([^\s"'<>=]+)?)/g;
const CDATA = "<![CDATA[";
const CDATA_END = "]]>";

interface Attribute {
  readonly name: string;
  /** As it is meant. */
  readonly value: string;
  /** Where the value is, quotes and all, from the beginning of the tag on. */
  readonly from: number;
  readonly to: number;
}

/** Everything that is no secret stays as it is. */
export function* maskMarkupSteps(text: string): Steps<string> {
  let out = "";
  let copied = 0;
  let pausedAt = 0;
  let at = text.indexOf("<");
  while (at >= 0) {
    if (at - pausedAt >= STEP_CHARS) {
      pausedAt = at;
      yield;
    }
    const end = tagEnd(text, at);
    if (end === undefined) {
      at = text.indexOf("<", at + 1);
      continue;
    }
    const tag = text.slice(at, end);
    const name = /^<([\w:.-]+)/.exec(tag)?.[1] ?? "";
    const attributes = attributesOf(tag, name.length + 1);
    const named = attributes.filter((each) => NAMING.test(each.name) && isSecret(each.value));
    const masked = maskTag(tag, attributes, named.length > 0);
    if (masked !== tag) {
      out += text.slice(copied, at) + masked;
      copied = end;
    }
    // A closing tag, a comment or a declaration has no name here, and one that closes itself has nothing in it.
    const isOpen = name !== "" && !tag.endsWith("/>");
    // An id is of the page: a heading that is about tokens holds none.
    const isAbout = isSecret(name) || named.some((each) => !/^(?:id|property)$/i.test(each.name));
    const inside = isOpen && isAbout ? contentEnd(text, end) : end;
    if (text.slice(end, inside).trim() !== "") {
      out += text.slice(copied, end) + MASK;
      copied = inside;
    }
    at = text.indexOf("<", inside);
  }
  return out + text.slice(copied);
}

/** What names the thing that an element is about. */
const NAMING = /^(?:name|id|property|key)$/i;

function isSecret(name: string): boolean {
  return name.length > NAME_CHARS_MAX || isSecretName(name);
}

/**
 * Behind the tag that begins here; `undefined` when there is none. A `>` in quotes does not end it, unless the quotes
 * are not closed. Wherever a `<` stands, another tag may begin: so nothing is read twice.
 */
function tagEnd(text: string, from: number): number | undefined {
  const longest = Math.min(text.length, from + TAG_CHARS_MAX);
  let first: number | undefined;
  let quote = "";
  for (let at = from + 1; at < longest; at++) {
    const char = text[at]!;
    if (char === "<") return first;
    if (char === ">") {
      if (quote === "") return at + 1;
      first ??= at + 1;
    } else if (char === '"' || char === "'") {
      if (quote === "") quote = char;
      else if (quote === char) quote = "";
    }
  }
  return first;
}

/** Where the text of an element ends that begins here: at the next tag, what is quoted as CDATA included. */
function contentEnd(text: string, from: number): number {
  let at = from;
  for (;;) {
    const next = text.indexOf("<", at);
    if (next < 0) return text.length;
    if (!text.startsWith(CDATA, next)) return next;
    const end = text.indexOf(CDATA_END, next);
    if (end < 0) return text.length;
    at = end + CDATA_END.length;
  }
}

function attributesOf(tag: string, from: number): Attribute[] {
  const found: Attribute[] = [];
  for (const match of tag.slice(from).matchAll(ATTRIBUTE)) {
    const [all, name = "", equals, quoted, bare] = match;
    const value = equals === undefined ? undefined : quoted ?? bare;
    if (value === undefined) continue;
    const to = from + match.index + all.length;
    const plain = quoted === undefined ? value : value.slice(1, value.endsWith(value[0]!) ? -1 : undefined);
    found.push({ name, value: plain, from: to - value.length, to });
  }
  return found;
}

function maskTag(tag: string, attributes: readonly Attribute[], isNamed: boolean): string {
  let out = "";
  let copied = 0;
  for (const { name, value, from, to } of attributes) {
    const isValue = isNamed && /^(?:value|content)$/i.test(name);
    if (value === "" || !isValue && !isSecret(name)) continue;
    out += `${tag.slice(copied, from)}"${MASK}"`;
    copied = to;
  }
  return out + tag.slice(copied);
}
