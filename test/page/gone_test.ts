/**
 * Agents that were linked while the page was open, and are not any more.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { GONE_MAX, goneAfter, type GoneLink } from "../../lib/page/core/gone.ts";
import type { Link } from "../../lib/page/core/types.ts";
import { selectGone } from "../../lib/page/links/link_facts.ts";
import { link } from "./map_samples.ts";

const of = (agent: string): Link => link("shop/web", { agent, services: [agent] });
const names = (gone: readonly GoneLink[]): string[] => gone.map((each) => each.link.agent);

test("goneAfter() keeps who is gone and since when, the last that went first", () => {
  const first = goneAfter([], [of("a"), of("b")], [of("b")], 1);
  expect(first).toEqual([{ link: of("a"), sinceMs: 1 }]);
  const second = goneAfter(first, [of("b")], [], 2);
  expect(second.map(({ link, sinceMs }) => [link.agent, sinceMs])).toEqual([["b", 2], ["a", 1]]);
});

test("goneAfter() forgets who is linked again, and leaves the list alone when nothing changes", () => {
  const gone = goneAfter([], [of("a"), of("b")], [], 1);
  expect(goneAfter(gone, [], [], 2)).toBe(gone);
  expect(names(goneAfter(gone, [], [of("a")], 2))).toEqual(["b"]);
  // Of several links of one agent one is left.
  expect(goneAfter([], [of("a"), { ...of("a"), since: "x" }], [of("a")], 3)).toEqual([]);
  expect(names(goneAfter([], [of("a"), { ...of("a"), since: "x" }], [], 3))).toEqual(["a"]);
});

test("goneAfter() holds no more than its bound, and forgets the oldest", () => {
  let gone: readonly GoneLink[] = [];
  for (let at = 0; at < 3 * GONE_MAX; at++) gone = goneAfter(gone, [of(`a${at}`)], [], at);
  expect(gone).toHaveLength(GONE_MAX);
  expect(names(gone)[0]).toBe(`a${3 * GONE_MAX - 1}`);
  const all = Array.from({ length: 5 * GONE_MAX }, (_, index) => of(`b${index}`));
  expect(goneAfter(gone, all, [], 9_999)).toHaveLength(GONE_MAX);
});

test("selectGone() looks in what is shown, and shows none where a wall is asked for", () => {
  const gone = goneAfter([], [of("alpha"), of("beta")], [], 1);
  expect(names(selectGone(gone, { text: "BETA", wall: undefined }))).toEqual(["beta"]);
  expect(selectGone(gone, { text: "", wall: undefined })).toHaveLength(2);
  expect(selectGone(gone, { text: "", wall: "whole" })).toEqual([]);
});
