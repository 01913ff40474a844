/**
 * Tests of the choice of a link.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { type Attachment, Registry } from "../../lib/routing/registry.ts";
import { madeAttachment } from "../support/attachment.ts";

interface FakeSession {
  open: boolean;
  streamsOpen: number;
  ownStreams: number;
  ownStreamsMax: number | undefined;
  creditGrantedBytes: number;
  rttMs: number;
}

/** One whose `tcp` services are raw. */
function rawAttachment(services: string[], tcp: string[], session: Partial<FakeSession> = {}): Attachment {
  return { ...attachment(services, session), tcp: new Set(tcp) };
}

function attachment(services: string[], session: Partial<FakeSession> = {}, agent = "a"): Attachment {
  const fake = {
    ...{ open: true, streamsOpen: 0, creditGrantedBytes: 1, rttMs: 2, ownStreams: 0, ownStreamsMax: 100 },
    ...session,
  };
  return madeAttachment(fake, { agent, services });
}

test("nobody serves what nobody serves", () => {
  const registry = new Registry();
  expect(registry.select("web")).toBeUndefined();
  expect(registry.knows("web")).toBe(false);
  expect(registry.links("web")).toBe(0);
  expect(registry.knows("__proto__")).toBe(false);
});

test("the least busy link goes first, equals take turns", () => {
  const registry = new Registry();
  const busy = attachment(["web"], { streamsOpen: 5 });
  const calm = [attachment(["web"]), attachment(["web"])];
  for (const each of [busy, ...calm]) registry.add(each);
  const chosen = Array.from({ length: 30 }, () => registry.select("web"));
  expect(chosen.includes(busy)).toBe(false);
  for (const each of calm) expect(chosen.filter((one) => one === each).length).toBeGreaterThanOrEqual(8);
});

test("a link that is not open, or was tried, is never chosen", () => {
  const registry = new Registry();
  const shut = attachment(["web"], { open: false });
  const only = attachment(["web"], { streamsOpen: 999 });
  registry.add(shut);
  registry.add(only);
  for (let i = 0; i < 10; i++) expect(registry.select("web")).toBe(only);
  expect(registry.select("web", only.session)).toBeUndefined();
});

test("among many links the one that is open is found", () => {
  const registry = new Registry();
  for (let i = 0; i < 200; i++) registry.add(attachment(["web"], { open: false }));
  const only = attachment(["web"]);
  registry.add(only);
  for (let i = 0; i < 20; i++) expect(registry.select("web")).toBe(only);
  expect(registry.links("web")).toBe(201);
});

test("a service whose links left is remembered, and its list is not kept", () => {
  const registry = new Registry();
  const one = attachment(["web", "api"]);
  registry.add(one);
  registry.remove(one);
  registry.remove(one);
  expect(registry.select("web")).toBeUndefined();
  expect(registry.links("web")).toBe(0);
  expect(registry.knows("web")).toBe(true);
  expect(registry.all()).toEqual([]);
});

test("removing one link leaves the others of the same agent", () => {
  const registry = new Registry();
  const [one, two] = [attachment(["web"]), attachment(["web"])];
  registry.add(one);
  registry.add(two);
  registry.remove(one);
  expect(registry.select("web")).toBe(two);
});

test("names of services that left are bounded, and a service that is there is known past the bound", () => {
  const registry = new Registry();
  for (let i = 0; i < Registry.SERVICES_SEEN_MAX + 5; i += 250) {
    const gone = attachment(Array.from({ length: 250 }, (_, j) => `s-${i + j}`));
    registry.add(gone);
    registry.remove(gone);
  }
  expect(registry.knows("s-0")).toBe(true);
  const late = attachment(["late"]);
  registry.add(late);
  expect(registry.knows("late")).toBe(true);
  registry.remove(late);
  expect(registry.knows("late")).toBe(false);
});

test("each kind has its own links, and neither is chosen for the other", () => {
  const registry = new Registry();
  const one = rawAttachment(["db", "web"], ["db"]);
  registry.add(one);
  expect([registry.select("db"), registry.select("db", undefined, "tcp")]).toEqual([undefined, one]);
  expect([registry.select("web"), registry.select("web", undefined, "tcp")]).toEqual([one, undefined]);
  expect([registry.links("db"), registry.links("db", "tcp")]).toEqual([0, 1]);
  expect([registry.links("web"), registry.links("web", "tcp")]).toEqual([1, 0]);
  expect(["db", "web", "x"].map((name) => registry.kindOf(name))).toEqual(["tcp", "http", undefined]);
  registry.remove(one);
  expect([registry.links("web"), registry.links("db", "tcp")]).toEqual([0, 0]);
});

test("a service that is served in both ways is raw, and keeps both lists apart", () => {
  const registry = new Registry();
  const http = attachment(["x"]);
  const raw = rawAttachment(["x"], ["x"]);
  registry.add(http);
  expect(registry.kindOf("x")).toBe("http");
  registry.add(raw);
  expect(registry.kindOf("x")).toBe("tcp");
  for (let i = 0; i < 10; i++) {
    expect([registry.select("x"), registry.select("x", undefined, "tcp")]).toEqual([http, raw]);
  }
  registry.remove(raw);
  expect([registry.kindOf("x"), registry.select("x")]).toEqual(["http", http]);
});

test("a service that left is remembered with the kind it had last", () => {
  const registry = new Registry();
  const raw = rawAttachment(["x", "y"], ["x", "y"]);
  registry.add(raw);
  registry.remove(raw);
  expect([registry.kindOf("x"), registry.kindOf("y"), registry.knows("x")]).toEqual(["tcp", "tcp", true]);
  const http = attachment(["x"]);
  registry.add(http);
  registry.remove(http);
  expect([registry.kindOf("x"), registry.kindOf("y")]).toEqual(["http", "tcp"]);
  expect(registry.kindOf("__proto__")).toBeUndefined();
});

test("past the bound of names the kind of one that is remembered still changes, and no name is added", () => {
  const registry = new Registry();
  const all = Array.from({ length: Registry.SERVICES_SEEN_MAX }, (_, i) => `s-${i}`);
  const first = attachment(all);
  registry.add(first);
  registry.remove(first);
  const second = rawAttachment(["s-0", "late"], ["s-0", "late"]);
  registry.add(second);
  expect([registry.kindOf("s-0"), registry.kindOf("late")]).toEqual(["tcp", "tcp"]);
  registry.remove(second);
  expect(["s-0", "late", "s-1"].map((name) => registry.kindOf(name))).toEqual(["tcp", undefined, "http"]);
});

test("the least busy link is chosen among the raw ones, but never the one that was tried", () => {
  const registry = new Registry();
  const [busy, calm] = [
    rawAttachment(["db"], ["db"], { streamsOpen: 9 }),
    rawAttachment(["db"], ["db"], { streamsOpen: 1 }),
  ];
  registry.add(busy);
  registry.add(calm);
  registry.add(attachment(["db"]));
  for (let i = 0; i < 10; i++) expect(registry.select("db", undefined, "tcp")).toBe(calm);
  expect(registry.select("db", calm.session, "tcp")).toBe(busy);
  (calm.session as unknown as FakeSession).open = false;
  expect(registry.select("db", undefined, "tcp")).toBe(busy);
});

test("raw connections never get the last quarter of a link, and requests do", () => {
  const registry = new Registry();
  // Streams of this side, of how many: whether a raw connection may have one more.
  const cases: [ownStreams: number, ownStreamsMax: number | undefined, isFree: boolean][] = [
    [0, 100, true],
    [74, 100, true],
    [75, 100, false],
    [99, 100, false],
    [0, 1, true],
    [1, 2, true],
    [2, 3, true],
    [3, 4, false],
    [749, 1000, true],
    [750, 1000, false],
    // Its HELLO has not come, or it ended.
    [0, undefined, false],
  ];
  for (const [ownStreams, ownStreamsMax, isFree] of cases) {
    // Streams that the agent opened take nothing from it.
    const fake = { streamsOpen: ownStreams + 500, ownStreams, ownStreamsMax } as Partial<FakeSession>;
    const one = rawAttachment(["db", "web"], ["db"], fake);
    registry.add(one);
    expect([ownStreams, ownStreamsMax, registry.select("db", undefined, "tcp")]).toEqual([
      ...[ownStreams, ownStreamsMax],
      isFree ? one : undefined,
    ]);
    expect(registry.select("web")).toBe(one);
    registry.remove(one);
  }
  expect(cases).toHaveLength(11);
});

test("a raw connection goes to the link that has room for it, however busy, among a few and among many", () => {
  for (const count of [2, 200]) {
    const registry = new Registry();
    for (let i = 1; i < count; i++) {
      registry.add(rawAttachment(["db"], ["db"], { streamsOpen: 80, ownStreams: 80 }));
    }
    const roomy = rawAttachment(["db"], ["db"], { streamsOpen: 90, ownStreams: 10 });
    registry.add(roomy);
    for (let i = 0; i < 20; i++) expect(registry.select("db", undefined, "tcp")).toBe(roomy);
    expect(registry.select("db", roomy.session, "tcp")).toBeUndefined();
  }
});

test("isServedOtherwise() looks at links that stand, not at what was", () => {
  const registry = new Registry();
  const raw = rawAttachment(["db", "web"], ["db"]);
  const ask = (
    name: string,
  ): boolean[] => [registry.isServedOtherwise(name, "http"), registry.isServedOtherwise(name, "tcp")];
  expect(ask("db")).toEqual([false, false]);
  registry.add(raw);
  expect([ask("db"), ask("web"), ask("__proto__")]).toEqual([[true, false], [false, true], [false, false]]);
  registry.remove(raw);
  expect([ask("db"), ask("web")]).toEqual([[false, false], [false, false]]);
});

test("totals tell what the agent of each link claims of its wall", () => {
  const registry = new Registry();
  const claim = { listeners: 1, exposed: [], faults: [] };
  for (const state of ["whole", "whole", "broken", "unknown"] as const) {
    const one = attachment(["a"]);
    one.wall = { claim: { ...claim, state }, atMs: 0 };
    registry.add(one);
  }
  registry.add(attachment(["a"]));
  expect(registry.totals().walls.map(({ state }): string => state)).toEqual([
    ...["whole", "whole", "broken", "unknown"],
    "unknown",
  ]);
});

test("totals add up", () => {
  const registry = new Registry();
  registry.add(attachment(["a"], { streamsOpen: 2, creditGrantedBytes: 10, rttMs: 5 }, "one"));
  registry.add(attachment(["b"], { streamsOpen: 3, creditGrantedBytes: 20, rttMs: 7 }, "two"));
  expect(registry.totals()).toEqual({
    ...{ links: 2, streams: 5, creditBytes: 30 },
    roundTrips: [{ agent: "one", seconds: 0.005 }, { agent: "two", seconds: 0.007 }],
    walls: [{ agent: "one", state: "unknown" }, { agent: "two", state: "unknown" }],
  });
});
