/**
 * Programs that tests and the bench need beside netwall: found, or installed from Debian when that is allowed.
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import process from "node:process";

/** Debian's system programs are often not on a user's PATH. */
const SYSTEM_FOLDERS = ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/bin", "/bin"];

/** Long enough for a slow mirror. */
const INSTALL_MS_MAX = 300_000;

/** A program that is here, or the reason why it is not. */
export type Program = { readonly path: string } | { readonly path: undefined; readonly reason: string };

/** Where a program is, or undefined. */
export function findBinary(binary: string): string | undefined {
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), ...SYSTEM_FOLDERS];
  return folders.map((folder) => join(folder, binary)).find((path) => existsSync(path));
}

/** Runs apt-get quietly; true when it did what it was told. */
function apt(args: readonly string[]): boolean {
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  const result = spawnSync("apt-get", args, { env, stdio: "ignore", timeout: INSTALL_MS_MAX });
  return result.status === 0;
}

/**
 * Finds a program, and installs its Debian package when it is missing.
 *
 * Installs only as root, with apt, and with `CI` set: a test run must not change somebody's machine unasked.
 *
 * @param name The Debian package, such as "nginx-light".
 * @param binary The program in it, such as "nginx".
 * @returns Its path, or a reason that fits into the name of a skipped test.
 */
export function ensurePackage(name: string, binary: string): Program {
  const found = findBinary(binary);
  if (found !== undefined) return { path: found };
  if (!process.env["CI"]) return { path: undefined, reason: `${binary} is missing: apt-get install ${name}` };
  if (process.getuid?.() !== 0) {
    return { path: undefined, reason: `${binary} is missing and only root may install it` };
  }
  if (findBinary("apt-get") === undefined) {
    return { path: undefined, reason: `${binary} is missing and there is no apt-get` };
  }
  const install = ["install", "-y", "--no-install-recommends", name];
  // The package lists of a fresh image are empty, or too old for the mirror.
  if (!apt(install) && !(apt(["update"]) && apt(install))) {
    return { path: undefined, reason: `${binary} is missing and apt-get could not install ${name}` };
  }
  const path = findBinary(binary);
  return path === undefined ? { path, reason: `${name} was installed but holds no ${binary}` } : { path };
}
