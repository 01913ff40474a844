/**
 * Reads a settings file: one YAML map, bounded in size.
 *
 * A settings file may be a mounted volume that somebody else writes, so it is judged like any input; see `yaml_text.ts`.
 *
 * @module
 */

import { closeSync, openSync, readSync } from "node:fs";
import { Buffer } from "node:buffer";
import { parseYamlText, YamlError, type YamlText } from "../yaml_text.ts";

/** The largest settings file. */
export const CONFIG_FILE_BYTES_MAX = 1 << 20;
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
  const { root, lineOf } = parsed(text);
  if (root === null) return { root: {}, lineOf: () => undefined };
  if (typeof root !== "object" || Array.isArray(root)) {
    throw new YamlFileError(
      "the file holds no settings: write KEY: VALUE lines, such as http: 127.0.0.1:8080",
      1,
    );
  }
  return { root: root as Record<string, unknown>, lineOf };
}

function parsed(text: string): YamlText {
  try {
    return parseYamlText(text);
  } catch (error) {
    if (!(error instanceof YamlError)) throw error;
    throw new YamlFileError(error.message, error.line, { cause: error });
  }
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
