/**
 * Reads a text of YAML 1.2, bounded in depth and aliases, with the line of every value.
 *
 * It comes from a file or a request that somebody else writes, so it is judged like any input: what is ambiguous (a key
 * twice, an unknown tag, two documents) is refused, never guessed. The caller bounds its length. JSON is YAML too.
 *
 * Source: YAML 1.2.2 §3.2.1.3 (keys are unique), §10.3 (core schema).
 *
 * @module
 */
import {
  type Document,
  isAlias,
  isMap,
  isNode,
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
} from "yaml";
import { printable, quoted } from "./printable.ts";

/** Open brackets and block levels; netwall needs seven. A parser that recurses would run out of stack first. */
export const YAML_DEPTH_MAX = 32;
/** Aliases a text may resolve to; more is a bomb. */
const ALIASES_MAX = 100;

/** A text that cannot be used at all. One line. */
export class YamlError extends Error {
  override name = "YamlError";
  /** @param line The line it is about, from 1, if there is one. */
  constructor(message: string, readonly line?: number, options?: ErrorOptions) {
    super(message, options);
  }
}

/** What a text says. */
export interface YamlText {
  /** Maps as plain objects; `null` when the text is empty. */
  readonly root: unknown;
  /** The line of a key or list item, from 1; of the nearest one above it when it has none itself. */
  lineOf(path: readonly PropertyKey[]): number | undefined;
}

/** How a text is read. */
export interface YamlOptions {
  /**
   * Brackets that may be open in the text, those in quotes too: more is wanted where values may hold single ones.
   *
   * @default YAML_DEPTH_MAX
   */
  readonly bracketsMax?: number;
}

/**
 * Parses a text.
 *
 * @throws {YamlError} It is not one plain YAML document, or past a bound.
 */
export function parseYamlText(text: string, options: YamlOptions = {}): YamlText {
  checkDepth(text, options.bracketsMax ?? YAML_DEPTH_MAX);
  const lines = new LineCounter();
  // Its own search for equal keys compares each with each, and its long messages search the text for each of many
  // faults: a file of 1 MiB would stop the start for minutes. Keys are compared in `checkNodes` instead.
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: false, prettyErrors: false });
  const fault = document.errors[0] ?? document.warnings[0];
  if (fault !== undefined) {
    const message = printable(fault.message.split("\n")[0] ?? "");
    throw new YamlError(`not valid YAML: ${message}`, lines.linePos(fault.pos[0]).line);
  }
  checkNodes(document, lines);
  return { root: toValue(document) ?? null, lineOf: (path) => lineIn(document, lines, path) };
}

/** Refuses keys that are there twice, and aliases that are many, name nothing, or hold themselves. */
function checkNodes(document: Document.Parsed, lines: LineCounter): void {
  let aliases = 0;
  const above = new Set<unknown>();
  const visit = (node: unknown): void => {
    const line = isNode(node) && node.range ? lines.linePos(node.range[0]).line : undefined;
    if (isAlias(node)) {
      aliases += 1;
      if (aliases > ALIASES_MAX) throw new YamlError(`too many aliases: at most ${ALIASES_MAX}`, line);
      const source = node.resolve(document);
      if (source === undefined) {
        throw new YamlError(`no anchor &${printable(node.source)} above the alias`, line);
      }
      if (above.has(source)) throw new YamlError(`alias *${printable(node.source)} holds itself`, line);
      return;
    }
    if (!isMap(node) && !isSeq(node)) return;
    above.add(node);
    if (above.size > YAML_DEPTH_MAX) throw tooDeep(line);
    const keys = new Set<unknown>();
    for (const item of node.items) {
      if (!isPair(item)) {
        visit(item);
        continue;
      }
      const key = isScalar(item.key) ? String(item.key.value) : undefined;
      if (key === undefined) throw new YamlError("a key is no plain text: write KEY: VALUE", line);
      if (keys.has(key)) {
        const at = isScalar(item.key) && item.key.range ? lines.linePos(item.key.range[0]).line : line;
        throw new YamlError(`key ${quoted(key)} is there twice: keep one`, at);
      }
      keys.add(key);
      visit(item.value);
    }
    above.delete(node);
  };
  visit(document.contents);
}

function toValue(document: Document.Parsed): unknown {
  try {
    return document.toJS({ maxAliasCount: ALIASES_MAX });
  } catch (error) {
    if (!(error instanceof ReferenceError)) throw error;
    throw new YamlError("aliases expand to too much: write the values out", undefined, { cause: error });
  }
}

/** Counts brackets and leading indentation: a rough bound, but one that no text passes with real depth over it. */
function checkDepth(text: string, bracketsMax: number): void {
  let open = 0;
  let line = 1;
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    if (code === 0x0a) line += 1;
    else if (code === 0x5b || code === 0x7b) open += 1;
    else if ((code === 0x5d || code === 0x7d) && open > 0) open -= 1;
    if (open > bracketsMax) throw tooDeep(line);
  }
  let number = 0;
  for (const content of text.split("\n")) {
    number += 1;
    // Each block level costs a column, or a dash, a question mark or a colon with a blank behind it.
    const lead = /^(?:[ \t]|[-?:](?=[ \t]))*(?=\S)/.exec(content)?.[0] ?? "";
    if (lead.length > YAML_DEPTH_MAX * 4) throw tooDeep(number);
  }
}

function tooDeep(line: number | undefined): YamlError {
  return new YamlError(`nested too deeply: at most ${YAML_DEPTH_MAX} levels`, line);
}

function lineIn(
  document: Document.Parsed,
  lines: LineCounter,
  path: readonly PropertyKey[],
): number | undefined {
  let node: unknown = document.contents;
  let line: number | undefined;
  for (const step of path) {
    let at: unknown;
    if (isMap(node)) {
      const pair = node.items.find((item) => isPair(item) && isScalar(item.key) && item.key.value === step);
      at = pair?.key;
      node = pair?.value;
    } else if (isSeq(node) && typeof step === "number") {
      at = node.items[step];
      node = at;
    }
    if (!isNode(at) || !at.range) return line;
    line = lines.linePos(at.range[0]).line;
  }
  return line;
}
