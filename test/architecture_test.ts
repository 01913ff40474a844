/**
 * The source read as text: who may import whom, how long a file may be, and what may stand in it.
 *
 * It proves direction and size, not cohesion. Imports are found by pattern, so a computed `import(x)` is missed.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { dirname, join, normalize } from "node:path";

const ROOT = join(import.meta.dirname ?? ".", "..");

/**
 * Folders of `lib/` that each folder may import, besides itself and `base`, which is the files right in `lib/`.
 * Type-only imports count: a type is a dependency of the reader.
 */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  base: [],
  wire: [],
  link: [],
  mux: ["wire", "link"],
  http: ["wire", "mux"],
  tcp: ["wire", "mux", "runtime"],
  doors: ["wire", "mux", "http", "tcp", "runtime"],
  egress: ["runtime"],
  routing: ["mux", "policy"],
  auth: [],
  // Addresses are read in one way only.
  policy: ["egress"],
  waf: [],
  events: [],
  store: ["policy", "events"],
  metrics: [],
  traffic: [],
  seal: ["runtime"],
  config: ["policy", "routing", "auth", "link", "egress", "events"],
  admin: ["auth", "policy", "events", "store", "metrics", "routing", "traffic"],
  // The parts of gateway.ts that would make it too long to read: only the script uses them.
  gateway: [
    "wire",
    "link",
    "mux",
    "http",
    "routing",
    "auth",
    "metrics",
    "tcp",
    "egress",
    "seal",
    "tls",
    "runtime",
    "config",
    "cli",
    "admin",
    "policy",
    "events",
    "store",
    "traffic",
    "sample",
  ],
  // What quickstart shows when it has nothing else to publish.
  sample: ["http"],
  // The same for agent.ts.
  agent: ["wire", "link", "mux", "http", "tcp", "doors", "seal", "runtime", "config", "cli"],
  cli: [],
  runtime: ["link"],
  tls: ["runtime"],
  // It runs in a browser: of these it has the types alone.
  page: ["admin", "policy", "events", "store"],
};

/** What an agent never reaches, by whatever way: it runs beside the service and holds nothing of the edge. */
const GATEWAY_ONLY = [
  "routing",
  "policy",
  "waf",
  "events",
  "store",
  "admin",
  "gateway",
  "egress",
  "sample",
  "traffic",
];

const LIB_LINES_MAX = 300;
const SCRIPT_LINES_MAX = 400;

/** The two scripts lie in the root; both exist in every release, but neither is needed to check the rest. */
const SCRIPTS = ["gateway.ts", "agent.ts"].filter((path) => existsSync(join(ROOT, path)));

function typescriptIn(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
    .filter((path) => /\.tsx?$/.test(path))
    .map((path) => join(folder, path));
}

const LIB = typescriptIn("lib");
const TESTS = typescriptIn("test").filter((path) => !path.startsWith("test/fixtures/"));
const SOURCE = new Map(
  [...SCRIPTS, ...LIB, ...TESTS].map((path) => [path, readFileSync(join(ROOT, path), "utf8")]),
);

/** Code that ships: without the tests. */
const SHIPPED = [...SCRIPTS, ...LIB];

/** The text without comments. Strings are matched first, as "/*" and "//" stand in many. */
function codeOf(path: string): string {
  const tokens =
    /"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\[\s\S])*`|\/\*[\s\S]*?\*\/|(?<=^|\s)\/\/.*$/gm;
  return (SOURCE.get(path) ?? "").replace(tokens, (token) => token.startsWith("/") ? "" : token);
}

/** The same without what stands in plain strings: a name in one is no use of it. */
function bareCodeOf(path: string): string {
  return codeOf(path).replace(/"(?:[^"\\\n]|\\.)*"/g, '""');
}

function specifiersOf(path: string): string[] {
  return [...codeOf(path).matchAll(/(?:(?<!")\bfrom\s*|\bimport\s*\(?\s*)"([^"\n]+)"/g)].map(([, to]) =>
    to ?? ""
  );
}

/** The same without what is imported for its types: nothing of that runs. */
function runtimeSpecifiersOf(path: string): string[] {
  const code = codeOf(path).replace(/\b(?:import|export)\s+type\b[^;]*;/g, "");
  return [...code.matchAll(/(?:(?<!")\bfrom\s*|\bimport\s*\(?\s*)"([^"\n]+)"/g)].map(([, to]) => to ?? "");
}

function isPage(path: string): boolean {
  return path.startsWith("lib/page/");
}

/** Files that a file imports, from the root of the repository. */
function importsOf(path: string): string[] {
  return specifiersOf(path)
    .filter((specifier) => specifier.startsWith("."))
    .map((specifier) => normalize(join(dirname(path), specifier)));
}

function folderOf(path: string): string {
  const [top, folder, ...rest] = path.split("/");
  if (top !== "lib" || folder === undefined) return top === "lib" ? "base" : "script";
  return rest.length === 0 ? "base" : folder;
}

test("there is source to check, and every folder of lib/ stands in the table", () => {
  expect(LIB.length).toBeGreaterThan(0);
  expect(TESTS.length).toBeGreaterThan(0);
  const folders = new Set(LIB.map(folderOf));
  expect([...folders].filter((folder) => !(folder in MAY_IMPORT))).toEqual([]);
});

test("every import in lib/ points down the table", () => {
  const faults: string[] = [];
  let checked = 0;
  for (const from of LIB) {
    for (const to of importsOf(from)) {
      checked += 1;
      const [above, below] = [folderOf(from), folderOf(to)];
      const allowed = above === below || below === "base" || (MAY_IMPORT[above] ?? []).includes(below);
      if (!allowed || !to.startsWith("lib/")) faults.push(`${from} must not import ${to}`);
    }
  }
  expect(checked).toBeGreaterThan(0);
  expect(faults).toEqual([]);
});

test("every import names a file that exists, with its extension", () => {
  const faults = [...SOURCE.keys()].flatMap((from) =>
    importsOf(from).filter((to) => !existsSync(join(ROOT, to)) || !/\.\w+$/.test(to)).map((to) =>
      `${from}: ${to}`
    )
  );
  expect(faults).toEqual([]);
});

/** What the bundles hold. The package itself depends on nothing: `bunx` fetches one file each. */
const BUNDLED = ["@hono/node-server", "hono", "ipaddr.js", "jose", "prom-client", "yaml", "zod"];
/** What the page holds, which is bundled by itself. */
const PAGE_BUNDLED = ["@preact/signals", "d3-selection", "d3-zoom", "preact", "uplot"];

test("what ships imports node: modules and what the bundles hold, nothing else", () => {
  const manifest = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as Record<string, object>;
  expect(manifest["dependencies"]).toBeUndefined();
  const dependencies = [...BUNDLED, ...PAGE_BUNDLED];
  expect(dependencies.filter((name) => !(name in (manifest["devDependencies"] ?? {})))).toEqual([]);
  const isBundled = (specifier: string, names: readonly string[]): boolean =>
    names.some((name) => specifier === name || specifier.startsWith(`${name}/`));
  const isKnown = (from: string, specifier: string): boolean => {
    if (isPage(from)) return isBundled(specifier, PAGE_BUNDLED);
    if (!specifier.startsWith("node:")) return isBundled(specifier, BUNDLED);
    return builtinModules.includes(specifier.slice(5)) || builtinModules.includes(specifier);
  };
  const faults = SHIPPED.flatMap((from) =>
    runtimeSpecifiersOf(from).filter((to) => !to.startsWith(".") && !isKnown(from, to)).map((to) =>
      `${from}: ${to}`
    )
  );
  expect(faults).toEqual([]);
});

test("the page has the types of the gateway alone, and nothing in it can become markup", () => {
  const page = LIB.filter(isPage);
  expect(page.length).toBeGreaterThan(0);
  const imports = page.flatMap((from) =>
    runtimeSpecifiersOf(from).filter((to) =>
      to.startsWith(".") && !isPage(normalize(join(dirname(from), to)))
    )
      .map((to) => `${from}: ${to}`)
  );
  expect(imports).toEqual([]);
  const markup =
    /\b(?:dangerouslySetInnerHTML|innerHTML|outerHTML|insertAdjacentHTML|document\s*\.\s*write|DOMParser|srcdoc)\b/;
  expect(page.filter((path) => markup.test(bareCodeOf(path)))).toEqual([]);
  // All that it remembers is which colours were chosen.
  const stores = page.filter((path) =>
    /\b(?:localStorage|sessionStorage|indexedDB)\b/.test(bareCodeOf(path))
  );
  expect(stores).toEqual(["lib/page/ui/theme.ts"]);
});

test("there are no import cycles, and the agent reaches nothing of the gateway's", () => {
  const done = new Set<string>();
  const visit = (path: string, trail: readonly string[]): void => {
    if (trail.includes(path)) throw new Error([...trail, path].join(" -> "));
    if (done.has(path)) return;
    for (const to of importsOf(path)) visit(to, [...trail, path]);
    done.add(path);
  };
  if (SCRIPTS.includes("agent.ts")) visit("agent.ts", []);
  expect([...done].filter((path) => GATEWAY_ONLY.includes(folderOf(path)))).toEqual([]);
  for (const path of SHIPPED) visit(path, []);
  expect(done.size).toBeGreaterThanOrEqual(SHIPPED.length);
});

test("runtime globals stay behind lib/runtime/", () => {
  const faults = SHIPPED.filter((path) =>
    folderOf(path) !== "runtime" && /\b(?:Deno|Bun)\s*[.[]/.test(bareCodeOf(path))
  );
  expect(faults).toEqual([]);
});

test("what ships never writes to the console", () => {
  expect(SHIPPED.filter((path) => /\bconsole\s*[.[]/.test(bareCodeOf(path)))).toEqual([]);
});

test("every file starts with a header that says what it is", () => {
  const faults = [...SOURCE].filter(([, text]) =>
    // The header is the first comment: a match further down would be that of something else.
    !/^(?:#!.*\n)?\/\*\*\n \* \S(?:(?!\*\/)[\s\S])*@module\s*\n \*\//.test(text)
  );
  expect(faults.map(([path]) => path)).toEqual([]);
});

test("no file that ships is longer than its cap", () => {
  const faults = SHIPPED.map((path) => {
    const lines = (SOURCE.get(path) ?? "").trimEnd().split("\n").length;
    const linesMax = folderOf(path) === "script" ? SCRIPT_LINES_MAX : LIB_LINES_MAX;
    return { path, lines, linesMax };
  }).filter(({ lines, linesMax }) => lines > linesMax);
  expect(faults).toEqual([]);
});

test("nothing is left to do", () => {
  // Spelled in halves, as this file is read too.
  const marks = new RegExp(`\\b(?:${["TO" + "DO", "FIX" + "ME", "XX" + "X"].join("|")})\\b`);
  expect([...SOURCE].filter(([, text]) => marks.test(text)).map(([path]) => path)).toEqual([]);
});
