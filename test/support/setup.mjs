/**
 * Makes a fresh clone ready: installs dependencies when they are missing or older than the lock file, sees to it that
 * the bun and deno binaries are real, and builds the page of the gateway when its source has changed.
 *
 * Plain JavaScript on `node:` modules alone, as it runs before anything is installed: on Node 20, Bun or Deno.
 * Some machines forbid install scripts; bun and deno move their binary in one, so this does it by hand then.
 *
 * @module
 */
// deno-lint-ignore-file explicit-function-return-type -- plain JavaScript has no types to write
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { buildPage } from "./build_page.mjs";

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const MODULES = join(ROOT, "node_modules");
const STAMP = join(MODULES, ".netwall-setup");

/** A real runtime is about 100 MB, the placeholder that npm unpacks a few hundred bytes. */
const BINARY_BYTES_MIN = 1 << 20;

/** Each binary: where it lies once real, and the script of its package that puts it there. */
const BINARIES = [
  { name: "bun", path: join(MODULES, "bun", "bin", "bun.exe"), script: join(MODULES, "bun", "install.js") },
  { name: "deno", path: join(MODULES, "deno", "deno"), script: join(MODULES, "deno", "install.cjs") },
];

const say = (line) => process.stderr.write(`setup: ${line}\n`);

/** Ends with a message that says what failed and what to do. */
function fail(message) {
  say(message);
  process.exit(1);
}

/** What was asked for: the stamp of an installation that matches says the same. */
function wanted() {
  const hash = createHash("sha256");
  for (const name of ["package.json", "package-lock.json"]) hash.update(readFileSync(join(ROOT, name)));
  return hash.digest("hex");
}

function isReal(path) {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat !== undefined && stat.size >= BINARY_BYTES_MIN;
}

/** True when what is installed is what the lock file says. */
function isInstalled() {
  if (existsSync(STAMP)) return readFileSync(STAMP, "utf8") === wanted();
  // Installed by hand: npm writes this file last, so its age is that of the installation.
  const installed = statSync(join(MODULES, ".package-lock.json"), { throwIfNoEntry: false });
  return installed !== undefined && installed.mtimeMs >= statSync(join(ROOT, "package-lock.json")).mtimeMs;
}

const works = (command) => spawnSync(command, ["--version"], { stdio: "ignore" }).status === 0;

/**
 * The first package manager that is here. Only npm reads the lock file to the letter.
 *
 * `npm install --no-save` and not `npm ci`: the latter refuses a lock file that lacks packages of other platforms,
 * which npm itself leaves out when the registry does not have them. Both install what the lock file says.
 */
function installer() {
  if (works("npm")) return ["npm", "install", "--no-save", "--include=dev", "--no-fund", "--no-audit"];
  if (process.versions.bun) return [process.execPath, "install", "--no-save"];
  if (process.versions.deno) return [process.execPath, "install"];
  return undefined;
}

function install() {
  const command = installer();
  if (command === undefined) {
    fail("Cannot install dependencies: npm is not on PATH: install Node 20 or newer with npm");
  }
  const [file, ...args] = command;
  say(
    `installing dependencies with ${
      [file.split("/").pop(), ...args.slice(0, 1)].join(" ")
    } (about 260 MB, once) …`,
  );
  const result = spawnSync(file, args, { cwd: ROOT, stdio: ["ignore", 2, 2] });
  if (result.status !== 0) {
    fail(
      `Cannot install dependencies: ${file} ended with ${result.status ?? result.signal}: ` +
        "check the network and `npm config get registry`, then run the same command again",
    );
  }
}

function ensureBinary({ name, path, script }) {
  if (isReal(path)) return;
  say(`${name} was installed without its install script: putting its binary in place …`);
  // A missing script is left to the check below: its message is the one that helps.
  if (existsSync(script)) {
    spawnSync(process.execPath, [script], { cwd: dirname(script), stdio: ["ignore", 2, 2] });
  }
  if (!isReal(path)) {
    fail(
      `Cannot find the ${name} binary: ${path} is missing or a placeholder: ` +
        `delete node_modules, run \`npm ci --include=optional\`, then the same command again`,
    );
  }
}

const startMs = Date.now();
const installed = isInstalled();
if (!installed) install();
for (const binary of BINARIES) ensureBinary(binary);
if (!existsSync(STAMP) || !installed) writeFileSync(STAMP, wanted());
try {
  buildPage(ROOT, BINARIES[0].path);
} catch (error) {
  fail(`Cannot build the page: ${error.message}`);
}
if (!installed) say(`ready after ${((Date.now() - startMs) / 1000).toFixed(0)} s`);
