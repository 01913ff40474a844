/**
 * Masks the secrets of a text whose shape is not sure: JSON, a form, markup, or lines of names and values.
 *
 * A body says by itself what it is, and may lie: so all ways to read it are tried, one after the other. Every pattern
 * here takes a time that grows with the length of the text alone.
 *
 * @module
 */
import { maskJson } from "./mask_json.ts";
import { maskPairs } from "./mask_pairs.ts";
import { isSecretName, MASK } from "./secret_names.ts";

/** Parts of a form with files that are looked at. More are masked whole. */
const PARTS_MAX = 256;

/** @param contentType As it was sent, with its parameters; it helps, and is not believed. */
export function maskText(text: string, contentType: string): string {
  const boundary = /^multipart\/[^;]*;(?:.*;)?\s*boundary="?([^";\s]{1,70})/i.exec(contentType)?.[1];
  if (boundary !== undefined) return maskParts(text, boundary);
  return maskPart(text, /x-www-form-urlencoded/i.test(contentType));
}

function maskPart(text: string, isForm: boolean): string {
  let masked = maskJson(text, (value) => maskPairs(value, 1));
  if (isForm || looksLikeForm(masked)) masked = maskPairs(masked);
  if (masked.includes("<")) masked = maskMarkup(masked);
  masked = maskLines(masked);
  return maskBare(masked);
}

/** Pairs without a space, as forms and the targets of requests are. */
function looksLikeForm(text: string): boolean {
  return /^[^\s={}<>"]{1,256}=[^\s<>"]*\s*$/.test(text);
}

/** Parts of multipart/form-data: each has a name of its own. Source: RFC 7578. */
function maskParts(text: string, boundary: string): string {
  const delimiter = `--${boundary}`;
  const parts = text.split(delimiter, PARTS_MAX + 1);
  const shown = parts.slice(0, PARTS_MAX).map((part) => {
    const end = /\r?\n\r?\n/.exec(part);
    if (end === null) return maskPart(part, false);
    const head = part.slice(0, end.index);
    const body = part.slice(end.index + end[0].length);
    const name = /\bname="?([^"\r\n;]{1,256})/i.exec(head)?.[1] ?? "";
    return `${maskLines(head)}${end[0]}${isSecretName(name) ? `${MASK}\r\n` : maskPart(body, false)}`;
  });
  return parts.length > PARTS_MAX ? `${shown.join(delimiter)}${delimiter}${MASK}` : shown.join(delimiter);
}

/** What stands in elements and attributes of secret names, and the values of inputs of such a name. */
function maskMarkup(text: string): string {
  const inputs = text.replace(/<[^<>]{1,4096}>/g, (tag) => {
    const name = /\b(?:name|id|property)\s*=\s*["']?([^"'\s>]{1,256})/i.exec(tag)?.[1] ?? "";
    const isInput = isSecretName(name);
    return tag.replace(/([\w:-]{1,64})(\s{0,8}=\s{0,8})("[^"]*"|'[^']*')/g, (all, attribute, equals) => {
      const isValue = /^(?:value|content)$/i.test(String(attribute)) && isInput;
      return isValue || isSecretName(String(attribute)) ? `${attribute}${equals}"${MASK}"` : all;
    });
  });
  return inputs.replace(/<([\w:.-]{1,128})([^<>]{0,4096})>([^<]+)/g, (all, name, attributes, value) => {
    const isSecret = isSecretName(String(name)) && String(value).trim() !== "";
    return isSecret ? `<${name}${attributes}>${MASK}` : all;
  });
}

/** `name: value` and `name=value`, each on a line. */
function maskLines(text: string): string {
  return text.replace(
    /^([ \t]*(?:- )?["']?)([\w.[\]-]{1,128})(["']?[ \t]*[:=][ \t]*)([^\r\n]+)/gm,
    (all, before, name, between, value) =>
      isSecretName(String(name)) && !String(value).includes(MASK) ? `${before}${name}${between}${MASK}` : all,
  );
}

/** Credentials that are known by how they look, wherever they stand. */
function maskBare(text: string): string {
  return text
    .replace(/\b(bearer|basic)([ \t]+)[\w.~+/=-]{8,}/gi, (_all, scheme, space) => `${scheme}${space}${MASK}`)
    .replace(/\beyJ[\w-]{4,}\.[\w.-]*/g, MASK)
    .replace(/-----BEGIN [A-Z ]{0,32}PRIVATE KEY-----[^-]*/g, `-----BEGIN PRIVATE KEY-----${MASK}`);
}
