/**
 * Reads a settings file: YAML 1.2, bounded in size, depth and aliases, with the line of every value.
 *
 * A settings file may be a mounted volume that somebody else writes, so it is judged like any input: what is
 * ambiguous (a key twice, an unknown tag, two documents) is refused, never guessed.
 *
 * Source: YAML 1.2.2 §3.2.1.3 (keys are unique), §10.3 (core schema).
 *
 * @module
 */

import { closeSync, openSync, readSync } from "node:fs";
import { Buffer } from "node:buffer";
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
import { printable, quoted } from "../printable.ts";

/** The largest settings file. */
export const CONFIG_FILE_BYTES_MAX = 1 << 20;
/** Open brackets and block levels; netwall needs three. A parser that recurses would run out of stack first. */
export const CONFIG_DEPTH_MAX = 32;
/** Aliases a file may resolve to; more is a bomb. */
const ALIASES_MAX = 100;

/** A file that cannot be used at all. One line, without the file's name. */
export class YamlFileError extends Error {
  override name = "YamlFileError";
  /** @param line The line it is about, from 1, if there is one. */
  constructor(message: string, readonly line?: number, options?: ErrorOptions) {
    super(message, options);
  }
}

/** What a file says. */
export interface YamlFile {
  readonly root: Readonly<Record<string, unknown>>;
  /** The line of a key or list item, from 1; of the nearest one above it when it has none itself. */
  lineOf(path: readonly PropertyKey[]): number | undefined;
}

/**
 * Reads and parses a file. An empty one is an empty map.
 *
 * @param path A regular file, or a pipe: it is read once, to its end or to one byte over the limit.
 * @throws {YamlFileError} Missing, unreadable, too large, or not one plain YAML map.
 */
export function readYamlFile(path: string): YamlFile {
  return parseYaml(readText(path));
}

/**
 * Parses the text of a file.
 *
 * @throws {YamlFileError} As `readYamlFile`.
 */
export function parseYaml(text: string): YamlFile {
  checkDepth(text);
  const lines = new LineCounter();
  // Its own search for equal keys compares each with each, and its long messages search the text for each of many
  // faults: a file of 1 MiB would stop the start for minutes. Keys are compared in `checkNodes` instead.
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: false, prettyErrors: false });
  const fault = document.errors[0] ?? document.warnings[0];
  if (fault !== undefined) {
    const message = printable(fault.message.split("\n")[0] ?? "");
    throw new YamlFileError(`not valid YAML: ${message}`, lines.linePos(fault.pos[0]).line);
  }
  checkNodes(document, lines);
  const root = toValue(document);
  if (root === null || root === undefined) return { root: {}, lineOf: () => undefined };
  if (typeof root !== "object" || Array.isArray(root)) {
    throw new YamlFileError(
      "the file holds no settings: write KEY: VALUE lines, such as http: 127.0.0.1:8080",
      1,
    );
  }
  const lineOf = (path: readonly PropertyKey[]): number | undefined => lineIn(document, lines, path);
  return { root: root as Record<string, unknown>, lineOf };
}

/** Refuses keys that are there twice, and aliases that are many, name nothing, or hold themselves. */
function checkNodes(document: Document.Parsed, lines: LineCounter): void {
  let aliases = 0;
  const above = new Set<unknown>();
  const visit = (node: unknown): void => {
    const line = isNode(node) && node.range ? lines.linePos(node.range[0]).line : undefined;
    if (isAlias(node)) {
      aliases += 1;
      if (aliases > ALIASES_MAX) throw new YamlFileError(`too many aliases: at most ${ALIASES_MAX}`, line);
      const source = node.resolve(document);
      if (source === undefined) {
        throw new YamlFileError(`no anchor &${printable(node.source)} above the alias`, line);
      }
      if (above.has(source)) throw new YamlFileError(`alias *${printable(node.source)} holds itself`, line);
      return;
    }
    if (!isMap(node) && !isSeq(node)) return;
    above.add(node);
    const keys = new Set<unknown>();
    for (const item of node.items) {
      if (!isPair(item)) {
        visit(item);
        continue;
      }
      const key = isScalar(item.key) ? String(item.key.value) : undefined;
      if (key === undefined) throw new YamlFileError("a key is no plain text: write KEY: VALUE", line);
      if (keys.has(key)) {
        const at = isScalar(item.key) && item.key.range ? lines.linePos(item.key.range[0]).line : line;
        throw new YamlFileError(`key ${quoted(key)} is there twice: keep one`, at);
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
    throw new YamlFileError("aliases expand to too much: write the values out", undefined, { cause: error });
  }
}

/** Counts brackets and leading indentation: a rough bound, but one that no text passes with real depth over it. */
function checkDepth(text: string): void {
  let open = 0;
  let line = 1;
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    if (code === 0x0a) line += 1;
    else if (code === 0x5b || code === 0x7b) open += 1;
    else if ((code === 0x5d || code === 0x7d) && open > 0) open -= 1;
    if (open > CONFIG_DEPTH_MAX) throw tooDeep(line);
  }
  let number = 0;
  for (const content of text.split("\n")) {
    number += 1;
    // Each block level costs a column, or a dash, a question mark or a colon with a blank behind it.
    const lead = /^(?:[ \t]|[-?:](?=[ \t]))*(?=\S)/.exec(content)?.[0] ?? "";
    if (lead.length > CONFIG_DEPTH_MAX * 4) throw tooDeep(number);
  }
}

function tooDeep(line: number): YamlFileError {
  return new YamlFileError(`nested too deeply: at most ${CONFIG_DEPTH_MAX} levels`, line);
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

/** Reads at most one byte over the limit, so that neither a huge file nor an endless pipe fills the memory. */
function readText(path: string): string {
  const buffer = Buffer.alloc(CONFIG_FILE_BYTES_MAX + 1);
  let length = 0;
  try {
    const file = openSync(path, "r");
    try {
      for (let read = -1; read !== 0 && length < buffer.length; length += read) {
        read = readSync(file, buffer, length, buffer.length - length, null);
      }
    } finally {
      closeSync(file);
    }
  } catch (error) {
    throw new YamlFileError(reasonOf(error), undefined, { cause: error });
  }
  if (length > CONFIG_FILE_BYTES_MAX) {
    throw new YamlFileError("too large: at most 1 MiB, is this the right file");
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(buffer.subarray(0, length));
  } catch (error) {
    throw new YamlFileError("not UTF-8 text: is this the right file", undefined, { cause: error });
  }
}

function reasonOf(error: unknown): string {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (code === "ENOENT") return "no such file: check the path of --config";
  if (code === "EACCES") return "not readable by this user: change its owner or mode";
  if (code === "EISDIR") return "a directory: name a file";
  return `cannot be read: ${code || "unknown reason"}`;
}
