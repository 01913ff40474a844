/**
 * The list of the events view: pages and live events as one list without a gap, and rows that hold still.
 *
 * @module
 */
import { expect, test } from "bun:test";
import type { NetwallEvent } from "../../lib/events/event.ts";
import { EventFeed, heldRows } from "../../lib/page/events/feed.ts";
import { eventOf } from "./samples.ts";

/** @param n Its place in the log. */
function numbered(n: number, patch: Partial<NetwallEvent> = {}): NetwallEvent {
  return eventOf({ id: String(n).padStart(11, "0"), seq: n, time: n * 1_000, ...patch });
}

const numbers = (rows: readonly NetwallEvent[]): number[] => rows.map(({ id }) => Number(id));
const live = (...events: NetwallEvent[]): Map<string, NetwallEvent> =>
  new Map(events.map((each) => [each.id, each]));
const span = (from: number, to: number): NetwallEvent[] =>
  Array.from({ length: to - from + 1 }, (_, index) => numbered(to - index));

test("EventFeed joins pages and what is live, the newest first, each once", () => {
  const feed = new EventFeed(() => true);
  expect(feed.isRead).toBe(false);
  feed.takeLive(live(numbered(7), numbered(8)));
  feed.restart({ items: span(5, 7), next: "00000000005" });
  feed.addPage({ items: span(3, 4) });
  expect(numbers(feed.rows())).toEqual([8, 7, 6, 5, 4, 3]);
  expect(feed.next).toBeUndefined();
  expect(feed.isRead).toBe(true);
});

test("EventFeed moves an event to the top when equal ones come, and never back", () => {
  const feed = new EventFeed(() => true);
  feed.restart({ items: span(1, 3) });
  feed.takeLive(live(numbered(1, { seq: 9, time: 9_000, count: 2 })));
  expect(numbers(feed.rows())).toEqual([1, 3, 2]);
  // A page that was read before knows less.
  feed.addPage({ items: [numbered(1)] });
  expect(feed.rows()[0]?.count).toBe(2);
});

test("EventFeed takes only what is wanted of what is live, and lets go of what no longer is", () => {
  const feed = new EventFeed(({ effect }) => effect === "alert");
  feed.takeLive(live(numbered(1), numbered(2, { effect: "prevent" })));
  expect(numbers(feed.rows())).toEqual([1]);
  feed.takeLive(live(numbered(2, { effect: "prevent" }), numbered(1, { seq: 3, effect: "prevent" })));
  expect(numbers(feed.rows())).toEqual([]);
});

test("EventFeed keeps at most so many, and goes on loading where it forgot", () => {
  const feed = new EventFeed(() => true, 10);
  feed.restart({ items: span(1, 8), next: "00000000001" });
  for (let n = 9; n <= 25; n++) feed.takeLive(live(numbered(n - 1), numbered(n)));
  expect(numbers(feed.rows())).toEqual([25, 24, 23, 22, 21, 20, 19, 18, 17, 16]);
  expect(feed.isFull).toBe(true);
  // Pages hold what is before an id: the next one begins with what was forgotten last.
  expect(feed.next).toBe("00000000016");
});

test("EventFeed keeps an old event that equal ones keep new, and loads all below it", () => {
  const feed = new EventFeed(() => true, 3);
  feed.takeLive(live(numbered(1, { time: 99_000 }), numbered(2), numbered(3), numbered(4)));
  expect(numbers(feed.rows())).toEqual([1, 4, 3]);
  expect(feed.next).toBe("00000000003");
});

test("EventFeed says when more came than was told", () => {
  const feed = new EventFeed(() => true);
  expect(feed.takeLive(live(...span(1, 3).reverse()))).toBe(false);
  expect(feed.takeLive(live(...span(2, 5).reverse()))).toBe(false);
  expect(feed.takeLive(live(...span(7, 9).reverse()))).toBe(true);
  feed.restart({ items: span(8, 9), next: "00000000008" });
  // What lies on the other side of what is missing is gone: it would look whole.
  expect(numbers(feed.rows())).toEqual([9, 8]);
  expect(feed.takeLive(live(...span(7, 10).reverse()))).toBe(false);
  expect(numbers(feed.rows())).toEqual([10, 9, 8]);
});

test("EventFeed shows the same array while nothing changes", () => {
  const feed = new EventFeed(() => true);
  feed.restart({ items: span(1, 3) });
  const rows = feed.rows();
  feed.takeLive(live());
  expect(feed.rows() === rows).toBe(true);
});

test("heldRows() lets no row move, counts what waits, and adds what is older", () => {
  const held = span(4, 6);
  const now = [
    numbered(4, { seq: 20, time: 20_000, count: 3 }),
    numbered(8),
    numbered(7),
    ...span(5, 6),
    ...span(1, 3),
  ];
  const { rows, waiting } = heldRows(held, now);
  expect(numbers(rows)).toEqual([6, 5, 4, 3, 2, 1]);
  expect(rows[2]?.count).toBe(3);
  expect(waiting).toBe(2);
});

test("heldRows() keeps what the list has forgotten", () => {
  expect(numbers(heldRows(span(1, 3), [numbered(9)]).rows)).toEqual([3, 2, 1]);
});
