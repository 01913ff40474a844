/**
 * What an event says: in a row, in groups, in a file, and which edge it is of.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { EXPORT_EVENTS_MAX, exportEvents } from "../../lib/admin/event_export.ts";
import { EVENT_TYPES, type NetwallEvent } from "../../lib/events/event.ts";
import { visible } from "../../lib/page/core/visible.ts";
import { edgeOfEvent, sectionsOf } from "../../lib/page/events/event_facts.ts";
import { saysCut } from "../../lib/page/events/export.ts";
import { cellsOf, pendingText, shortId, subjectOf, TYPE_WORDS } from "../../lib/page/events/words.ts";
import { edgeOf, eventOf } from "./samples.ts";

test("every type of event has words", () => {
  expect(Object.keys(TYPE_WORDS).sort()).toEqual([...EVENT_TYPES].sort());
});

test("cellsOf() tells of the container that called, else of the one that was called", () => {
  expect(cellsOf(eventOf())).toMatchObject({
    ...{
      container: "web-1",
      host: "node-7",
      image: "front-end:1.0",
      source: "shop/front-end",
      rule: "implicit",
    },
    destination: "shop/user user",
  });
  const outside = eventOf({ source: { kind: "network", name: "internet", ip: "203.0.113.9" } });
  expect(subjectOf(outside)?.name).toBe("shop/user");
  expect(cellsOf(outside)).toMatchObject({ container: "", host: "node-8", source: "internet 203.0.113.9" });
  const { source: _source, destination: _destination, ...nobody } = eventOf();
  expect(cellsOf(nobody as NetwallEvent)).toMatchObject({ container: "", source: "", destination: "" });
});

test("a row tells of the request, or of all else by its message", () => {
  expect(cellsOf(eventOf()).what).toBe("GET /users/7/keys");
  expect(cellsOf(eventOf({ http: { ...eventOf().http!, status: 404 } })).what).toBe("GET /users/7/keys 404");
  expect(cellsOf(eventOf({ deviation: { kind: "contentType", observed: "text/xml", expected: "" } })).what)
    .toBe("GET /users/7/keys, text/xml");
  expect(cellsOf(eventOf({ type: "rateLimit", message: "too many" })).what).toBe("too many");
  const { http: _http, ...raw } = eventOf({ message: "it connected" });
  expect(cellsOf(raw as NetwallEvent).what).toBe("it connected");
});

test("what strangers wrote is visible in every cell and every fact", () => {
  const evil = "a\u202eb\u200b\u0007<script>";
  const end = {
    kind: "workload" as const,
    name: evil,
    namespace: evil,
    image: evil,
    agent: evil,
    service: evil,
  };
  const claims = { claimedContainerId: evil, claimedContainerName: evil, claimedHostname: evil };
  const event = eventOf({
    message: evil,
    source: { ...end, ...claims },
    destination: { ...end, ...claims },
    rule: { kind: "rule", id: evil },
    deviation: { kind: "route", observed: evil, expected: evil },
    http: {
      method: evil,
      host: evil,
      path: evil,
      route: evil,
      contentType: evil,
      userAgent: evil,
      requestId: evil,
    },
  });
  const texts = [
    ...Object.values(cellsOf(event)),
    ...sectionsOf(event).flatMap(({ facts }) => facts.map(({ value }) => value)),
  ];
  expect(texts.length).toBeGreaterThan(30);
  for (const text of texts) expect(visible(text)).toBe(text);
  expect(texts.filter((text) => text.includes("a\\u202eb\\u200b\\u0007<script>")).length).toBeGreaterThan(20);
});

test("sectionsOf() has a filter for each value that finds others like it, as it is compared", () => {
  const sections = sectionsOf(eventOf({ count: 3 }));
  expect(sections.map(({ title }) => title)).toEqual([
    ...["What", "Source", "Destination", "Request", "Rule", "Deviation"],
  ]);
  const filters = sections.flatMap(({ facts }) => facts.flatMap(({ filter }) => filter ?? []));
  expect(filters.filter(({ name }) => name === "source").map(({ value }) => value)).toEqual([
    "shop/front-end",
  ]);
  expect(filters.filter(({ name }) => name === "host").map(({ value }) => value)).toEqual([
    ...["web-1", "0123456789abcdef", "node-7", "node-8"],
  ]);
  const agents = sections.flatMap(({ facts }) => facts.flatMap(({ agent }) => agent ?? []));
  expect(agents).toEqual(["front-end-1", "user-1"]);
  const { http: _http, source: _source, destination: _to, deviation: _deviation, ...bare } = eventOf();
  expect(sectionsOf(bare as NetwallEvent).map(({ title }) => title)).toEqual(["What", "Rule"]);
});

test("pendingText() says what the staged policy or the mode prevent would do, when that is something else", () => {
  expect(pendingText(eventOf())).toBe("");
  expect(pendingText(eventOf({ pendingVerdict: "audited" }))).toBe("");
  expect(pendingText(eventOf({ pendingVerdict: "dropped" }))).toBe("the mode prevent would refuse it");
  expect(
    pendingText(eventOf({ pendingVerdict: "forwarded", pendingRule: { kind: "rule", id: "r2", index: 0 } })),
  )
    .toBe("the staged rule r2 would forward it");
});

test("edgeOfEvent() finds the edge of the same ends, and no other", () => {
  const outside = edgeOf({
    id: "out",
    direction: "egress",
    protocol: "tcp",
    destination: "",
    service: "",
    host: "a.test",
    port: 443,
  });
  const edges = [
    edgeOf({ id: "other", service: "admin" }),
    edgeOf({ id: "tcp", protocol: "tcp" }),
    edgeOf({}),
    outside,
  ];
  expect(edgeOfEvent(eventOf(), edges)?.id).toBe("e1");
  const host = { kind: "host" as const, name: "a.test:443", host: "a.test", port: 443 };
  expect(edgeOfEvent(eventOf({ destination: host, direction: "egress", protocol: "tcp" }), edges)?.id).toBe(
    "out",
  );
  expect(
    edgeOfEvent(eventOf({ destination: { ...host, port: 80 }, direction: "egress", protocol: "tcp" }), edges),
  )
    .toBeUndefined();
  const { source: _source, ...nobody } = eventOf();
  expect(edgeOfEvent(nobody as NetwallEvent, edges)).toBeUndefined();
});

test("saysCut() sees that a file was cut in what the gateway writes, and nowhere else", async () => {
  const message = 'cut off here: go on with before=1\n{"cutOff":true}';
  let count = 0;
  for (const format of ["csv", "ndjson"] as const) {
    for (const next of ["00000000001", undefined]) {
      const items = [eventOf({ message })];
      const page = { items, ...(next === undefined ? {} : { next }) };
      const body = await exportEvents({
        format,
        cut: undefined,
        eventsMax: 1,
        page: () => Promise.resolve(page),
      });
      expect(saysCut(await new Response(body).text(), format)).toBe(next !== undefined);
      count += 1;
    }
  }
  expect(count).toBe(4);
  expect(EXPORT_EVENTS_MAX).toBe(100_000);
});

test("shortId() leaves the zeros away, and one of zeros alone", () => {
  expect([shortId("0000000001a"), shortId("00000000000"), shortId("")]).toEqual(["1a", "0", ""]);
});
