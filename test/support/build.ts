/**
 * `npm run build` and `npm run compile`: one bundle per script for both runtimes, and one executable per bundle.
 *
 * The executables are made from the bundles: `deno compile` beside a `node_modules` would embed all of it.
 * `--compile` makes them with Bun, `--compile=deno` with Deno; both write the same files.
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { gzipSync } from "node:zlib";
import { bunBinary, denoBinary, ROOT } from "./processes.ts";

/** Stands in the source where the page is to be, see lib/admin/page_files.ts. */
const PAGE_PLACE = '"@netwall-page@"';

/**
 * What makes a bundle a command: a shell script in two lines, the second of which JavaScript reads as a text.
 *
 * Not `#!/usr/bin/env node`: where Node is installed even `bunx` would obey it, and Node 20 lacks `node:sqlite`.
 * Added afterwards, as a shebang in the source makes the bundler write imports that Deno refuses.
 */
const LAUNCHER = [
  "#!/bin/sh",
  [
    '":" //; file=$(readlink -f "$0")',
    'command -v bun >/dev/null && exec bun "$file" "$@"',
    // Deno would ask its makers for a newer version, from inside the container.
    'command -v deno >/dev/null && DENO_NO_UPDATE_CHECK=1 exec deno run -A "$file" "$@"',
    'echo "Cannot start netwall: neither bun nor deno is on PATH: install one: https://bun.sh, https://deno.com" >&2',
    "exit 1",
  ].join("; "),
  "",
].join("\n");

const SCRIPTS = ["gateway", "agent"] as const;
type Script = typeof SCRIPTS[number];

/** Runs a command and ends this process with its output when it fails. */
function run(file: string, args: readonly string[]): void {
  const result = spawnSync(file, args, { cwd: ROOT, encoding: "utf8", maxBuffer: 1 << 26 });
  if (result.status === 0) return;
  const cause = result.error?.message ?? `it ended with ${result.status ?? result.signal}`;
  process.stderr.write(`${result.stdout ?? ""}${result.stderr ?? ""}`);
  process.stderr.write(`Cannot build: \`${file} ${args.join(" ")}\`: ${cause}\n`);
  process.exit(1);
}

function report(path: string): void {
  const sizeMib = statSync(join(ROOT, path)).size / (1 << 20);
  process.stdout.write(`${path}  ${sizeMib.toFixed(sizeMib < 10 ? 2 : 0)} MiB\n`);
}

/** `--target=node` and not `bun`: the latter writes `util` for `node:util`, which Deno refuses without npm. */
function bundle(script: Script): void {
  const path = `dist/netwall-${script}.js`;
  run(bunBinary(), ["build", "--target=node", "--minify", `--outfile=${path}`, `${script}.ts`]);
  const text = readFileSync(join(ROOT, path), "utf8");
  writeFileSync(join(ROOT, path), LAUNCHER + (script === "gateway" ? withPage(text) : text));
  chmodSync(join(ROOT, path), 0o755);
  report(path);
}

/** Puts the page into the bundle, so that the gateway is one file. */
function withPage(text: string): string {
  const parts = text.split(PAGE_PLACE);
  if (parts.length !== 2) {
    process.stderr.write(
      `Cannot build: the bundle has ${parts.length - 1} places for the page: it must have one\n`,
    );
    process.exit(1);
  }
  // The set-up, which runs before this, has built it.
  const page = readFileSync(join(ROOT, "dist", "page.json"));
  return parts.join(`"${gzipSync(page, { level: 9 }).toString("base64")}"`);
}

/** Without the two flags the executable would run code that a `bunfig.toml` in the working folder names. */
function compileWithBun(script: Script): void {
  const path = `dist/netwall-${script}`;
  const seals = ["--no-compile-autoload-dotenv", "--no-compile-autoload-bunfig"];
  const args = ["--compile", "--bytecode", "--format=esm", ...seals, `--outfile=${path}`, `${path}.js`];
  run(bunBinary(), ["build", ...args]);
  report(path);
}

function compileWithDeno(script: Script): void {
  const path = `dist/netwall-${script}`;
  run(denoBinary(), ["compile", "--no-config", "--no-npm", "-A", `--output=${path}`, `${path}.js`]);
  report(path);
}

const mode = process.argv[2];
if (mode !== undefined && mode !== "--compile" && mode !== "--compile=deno") {
  process.stderr.write(`Cannot build: unknown argument "${mode}": use --compile or --compile=deno\n`);
  process.exit(2);
}
for (const script of SCRIPTS) {
  if (!existsSync(join(ROOT, `${script}.ts`))) {
    process.stderr.write(`Cannot build: ${script}.ts does not exist\n`);
    process.exit(1);
  }
}
mkdirSync(join(ROOT, "dist"), { recursive: true });
for (const script of SCRIPTS) {
  bundle(script);
  if (mode === "--compile") compileWithBun(script);
  if (mode === "--compile=deno") compileWithDeno(script);
}
