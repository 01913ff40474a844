/**
 * The page as it was built: what is served, how large it is, and that it needs nobody else.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { loadPage } from "../../lib/admin/page_files.ts";
import { ROOT } from "../support/processes.ts";

/** Compressed, all files together. */
const PAGE_BYTES_MAX = 300 * 1024;

const page = loadPage();
const built = JSON.parse(readFileSync(join(ROOT, "dist", "page.json"), "utf8")) as {
  files: Record<string, { gzip: string }>;
};
const paths = Object.keys(built.files);

test("every view is the same file, and it names its script and style by their content", async () => {
  const index = await page.find("/", "")!.text();
  for (const path of ["/map", "/events", "/traffic", "/policy", "/links"]) {
    expect(await page.find(path, "")!.text()).toBe(index);
  }
  const named = [...index.matchAll(/(?:src|href)="([^"]*)"/g)].map(([, path]) => path!);
  expect(named).toHaveLength(3);
  for (const path of named) expect(paths).toContain(path);
});

test("nothing in the page is inline, and it names no other host", async () => {
  const index = await page.find("/", "")!.text();
  expect(/<script(?![^>]*\bsrc=)|<style|\son\w+=|style=/.test(index)).toBe(false);
  const hosts = new Set<string>();
  for (const path of paths) {
    const text = await page.find(path, "")!.text();
    for (const [, host] of text.matchAll(/\b(?:https?|wss?):\/\/([\w.-]+\.\w+)/g)) hosts.add(host!);
  }
  // The names of XML namespaces, which nobody ever fetches; and what a target is like, in the field for one.
  expect([...hosts].filter((host) => host !== "www.w3.org" && host !== "127.0.0.1")).toEqual([]);
});

test("all of it is small", () => {
  const sizes = Object.values(built.files).map(({ gzip }) => Buffer.from(gzip, "base64").length);
  expect(sizes.length).toBeGreaterThanOrEqual(4);
  expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(PAGE_BYTES_MAX);
});

test("what changes its name with its content is kept by browsers, the rest is asked for again", () => {
  for (const path of paths) {
    const { headers } = page.find(path, "gzip, deflate, br")!;
    const isNamed = /-[0-9a-f]{12}\./.test(path);
    expect(headers.get("cache-control")).toBe(isNamed ? "public, max-age=31536000, immutable" : "no-cache");
    expect(headers.get("content-encoding")).toBe("gzip");
    expect(headers.get("etag")).toMatch(/^"[\w-]{16}"$/);
    expect(page.find(path, "br")!.headers.get("content-encoding")).toBeNull();
  }
});

test.each([
  "/assets/",
  "/assets/app.js",
  "/index.html",
  "/assets/../",
  "/__proto__",
  "/constructor",
  "/api/v1",
  "",
])(
  "there is no file %s",
  (path) => {
    expect(page.find(path, "gzip")).toBeUndefined();
  },
);
