/**
 * Files that the settings of the agent name.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { codeOf, isDenied } from "./denied.ts";

/** Something outside is not as the configuration says: a file, a module, a port. The message says what to do. */
export class StartError extends Error {
  override name = "StartError";
}

/** @param flag Who names the file, for the message. @throws {StartError} When it cannot be read. */
export function readText(path: string, flag: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const cure = isDenied(error)
      ? `start Deno with --allow-read=${path}`
      : `${codeOf(error)}, check the path, its owner and mode`;
    throw new StartError(`Cannot read ${path} of ${flag}: ${cure}`, { cause: error });
  }
}
