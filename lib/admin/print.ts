/**
 * Puts what a command was asked for out whole, or says that it could not: a policy that was cut may still be one.
 *
 * @module
 */
import { realpathSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import process from "node:process";
import { printable } from "../printable.ts";
import { AdminClientError } from "./client_error.ts";
import { codeOf, fileFault } from "./policy_file.ts";

/** Whatever texts are written to, such as `process.stdout`. */
export interface TextOutput {
  write(text: string, done: (error?: Error | null) => void): unknown;
}

/**
 * Writes a text, and resolves once the operating system has all of it. Only then may the process end: what a pipe has
 * not taken by then is lost, without a word.
 *
 * @returns False when whoever read it has gone, as `head` does.
 * @throws {AdminClientError} `failed`: it cannot be written, as on a full disk.
 */
export async function print(text: string, output: TextOutput = process.stdout): Promise<boolean> {
  if (text === "") return true;
  try {
    await new Promise<void>((resolve, reject) => {
      // Deno throws here what Bun tells the callback.
      output.write(text, (error) => error ? reject(error) : resolve());
    });
    return true;
  } catch (error) {
    if (codeOf(error) === "EPIPE") return false;
    const reason = fileFault(error);
    throw new AdminClientError(
      `Cannot write to standard output: ${reason}, what is there is not whole`,
      "failed",
      {
        cause: error,
      },
    );
  }
}

/**
 * Writes a file whole: one that was there before stays as it was when there is no room for the new one.
 *
 * @throws {AdminClientError} `failed`.
 */
export function printToFile(path: string, text: string): void {
  try {
    const known = statSync(path, { throwIfNoEntry: false });
    // A pipe or a device is written to, never replaced.
    if (known?.isFile() === false) return writeFileSync(path, text);
    const target = known === undefined ? path : realpathSync(path);
    replaceFile(target, text, known?.mode ?? 0o666);
  } catch (error) {
    throw new AdminClientError(
      `Cannot write ${printable(path)}: ${fileFault(error)}, name another file with --output`,
      "failed",
      { cause: error },
    );
  }
}

function replaceFile(target: string, text: string, mode: number): void {
  const part = `${target}.part-${process.pid}`;
  try {
    writeFileSync(part, text, { flag: "wx", mode });
    renameSync(part, target);
  } catch (error) {
    rmSync(part, { force: true });
    // A single file that is mounted, or in a directory of others, can be written and not replaced.
    if (!["EACCES", "EPERM", "EBUSY", "EROFS"].includes(codeOf(error))) throw error;
    writeFileSync(target, text);
  }
}
