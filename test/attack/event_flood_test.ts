/**
 * A stranger who makes as many different events as he can, so that the store forgets what he did before.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { MERGE_MS, type NetwallEvent, type Noticed } from "../../lib/events/event.ts";
import { COARSE_KEYS_MAX, EventLog, SOURCE_KEYS_MAX, VISITOR_KEYS_MAX } from "../../lib/events/event_log.ts";
import { MemoryStore } from "../../lib/store/memory_store.ts";
import { StoreError } from "../../lib/store/store.ts";
import { StoreWriter } from "../../lib/store/store_writer.ts";

const START_MS = 1_000_000;

function denied(ip: string, route: string, index: number): Noticed {
  return {
    time: START_MS,
    type: "unexpectedRequest",
    severity: "critical",
    direction: "north-south",
    protocol: "http",
    mode: "prevent",
    effect: "prevent",
    verdict: "dropped",
    rule: { kind: "implicit" },
    deviation: { kind: "route", observed: route, expected: "/" },
    source: { kind: "network", name: "internet", ip },
    destination: { kind: "workload", name: "shop/front-end", namespace: "shop", service: "front-end" },
    http: {
      method: "GET",
      host: `${index}.example`,
      path: route,
      route,
      userAgent: "x".repeat(5_000),
      requestId: "r",
    },
    message: "denied",
  };
}

interface Flood {
  readonly log: EventLog;
  readonly newest: Map<string, NetwallEvent>;
  clockMs: number;
}

function floodOf(): Flood {
  const newest = new Map<string, NetwallEvent>();
  let seq = 0;
  const flood: Flood = {
    newest,
    clockMs: START_MS,
    log: new EventLog({
      nowMs: () => flood.clockMs,
      nextSeq: () => ++seq,
      write: (event) => newest.set(event.id, event),
    }),
  };
  return flood;
}

const total = (events: Iterable<NetwallEvent>): number =>
  [...events].reduce((sum, { count }) => sum + count, 0);

test("one address with endless routes and hosts makes SOURCE_KEYS_MAX events and one, and each request counts", () => {
  const { log, newest } = floodOf();
  const requests = 5_000;
  for (let index = 0; index < requests; index++) log.notice(denied("192.0.2.1", `/${index}`, index));
  log.flush();
  expect(newest.size).toBe(SOURCE_KEYS_MAX + 1);
  expect(total(newest.values())).toBe(requests);
});

test("endless addresses fill the share of visitors and then share an event; what is known keeps its own", () => {
  const flood = floodOf();
  const { log, newest } = flood;
  const victim = log.notice(denied("198.51.100.7", "/admin", 0));
  const requests = VISITOR_KEYS_MAX + 6_000;
  for (let index = 0; index < requests; index++) {
    log.notice(denied(`2001:db8:${index.toString(16)}::1`, "/", index));
  }
  expect(log.notice(denied("198.51.100.7", "/admin", 0))).toMatchObject({ id: victim.id, count: 2 });
  log.flush();
  expect(newest.size).toBeLessThanOrEqual(VISITOR_KEYS_MAX + COARSE_KEYS_MAX);
  expect(total(newest.values())).toBe(requests + 2);
  // What many addresses share names none of them.
  const shared = [...newest.values()].filter(({ source }) => source?.ip === undefined);
  expect(shared).toHaveLength(1);
  expect(total(shared)).toBe(requests + 1 - VISITOR_KEYS_MAX);
  // When the flood is over, strangers are told apart again.
  flood.clockMs += MERGE_MS;
  const after = log.notice({ ...denied("203.0.113.1", "/", 0), time: flood.clockMs });
  expect(after).toMatchObject({ count: 1, source: { ip: "203.0.113.1" } });
});

test("a flood on a store that cannot be written neither grows without end nor pushes out what was denied", () => {
  const store = new MemoryStore();
  const full = (): never => {
    throw new StoreError("Cannot write: the disk is full", "full");
  };
  const { putEvents } = store;
  store.putEvents = full;
  const writer = new StoreWriter(store, { onFault: () => {}, onHealed: () => {}, eventsQueuedMax: 500 });
  const log = new EventLog({
    nowMs: () => START_MS,
    nextSeq: () => writer.nextSeq(),
    write: (event) => writer.event(event),
  });
  const evidence = log.notice(denied("198.51.100.7", "/admin", 0));
  for (let index = 0; index < 3_000; index++) {
    log.notice({
      ...denied(`10.0.${index >> 8}.${index & 255}`, "/", 0),
      effect: "alert",
      verdict: "audited",
    });
  }
  writer.flush();
  expect(writer.waiting).toBe(500);
  store.putEvents = putEvents;
  writer.flush();
  expect(store.event(evidence.id)).toMatchObject({ verdict: "dropped" });
  expect(writer.unrecorded.events).toBe(3_001 - 500);
  writer.close();
});
