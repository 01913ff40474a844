/**
 * Patterns of paths, and the readings of paths that were sent.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  isPathPattern,
  literalsOf,
  matchPaths,
  parsePathPattern,
  type PathMatch,
  READINGS_MAX,
  readPath,
} from "../../lib/policy/path_pattern.ts";

const match = (pattern: string, path: string): PathMatch =>
  matchPaths([parsePathPattern(pattern)!], readPath(path));

const decode = (text: string): string =>
  text.replace(/%[0-9a-f]{2}/gi, (it) => String.fromCharCode(Number.parseInt(it.slice(1), 16)));

/** Removes dot segments as RFC 3986 §5.2.4 does, step by step on the text. */
function removeDots(path: string): string {
  let [input, output] = [path, ""];
  while (input !== "") {
    if (/^\/\.(?:\/|$)/.test(input)) input = `/${input.slice(3)}`;
    else if (/^\/\.\.(?:\/|$)/.test(input)) {
      input = `/${input.slice(4)}`;
      output = output.slice(0, Math.max(0, output.lastIndexOf("/")));
    } else {
      const segment = /^\/?[^/]*/.exec(input)![0];
      output += segment;
      input = input.slice(segment.length);
    }
  }
  return output;
}

/** Cuts at NUL, as programs in C do. */
const cut = (path: string): string => path.replace(/\0[^/]*/g, "");
const named = (path: string): string => path.split("/").filter((it) => it !== "").join("/");

/** What different servers make of a path, without empty segments. */
const SERVERS: readonly ((path: string) => string)[] = [
  // Takes it as it is, and decodes what it hands on.
  (path) => named(path.split("/").map(decode).join("/")),
  // RFC 3986 to the letter: dots first, then nothing.
  (path) => named(removeDots(cut(decode(path).replaceAll("\\", "/")))),
  // Merges slashes and decodes before it walks.
  (path) => named(removeDots(cut(decode(path).replaceAll("\\", "/")).replace(/\/+/g, "/"))),
  // The same with parameters dropped, as servlets do.
  (path) =>
    named(removeDots(cut(decode(path).replaceAll("\\", "/")).replace(/;[^/]*/g, "").replace(/\/+/g, "/"))),
  // Behind another server that decodes.
  (path) => named(removeDots(cut(decode(decode(path)).replaceAll("\\", "/")).replace(/\/+/g, "/"))),
];

describe("parsePathPattern()", () => {
  test("takes whole segments, types and all below at the end", () => {
    const good = [
      "/",
      "/**",
      "/a",
      "/a/",
      "/a/**",
      "/{int}/{uuid}/{hex}/{date}/{id}/{str}",
      "/a%20b",
      "/.well-known/x",
      "/a.b:c@d",
    ];
    expect(good.filter((it) => !isPathPattern(it))).toEqual([]);
    expect(good).toHaveLength(9);
  });

  test("refuses what would never match, or not what it seems to", () => {
    const bad = [
      "",
      "a",
      "*",
      "/*",
      "/a/*/b",
      "/a*",
      "/**/a",
      "/a/**/",
      "/***",
      "/a/{x}",
      "/a{int}",
      "/{int}b",
      "/{INT}",
      "/{",
      "/a?b=1",
      "/a#b",
      "/a;b",
      "/a\\b",
      "//",
      "/a//b",
      "/a//**",
      "//**",
      "/./a",
      "/a/..",
      "/%2e%2e/a",
      "/a%2Fb",
      "/a%5cb",
      "/a%00",
      "/%7Bint%7D%2a".replace("%2a", "*"),
    ];
    expect(bad.filter(isPathPattern)).toEqual([]);
    expect(bad).toHaveLength(29);
  });

  test("knows the literals that it begins with", () => {
    const table: [string, string[]][] = [
      ["/", []],
      ["/**", []],
      ["/API/v1/**", ["api", "v1"]],
      ["/api/{int}/x", ["api"]],
      ["/%61pi/", ["api"]],
    ];
    for (const [pattern, literals] of table) expect(literalsOf(parsePathPattern(pattern)!)).toEqual(literals);
    expect(table).toHaveLength(5);
  });
});

describe("matchPaths()", () => {
  const table: [pattern: string, path: string, match: PathMatch][] = [
    ["/", "/", "all"],
    ["/", "/a", "none"],
    ["/", "//", "some"],
    ["/", "/a/..", "some"],
    ["/**", "/", "all"],
    ["/**", "/a/b/c/", "all"],
    ["/**", "/a/../../b", "all"],
    ["/a", "/a", "all"],
    ["/a", "/a/", "some"],
    ["/a/", "/a", "some"],
    ["/a/", "/a/", "all"],
    ["/a", "/A", "some"],
    ["/a", "/%61", "all"],
    ["/a%20b", "/a%20b", "all"],
    ["/a/**", "/a", "all"],
    ["/a/**", "/a/", "all"],
    ["/a/**", "/ab", "none"],
    ["/a/**", "/A/b", "some"],
    ["/a/**", "/a%2fb", "some"],
    ["/{str}", "/a%2fb", "some"],
    ["/{int}", "/7", "all"],
    ["/{int}", "/%37", "all"],
    ["/{int}", "/7x", "none"],
    ["/{int}", "/-7", "none"],
    ["/{int}", "/7%0a", "none"],
    ["/{int}", "/", "none"],
    ["/{hex}", "/deadbeef", "all"],
    ["/{hex}", "/DEADBEEF00", "all"],
    ["/{hex}", "/deadbee", "none"],
    ["/{uuid}", "/123e4567-e89b-12d3-a456-426614174000", "all"],
    ["/{uuid}", "/123e4567e89b12d3a456426614174000", "none"],
    ["/{date}", "/2031-05-17", "all"],
    ["/{date}", "/2031-13-17", "none"],
    ["/{id}", "/7", "all"],
    ["/{id}", "/abc-2024-001x", "all"],
    ["/{id}", "/checkout", "none"],
    ["/{id}", "/a1b2c3", "none"],
    ["/{str}", "/", "none"],
    ["/{str}/x", "//x", "none"],
    ["/{str}", "/é", "all"],
    ["/a", "*", "none"],
    ["/a/b", "/a//b", "some"],
    ["/a/b", "/a/x/../b", "some"],
    ["/b", "/a/%2e%2e/b", "some"],
    ["/a", "/a/;/..", "some"],
    ["/a", "/a//..", "some"],
    ["/a/b", "/a/..%2fx/../b", "some"],
    ["/b", "/a/%252e%252e/b", "some"],
    ["/b", "/a/%25252e%25252e/b", "none"],
    ["/100%25", "/100%25", "all"],
  ];
  test("says how much of a path is meant", () => {
    for (const [pattern, path, expected] of table) {
      expect(`${pattern} ${path} ${match(pattern, path)}`).toBe(`${pattern} ${path} ${expected}`);
    }
    expect(table).toHaveLength(50);
  });

  test("lets each reading be matched by another pattern", () => {
    const patterns = ["/a/**", "/b"].map((it) => parsePathPattern(it)!);
    expect(matchPaths(patterns, readPath("/a/../b"))).toBe("all");
    expect(matchPaths(patterns.slice(0, 1), readPath("/a/../b"))).toBe("some");
  });

  test("has the reading of every server of a kind, whatever is sent", () => {
    const segment = fc.constantFrom(
      ..."a b .. . ; ..;x a;b %2e%2e %2e %2f a%2fb %5c.. ..%2f %252e%252e %252f %61 a%00 %3b ..%5c".split(
        " ",
      ),
      "",
    );
    let ambiguous = 0;
    fc.assert(
      fc.property(fc.array(segment, { maxLength: 6 }), (segments) => {
        const path = `/${segments.join("/")}`;
        const readings = readPath(path);
        expect(readings.length).toBeLessThanOrEqual(READINGS_MAX);
        if (readings.length > 1) ambiguous += 1;
        const texts = readings.map((it) => named(it.segments.join("/")));
        for (const server of SERVERS) expect(texts).toContain(server(path));
      }),
      { numRuns: 500 },
    );
    expect(ambiguous).toBeGreaterThan(100);
  });

  test("stays quick for long paths", () => {
    const paths = [
      "/a".repeat(16_000),
      "/%2e%2e".repeat(4_000),
      "/".repeat(32_000),
      `/${"1".repeat(32_000)}x`,
      "/%25".repeat(8_000),
    ];
    const patterns = ["/{id}", "/{date}", "/{uuid}/**", "/**"].map((it) => parsePathPattern(it)!);
    const start = performance.now();
    for (const path of paths) expect(matchPaths(patterns, readPath(path))).not.toBe("none");
    expect(performance.now() - start).toBeLessThan(2_000);
  });
});
