/**
 * Tests of the choice of a link.
 *
 * @module
 */
import { expect, test } from "bun:test";
import type { Session } from "../../lib/mux/session.ts";
import { type Attachment, Registry } from "../../lib/routing/registry.ts";

interface FakeSession {
  open: boolean;
  streamsOpen: number;
  creditGrantedBytes: number;
  rttMs: number;
}

function attachment(services: string[], session: Partial<FakeSession> = {}, agent = "a"): Attachment {
  const fake = { open: true, streamsOpen: 0, creditGrantedBytes: 1, rttMs: 2, ...session };
  const known = { namespace: "default", image: "", tcp: new Set<string>(), sinceMs: 0, claimed: {} };
  return { session: fake as unknown as Session, agent, tokenId: "t", services, ...known };
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

test("totals add up", () => {
  const registry = new Registry();
  registry.add(attachment(["a"], { streamsOpen: 2, creditGrantedBytes: 10, rttMs: 5 }, "one"));
  registry.add(attachment(["b"], { streamsOpen: 3, creditGrantedBytes: 20, rttMs: 7 }, "two"));
  expect(registry.totals()).toEqual({
    ...{ links: 2, streams: 5, creditBytes: 30 },
    roundTrips: [{ agent: "one", seconds: 0.005 }, { agent: "two", seconds: 0.007 }],
    walls: { whole: 0, broken: 0, unknown: 2 },
  });
});
