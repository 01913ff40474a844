/**
 * Reads the file of a policy that a command was given, bounded; `-` is standard input.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { closeSync, openSync, readSync } from "node:fs";
import { POLICY_BYTES_MAX } from "../policy/document.ts";
import { PolicyError } from "../policy/policy_fault.ts";
import { parsePolicy, plainPolicy } from "../policy/policy_yaml.ts";
import { printable } from "../printable.ts";
import { AdminClientError } from "./client_error.ts";

/** A policy as somebody wrote it. It was read once and has no fault that can be seen without a gateway. */
export interface PolicyFile {
  /** For messages: its path, or `standard input`. */
  readonly name: string;
  /** What it says, as JSON. */
  readonly text: string;
}

/**
 * Reads and checks a policy.
 *
 * @param path A file or a pipe, or `-` for `input`.
 * @param isChange Whether it was to be put in force: then a fault says that it was not.
 * @throws {AdminClientError} `invalid`: it cannot be read, is too large, is no text, or has faults; all are named.
 */
export async function readPolicyFile(
  path: string,
  input: AsyncIterable<Uint8Array>,
  isChange = false,
): Promise<PolicyFile> {
  const name = path === "-" ? "standard input" : printable(path);
  const refuse = (reason: string, cause: unknown): AdminClientError =>
    new AdminClientError(`Cannot read the policy in ${name}: ${reason}`, "invalid", { cause });
  let bytes: Uint8Array;
  try {
    bytes = path === "-" ? await readInput(input) : readBounded(path, POLICY_BYTES_MAX);
  } catch (error) {
    throw refuse(fileFault(error), error);
  }
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    throw refuse("it is no UTF-8 text, is it the right file", error);
  }
  try {
    return { name, text: JSON.stringify(plainPolicy(parsePolicy(text))) };
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error;
    throw new AdminClientError(policyFaultsText(name, error, isChange), "invalid", { cause: error });
  }
}

/** Every fault with its place, as compilers write it: editors can jump there. */
function policyFaultsText(name: string, { faults, message }: PolicyError, isChange: boolean): string {
  const lines = faults.map(({ line, path, message }) =>
    [line === undefined ? name : `${name}:${line}`, path, message].filter((it) => it !== "").join(": ")
  );
  const more = message.split("\n").length - lines.length;
  if (more > 0) lines.push("There are more: correct these first");
  return [`The policy has faults${isChange ? ", nothing was changed" : ""}`, ...lines].join("\n");
}

/** A file, or a pipe, has more than it may. */
export class TooLargeError extends Error {
  override name = "TooLargeError";
}

/**
 * Reads a file to its end.
 *
 * @throws {TooLargeError} Over `bytesMax`; no more is read then.
 * @throws {NodeJS.ErrnoException} It cannot be read.
 */
export function readBounded(path: string, bytesMax: number): Uint8Array {
  const chunks: Uint8Array[] = [];
  let length = 0;
  const file = openSync(path, "r");
  try {
    for (;;) {
      const chunk = Buffer.alloc(65_536);
      const read = readSync(file, chunk, 0, chunk.length, null);
      if (read === 0) return Buffer.concat(chunks);
      length += read;
      if (length > bytesMax) throw tooLarge(bytesMax);
      chunks.push(chunk.subarray(0, read));
    }
  } finally {
    closeSync(file);
  }
}

async function readInput(input: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of input) {
    length += chunk.length;
    if (length > POLICY_BYTES_MAX) throw tooLarge(POLICY_BYTES_MAX);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function tooLarge(bytesMax: number): TooLargeError {
  return new TooLargeError(`it has over ${bytesMax} bytes, is it the right file`);
}

/** The code of an error of the system; empty when it has none. */
export function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return "";
  if ("code" in error && typeof error.code === "string") return error.code;
  // Standard output of Deno tells it in words alone.
  return /No space left on device/i.test(error.message) ? "ENOSPC" : "";
}

/** Why a file cannot be read or written, and what to do. */
export function fileFault(error: unknown): string {
  if (error instanceof TooLargeError) return error.message;
  const code = codeOf(error) || "unknown reason";
  const known: Readonly<Record<string, string>> = {
    ENOENT: "there is no such file or directory",
    EACCES: "this user may not open it",
    EPERM: "this user may not open it",
    EISDIR: "it is a directory",
    ENOSPC: "the disk is full",
    EROFS: "the file system is read-only",
    EFBIG: "no file may be as large",
  };
  return known[code] ?? code;
}
