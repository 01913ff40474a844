/**
 * Which of the two runtimes this process is.
 *
 * Only code in this folder may branch on it: everything else behaves the same on both.
 *
 * @module
 */
import process from "node:process";

/** The runtimes netwall runs on. */
export type RuntimeName = "bun" | "deno";

const { bun, deno } = process.versions;
if (bun === undefined && deno === undefined) {
  throw new Error("Cannot start: this runtime is neither Bun nor Deno, run netwall with one of them");
}

/** The runtime of this process. */
export const runtimeName: RuntimeName = bun === undefined ? "deno" : "bun";

/** Its version, such as "1.4.5". */
export const runtimeVersion: string = bun ?? deno ?? "";
