/**
 * The filters of the map in the address.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import {
  folded,
  isNarrowed,
  type MapFilters,
  NO_FILTERS,
  paramsOf,
  parseFilters,
  SEARCH_CHARS_MAX,
  toggled,
} from "../../lib/page/map/filters.ts";

function written(filters: Partial<MapFilters>): URLSearchParams {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(paramsOf(filters))) {
    if (value !== undefined) params.set(name, value);
  }
  return params;
}

describe("the address", () => {
  const CASES: readonly Partial<MapFilters>[] = [
    {},
    { search: "a b&c=d#e" },
    { directions: new Set(["egress"]) },
    { directions: new Set() },
    { states: new Set(["blocked", "unknown"]) },
    { states: new Set() },
    { quietMinutes: 15 },
    { focus: "group:shop/ghcr.io/acme/web" },
    { fold: "all", opened: new Set(["shop", "data"]) },
    { fold: "none", shut: new Set(["shop"]) },
  ];
  test("gives back what was written", () => {
    let ran = 0;
    for (const one of CASES) {
      const filters = { ...NO_FILTERS, ...one };
      expect(parseFilters(new URLSearchParams(written(filters).toString()))).toEqual(filters);
      ran += 1;
    }
    expect(ran).toBe(10);
  });

  test("holds nothing when nothing is chosen", () => {
    expect(written(NO_FILTERS).toString()).toBe("");
    expect(parseFilters(new URLSearchParams())).toEqual(NO_FILTERS);
  });

  test("with nonsense in it is as if it were empty", () => {
    const nonsense = "quiet=-1&fold=maybe&directions=up,down&states=&open=,,,&shut=";
    expect(parseFilters(new URLSearchParams(nonsense))).toEqual(NO_FILTERS);
    for (const quiet of ["NaN", "1e9", "7", "Infinity", "5 ;"]) {
      expect(parseFilters(new URLSearchParams({ quiet })).quietMinutes).toBe(0);
    }
  });

  test("with too much in it is cut", () => {
    const long = parseFilters(
      new URLSearchParams({ q: "x".repeat(9_999), focus: "y".repeat(9_999), open: "z,".repeat(9_999) }),
    );
    expect(long.search).toHaveLength(SEARCH_CHARS_MAX);
    expect(long.focus).toBe("");
    expect(long.opened.size).toBe(1);
    const names = Array.from({ length: 5_000 }, (_, index) => `n${index}`).join();
    expect(parseFilters(new URLSearchParams({ shut: names })).shut.size).toBe(200);
  });
});

describe("isNarrowed()", () => {
  test("says whether something may be hidden", () => {
    expect(isNarrowed(NO_FILTERS)).toBe(false);
    expect(isNarrowed({ ...NO_FILTERS, fold: "all", search: "  " })).toBe(false);
    expect(isNarrowed({ ...NO_FILTERS, quietMinutes: 5 })).toBe(true);
    expect(isNarrowed({ ...NO_FILTERS, states: new Set(["learned"]) })).toBe(true);
  });
});

test("folded() puts a namespace in one of both lists, and out of the other", () => {
  const opened = { ...NO_FILTERS, ...folded(NO_FILTERS, "shop", false) };
  expect([[...opened.opened], [...opened.shut]]).toEqual([["shop"], []]);
  const shut = folded(opened, "shop", true);
  expect([[...shut.opened!], [...shut.shut!]]).toEqual([[], ["shop"]]);
});

test("toggled() leaves the set as it was", () => {
  const before = new Set(["a"]);
  expect([...toggled(before, "b")]).toEqual(["a", "b"]);
  expect([...toggled(before, "a")]).toEqual([]);
  expect([...before]).toEqual(["a"]);
});
