/**
 * Filters of the events view: read from any address, asked as the API takes them, and decided as the API does.
 *
 * @module
 */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { eventFilterSchema, eventQueryOf } from "../../lib/admin/query.ts";
import type { EventEnd, NetwallEvent } from "../../lib/events/event.ts";
import { chipsOf, cleared, type EventFilters, parseFilters, queryOf } from "../../lib/page/events/filters.ts";
import { matches } from "../../lib/page/events/match.ts";
import { eventMatches } from "../../lib/store/query.ts";
import { eventOf } from "./samples.ts";

const NOW_MS = 10_000_000;

/** What the API reads of a query of the page. */
function apiQuery(filters: EventFilters): ReturnType<typeof eventQueryOf> {
  const texts = Object.entries(queryOf(filters, NOW_MS)).map(([name, value]) => [name, String(value)]);
  return eventQueryOf(eventFilterSchema.parse(Object.fromEntries(texts)), 100);
}

test("parseFilters() takes what it knows, and nothing else, from an address", () => {
  const address =
    "q=%3Cb%3E&effect=prevent&verdict=no&type=__proto__&last=15m&since=5&event=1&host=+&severity=critical";
  expect(parseFilters(new URLSearchParams(address))).toEqual({
    ...{ q: "<b>", effect: "prevent", last: "15m", severity: "critical" },
  });
  expect(parseFilters(new URLSearchParams("since=2026-01-31T12:00:00Z&until=99"))).toEqual({
    ...{ since: "1769860800000", until: "99" },
  });
  expect(parseFilters(new URLSearchParams("effect=alert,prevent"))).toEqual({ effect: "alert,prevent" });
  expect(parseFilters(new URLSearchParams("effect=alert,"))).toEqual({});
  expect(parseFilters(new URLSearchParams("since=-1&until=x&last=constructor"))).toEqual({});
  expect(parseFilters(new URLSearchParams("since=999999999999999"))).toEqual({});
});

test("whatever an address says, the API takes the query that is made of it", () => {
  const names = [...Object.keys(cleared()), "event", "edge"];
  const some = fc.oneof(
    fc.string({ maxLength: 2_000 }),
    fc.constantFrom("prevent", "alert,prevent", "info", "1h", "7", "egress", "rateLimit"),
  );
  fc.assert(fc.property(fc.dictionary(fc.constantFrom(...names), some), (params) => {
    apiQuery(parseFilters(new URLSearchParams(params)));
  }));
});

const TEXTS = [
  "shop",
  "web",
  "Web",
  "web:1.0",
  "internet",
  "node-7",
  "0123456789ab",
  "0123456789AB",
  "ß",
  "/a",
];
const end: fc.Arbitrary<EventEnd> = fc.record({
  kind: fc.constantFrom("workload", "network", "host"),
  name: fc.constantFrom(...TEXTS),
  namespace: fc.constantFrom(...TEXTS),
  image: fc.constantFrom("web:1.0", "web@sha256:1", "web", "webby:1"),
  service: fc.constantFrom(...TEXTS),
  claimedContainerId: fc.constantFrom("0123456789abcdef", "web"),
  claimedHostname: fc.constantFrom("node-7", "NODE-7"),
}, { requiredKeys: ["kind", "name"] });
const event: fc.Arbitrary<NetwallEvent> = fc.record({
  time: fc.integer({ min: NOW_MS - 4_000_000, max: NOW_MS }),
  type: fc.constantFrom("rateLimit", "policyRule"),
  severity: fc.constantFrom("info", "critical"),
  effect: fc.constantFrom("alert", "prevent", "allow"),
  verdict: fc.constantFrom("audited", "dropped"),
  direction: fc.constantFrom("egress", "east-west"),
  message: fc.constantFrom("Web asked", "ß and ẞ", "İ"),
  source: fc.option(end, { nil: undefined }),
  destination: fc.option(end, { nil: undefined }),
}).map((parts) => {
  const { source: _source, destination: _destination, ...rest } = eventOf();
  return Object.fromEntries(
    Object.entries({ ...rest, ...parts }).filter(([, value]) => value !== undefined),
  ) as unknown as NetwallEvent;
});
const chosen = fc.dictionary(
  fc.constantFrom(
    "q",
    "host",
    "namespace",
    "image",
    "service",
    "source",
    "destination",
    "type",
    "severity",
    "effect",
    "last",
    "until",
  ),
  fc.constantFrom(...TEXTS, "rateLimit", "critical", "alert", "alert,prevent", "1h", "9000000", "İ", "i"),
  { maxKeys: 3 },
);

test("matches() says of every event what the API says", () => {
  let [found, left] = [0, 0];
  fc.assert(
    fc.property(event, chosen, (each, params) => {
      const filters = parseFilters(new URLSearchParams(params));
      const wanted = eventMatches(each, apiQuery(filters));
      expect(matches(each, filters, NOW_MS)).toBe(wanted);
      if (wanted) found += 1;
      else left += 1;
    }),
    { numRuns: 2_000 },
  );
  expect(found).toBeGreaterThan(50);
  expect(left).toBeGreaterThan(50);
});

test("chipsOf() names each filter, with what would turn the text around made visible", () => {
  expect(chipsOf({ effect: "prevent", q: "a\u202eb", last: "15m" })).toEqual([
    { name: "q", words: "Text", value: "a\\u202eb" },
    { name: "last", words: "Time", value: "last 15 minutes" },
    { name: "effect", words: "Effect", value: "prevent" },
  ]);
  expect(chipsOf({ effect: "alert,prevent" })).toEqual([
    { name: "effect", words: "Effect", value: "alert or prevent" },
  ]);
  expect(chipsOf({})).toEqual([]);
});
