/**
 * Writes plain values as YAML that every reader of YAML 1.1 and 1.2 takes for the same.
 *
 * Text that could be read as anything else (a number, a time, `yes`) is put in quotation marks. Single brackets are
 * written as escapes: a reader that counts brackets to bound the depth of a text, as this project's does, counts pairs.
 *
 * Source: YAML 1.2.2 §5.7 (escapes), §7.3.1 (double quotes); YAML 1.1 types bool and null.
 *
 * @module
 */

/** Lists of texts that fit are written in one line. */
const LINE_CHARS_MAX = 110;

const PLAIN = /^[A-Za-z_/][A-Za-z0-9_./-]*$/;
/** Begins with a digit but has what no number and no time has in that place. */
const PLAIN_NETWORK = /^[0-9]{1,3}(?:\.[0-9]{1,3}){3}\/[0-9]+$/;
/** Nothing to escape, and brackets in pairs without others inside. */
const SIMPLE = /^[ !#-Z^-z|~]*(?:\{[ !#-Z^-z|~]*\}[ !#-Z^-z|~]*)*$/;
const WORDS = new Set(["true", "false", "null", "yes", "no", "on", "off", "y", "n"]);
const ESCAPED =
  // deno-lint-ignore no-control-regex
  /["\\\u0000-\u001f\u007f-\u00a0\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]/g;

/**
 * Writes a map as a text that ends with a line end.
 *
 * @param value Of plain objects, arrays, texts, finite numbers and booleans.
 */
export function writeYaml(value: object): string {
  const lines: string[] = [];
  writeMap(value, "", "", lines);
  return lines.map((line) => `${line}\n`).join("");
}

/** @param lead What stands before the first key: `indent`, or the dash of a list. */
function writeMap(map: object, lead: string, indent: string, lines: string[]): void {
  let before = lead;
  for (const [key, value] of Object.entries(map)) {
    writeEntry(`${before}${text(key)}:`, value, indent, lines);
    before = indent;
  }
}

function writeEntry(head: string, value: unknown, indent: string, lines: string[]): void {
  if (Array.isArray(value)) {
    const line = `${head} [${value.map((it) => typeof it === "object" ? "" : scalar(it)).join(", ")}]`;
    if (value.length === 0 || (typeof value[0] !== "object" && line.length <= LINE_CHARS_MAX)) {
      lines.push(line);
    } else {
      lines.push(head);
      for (const item of value) writeItem(item, `${indent}  `, lines);
    }
  } else if (typeof value === "object" && value !== null) {
    if (Object.keys(value).length === 0) lines.push(`${head} {}`);
    else {
      lines.push(head);
      writeMap(value, `${indent}  `, `${indent}  `, lines);
    }
  } else lines.push(`${head} ${scalar(value)}`);
}

function writeItem(item: unknown, indent: string, lines: string[]): void {
  if (typeof item !== "object" || item === null) lines.push(`${indent}- ${scalar(item)}`);
  else if (Object.keys(item).length === 0) lines.push(`${indent}- {}`);
  else writeMap(item, `${indent}- `, `${indent}  `, lines);
}

function scalar(value: unknown): string {
  return typeof value === "string" ? text(value) : String(value);
}

function text(value: string): string {
  if ((PLAIN.test(value) && !WORDS.has(value.toLowerCase())) || PLAIN_NETWORK.test(value)) return value;
  if (SIMPLE.test(value)) return `"${value}"`;
  const escaped = value.toWellFormed() === value
    ? value.replace(ESCAPED, (it) => it >= "\ud800" && it <= "\udfff" ? it : escape(it))
    : value.replace(ESCAPED, escape);
  return `"${isPaired(value) ? escaped : escaped.replace(/[[\]{}]/g, escape)}"`;
}

function escape(character: string): string {
  if (character === '"' || character === "\\") return `\\${character}`;
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/** Whether brackets open and close in pairs, whatever their shape. */
function isPaired(value: string): boolean {
  let open = 0;
  for (const character of value) {
    if (character === "[" || character === "{") open += 1;
    else if ((character === "]" || character === "}") && --open < 0) return false;
  }
  return open === 0;
}
