/**
 * Builds the page of the gateway into one file, `dist/page.json`: its script and style bundled and minified, each
 * file compressed. From there the gateway serves it when it runs from source, and `npm run build` embeds it.
 *
 * Plain JavaScript, as the set-up runs it on whatever there is: Node 20, Bun or Deno. Nothing is built when the file
 * is newer than all that it is made from.
 *
 * @module
 */
// deno-lint-ignore-file explicit-function-return-type -- plain JavaScript has no types to write
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { gzipSync } from "node:zlib";

const TYPES = {
  js: "text/javascript; charset=utf-8",
  css: "text/css; charset=utf-8",
  html: "text/html; charset=utf-8",
  svg: "image/svg+xml",
};

/** What the page is made from, as a digest: names, contents, and the versions of its packages. */
function digestOf(root) {
  const hash = createHash("sha256");
  const folder = join(root, "lib", "page");
  const own = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) =>
    /\.(tsx?|css|html|svg)$/.test(name)
  );
  const files = [
    ...own.sort().map((name) => join(folder, name)),
    join(root, "package-lock.json"),
    join(root, "test/support/build_page.mjs"),
  ];
  for (const file of files) {
    hash.update(file.slice(root.length)).update("\0").update(readFileSync(file)).update("\0");
  }
  return hash.digest("hex");
}

/** One entry of the file that is built. `immutable`: its name changes with what is in it. */
function entry(name, body, immutable) {
  const type = TYPES[name.slice(name.lastIndexOf(".") + 1)];
  return { type, immutable, gzip: gzipSync(body, { level: 9 }).toString("base64") };
}

function bundle(root, bun, source, out) {
  const args = [
    "build",
    "--target=browser",
    "--minify",
    `--outfile=${out}`,
    join(root, "lib", "page", source),
  ];
  // Its own configuration decides how JSX is read, wherever this is started from.
  const result = spawnSync(bun, args, {
    cwd: root,
    encoding: "utf8",
    env: { ...process.env, NODE_ENV: "production" },
  });
  if (result.status !== 0) throw new Error(`bun ${args.join(" ")}:\n${result.stdout}${result.stderr}`);
  return readFileSync(out);
}

/**
 * @param root The folder of the project. @param bun The binary.
 * @returns The path of what was built, or was there already. @throws {Error} With what the bundler said.
 */
export function buildPage(root, bun) {
  const path = join(root, "dist", "page.json");
  const digest = digestOf(root);
  if (existsSync(path)) {
    try {
      if (JSON.parse(readFileSync(path, "utf8")).digest === digest) return path;
    } catch {
      // A file that cannot be read is built anew.
    }
  }
  mkdirSync(join(root, "dist"), { recursive: true });
  const folder = mkdtempSync(join(root, "dist", "page-"));
  try {
    const files = {};
    let index = readFileSync(join(root, "lib", "page", "index.html"), "utf8");
    for (const [source, name] of [["main.tsx", "app.js"], ["style.css", "app.css"]]) {
      const body = bundle(root, bun, source, join(folder, name));
      const [stem, suffix] = name.split(".");
      const served = `/assets/${stem}-${
        createHash("sha256").update(body).digest("hex").slice(0, 12)
      }.${suffix}`;
      files[served] = entry(name, body, true);
      index = index.replace(`@${name}@`, served);
    }
    files["/assets/icon.svg"] = entry("icon.svg", readFileSync(join(root, "lib", "page", "icon.svg")), false);
    files["/"] = entry("index.html", index, false);
    // Put in place at once: a gateway that starts meanwhile reads the old one or the new one.
    writeFileSync(join(folder, "page.json"), JSON.stringify({ digest, files }));
    renameSync(join(folder, "page.json"), path);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return path;
}
