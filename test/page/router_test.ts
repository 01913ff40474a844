/**
 * Addresses of views: whatever comes is read as a view, and what is written is read back.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { hrefOf, read, VIEWS } from "../../lib/page/core/router.ts";

const ORIGIN = "http://localhost:9090";

test("every view has an address that leads to it", () => {
  for (const view of VIEWS) {
    const params = { q: 'a b&c=d#e"<x>', state: "unknown", none: "", absent: undefined };
    const { view: found, params: kept } = read(ORIGIN + hrefOf(view, params));
    expect(found).toBe(view);
    expect([...kept]).toEqual([["q", 'a b&c=d#e"<x>'], ["state", "unknown"]]);
  }
  expect(VIEWS.length).toBe(5);
});

test.each([
  "/",
  "/nowhere",
  "/map",
  "/Events",
  "//evil.example/events",
  "/events/",
  "/%00",
  "/events/../policy?x=1",
])(
  "%s is a view of this page",
  (path) => {
    expect(VIEWS).toContain(read(ORIGIN + path).view);
    expect(hrefOf(read(ORIGIN + path).view).startsWith("/")).toBe(true);
    expect(hrefOf(read(ORIGIN + path).view).startsWith("//")).toBe(false);
  },
);
