/**
 * How many alerts came since the user last looked, and how it is told.
 *
 * @module
 */
import { expect, test } from "bun:test";
import type { NetwallEvent } from "../../lib/events/event.ts";
import { titleOf, unseenOf, unseenText, unseenWords } from "../../lib/page/events/unseen.ts";
import { eventOf } from "./samples.ts";

const byId = (...events: readonly NetwallEvent[]): ReadonlyMap<string, NetwallEvent> =>
  new Map(events.map((event) => [event.id, event]));
const one = (id: string, seq: number, effect: NetwallEvent["effect"] = "alert"): NetwallEvent =>
  eventOf({ id, seq, effect });

test("unseenOf() counts alerts and refusals that are new or came again, and nothing else", () => {
  const seen = byId(one("a", 1), one("b", 2, "prevent"), one("c", 3, "allow"));
  const cases: [ReturnType<typeof byId>, number][] = [
    [seen, 0],
    [byId(...seen.values()), 0],
    [byId(...seen.values(), one("d", 4), one("e", 5, "prevent"), one("f", 6, "allow")), 2],
    [byId(one("a", 7), one("b", 2, "prevent"), one("c", 8, "allow")), 1],
    // The page has forgotten what was seen.
    [byId(one("d", 4)), 1],
    // A gateway with another store counts from the beginning.
    [byId(...seen.values(), one("0", 1)), 1],
    [byId(), 0],
  ];
  for (const [events, wanted] of cases) expect(unseenOf(events, seen)).toBe(wanted);
  expect(cases).toHaveLength(7);
  expect(unseenOf(seen, byId())).toBe(2);
});

test("the count is told in short, in words, and in the title", () => {
  expect([0, 1, 99, 100, 1_000].map(unseenText)).toEqual(["0", "1", "99", "99+", "99+"]);
  expect([1, 3, 99].map(unseenWords)).toEqual(["1 new alert", "3 new alerts", "99 new alerts"]);
  expect(unseenWords(100)).toBe("more than 99 new alerts");
  expect(titleOf("Map", 0)).toBe("Map · netwall");
  expect(titleOf("Map", 3)).toBe("(3) Map · netwall");
  expect(titleOf("Events", 100)).toBe("(99+) Events · netwall");
});
