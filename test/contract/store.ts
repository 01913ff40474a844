/**
 * What every store does, wherever it keeps things: one suite, run for each kind.
 *
 * @module
 */
import { afterEach, describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { NetwallEvent } from "../../lib/events/event.ts";
import { defaultPolicy, policySchema } from "../../lib/policy/document.ts";
import { edgeId } from "../../lib/policy/edge.ts";
import { HOURS_MAX } from "../../lib/policy/edge_traffic.ts";
import type { EdgeRecord, FlowRecord } from "../../lib/policy/record.ts";
import { eventMatches } from "../../lib/store/query.ts";
import {
  type EventQuery,
  PAGE_MAX,
  POLICIES_STORED_MAX,
  type Store,
  StoreError,
} from "../../lib/store/store.ts";

/** An event that a store takes; its id sorts as `seq` does. */
export function eventAt(seq: number, changes: Partial<NetwallEvent> = {}): NetwallEvent {
  return {
    id: String(seq).padStart(11, "0"),
    seq,
    time: 1_000_000 + seq,
    firstTime: 1_000_000,
    count: 1,
    type: "unexpectedConnection",
    severity: "warning",
    direction: "east-west",
    protocol: "tcp",
    mode: "alert",
    effect: "alert",
    verdict: "audited",
    rule: { kind: "implicit" },
    source: { kind: "workload", name: "shop/front-end", namespace: "shop", image: "front-end:1.2" },
    destination: {
      kind: "workload",
      name: "shop/user-db",
      namespace: "shop",
      image: "redis:7",
      service: "user-db",
      port: 6379,
    },
    message: "front-end connected to user-db",
    ...changes,
  };
}

export function edgeAt(id: string, lastSeenMs: number, count = 1): EdgeRecord {
  return {
    id,
    direction: "egress",
    protocol: "tcp",
    source: "shop/payment",
    destination: "",
    service: "",
    host: "verify.example",
    port: 443,
    state: "unknown",
    firstSeenMs: 1,
    lastSeenMs,
    count,
    droppedCount: 0,
    failedCount: 0,
    inBytes: 0,
    outBytes: 2 ** 52,
    lastVerdict: "forwarded",
    lastRule: "learning",
    seq: count,
  };
}

export function flowAt(hourMs: number, changes: Partial<FlowRecord> = {}): FlowRecord {
  return {
    direction: "north-south",
    protocol: "http",
    source: "internet",
    destination: "shop/front-end",
    service: "front-end",
    host: "",
    port: 0,
    hourMs,
    address: "192.0.2.1",
    method: "GET",
    httpHost: "shop.example",
    route: "/users/{int}",
    path: "/users/7",
    contentType: "",
    verdict: "forwarded",
    count: 1,
    bytes: 0,
    ...changes,
  };
}

/** Texts that have broken a store before. */
export const HOSTILE_TEXTS: readonly string[] = [
  "",
  "a\u0000b",
  "\u0000",
  "'; DROP TABLE events; --",
  "\"'`\\\r\n\t\u2028",
  "\u{1f4a5}é漢\ufeff",
  "?1 :name @name $name",
  "%_*[]",
  "x".repeat(1 << 20),
];

/** Calls `prune` as a gateway does. @returns How many records went. */
export function pruneAll(store: Store, beforeMs: number, bytesMax = Infinity): number {
  let total = 0;
  for (let calls = 0; calls < 10_000; calls++) {
    const count = store.prune({ beforeMs, bytesMax });
    if (count === 0) return total;
    total += count;
  }
  throw new Error("Cannot prune: it never comes to an end");
}

/** Registers the suite for one kind of store. */
export function runStoreContract(name: string, make: () => Store): void {
  const stores: Store[] = [];
  const open = (): Store => {
    const store = make();
    stores.push(store);
    return store;
  };
  describe(`store contract, ${name}`, () => {
    afterEach(() => {
      for (const store of stores.splice(0)) store.close();
    });
    eventTests(open);
    pageTests(open);
    recordTests(open);
    policyTests(open);
    pruneTests(open);
    endTests(open);
  });
}

function eventTests(open: () => Store): void {
  test("gives an event back as it was put, and the newest state of one that changed", () => {
    const store = open();
    const event = eventAt(1, {
      http: { method: "GET", host: "a", path: "/", status: 403, requestId: "r1" },
      deviation: { kind: "route", observed: "/x", expected: "/y" },
      pendingRule: { kind: "rule", id: "office", index: 3 },
    });
    store.putEvents([event, eventAt(2)]);
    expect(store.event(event.id)).toEqual(event);
    store.putEvents([{ ...event, seq: 3, count: 7, time: 2_000_000, effect: "prevent", verdict: "dropped" }]);
    expect(store.event(event.id)?.count).toBe(7);
    expect(store.events({ limit: 10 }).items.map(({ seq }) => seq)).toEqual([2, 3]);
    expect(store.events({ limit: 10, effect: ["prevent"] }).items.map(({ id }) => id)).toEqual([event.id]);
    expect(store.events({ limit: 10, effect: ["prevent", "alert"] }).items).toHaveLength(2);
    expect(store.events({ limit: 10, effect: ["allow"] }).items).toEqual([]);
    expect(store.events({ limit: 10, effect: [] }).items).toEqual([]);
    expect(store.events({ limit: 10, verdict: "audited" }).items).toHaveLength(1);
    expect(store.event("none")).toBeUndefined();
  });

  test("looks at no more than it may, and says from where to go on", () => {
    const store = open();
    store.putEvents(
      Array.from(
        { length: 25 },
        (_, index) => eventAt(index + 1, { effect: index === 2 || index === 21 ? "prevent" : "alert" }),
      ),
    );
    const walk = (query: EventQuery): number[][] => {
      const pages: number[][] = [];
      for (let before: string | undefined, calls = 0; calls < 50; calls++) {
        const page = store.events(before === undefined ? query : { ...query, before });
        pages.push(page.items.map(({ seq }) => seq));
        if (page.next === undefined) return pages;
        before = page.next;
      }
      throw new Error("It goes on for ever");
    };
    expect(walk({ limit: 9, effect: ["prevent"], looksMax: 10 })).toEqual([[22], [], [3]]);
    expect(walk({ limit: 1, effect: ["prevent"], looksMax: 25 }).flat()).toEqual([22, 3]);
    expect(walk({ limit: 9, type: "modelStable", looksMax: 7 }).flat()).toEqual([]);
    // The same where the events themselves are read, and found by half only.
    expect(walk({ limit: 9, effect: ["prevent"], q: "USER-DB", looksMax: 10 })).toEqual([[22], [], [3]]);
    expect(walk({ limit: 1, effect: ["prevent"], q: "user-db", looksMax: 25 }).flat()).toEqual([22, 3]);
    expect(walk({ limit: 9, q: "severity", looksMax: 7 })).toEqual([[], [], [], []]);
    expect(walk({ limit: 9, host: "user-db", looksMax: 25 })).toEqual([[], []]);
    const all = Array.from({ length: 25 }, (_, index) => 25 - index);
    for (const looksMax of [1, 2, 3, 24, 25, 26]) {
      for (const limit of [1, 4, 30]) {
        expect(walk({ limit, looksMax }).flat()).toEqual(all);
        expect(walk({ limit, looksMax, q: "connected" }).flat()).toEqual(all);
      }
    }
  });

  test("keeps hostile texts and great numbers", () => {
    const store = open();
    const events = HOSTILE_TEXTS.map((text, index) =>
      eventAt(index + 1, {
        message: text,
        time: 2 ** 52 + index,
        count: Number.MAX_SAFE_INTEGER,
        source: { kind: "host", name: text, image: text, namespace: text, service: text },
      })
    );
    store.putEvents(events);
    let compared = 0;
    for (const event of events) {
      expect(store.event(event.id)).toEqual(event);
      const name = event.source!.name;
      expect(store.events({ limit: 9, source: name, image: name }).items.map(({ id }) => id)).toEqual([
        event.id,
      ]);
      compared++;
    }
    expect(compared).toBe(HOSTILE_TEXTS.length);
    const half = eventAt(50, { message: "half \ud83d a character" });
    store.putEvents([half]);
    expect(store.event(half.id)).toEqual(half);
  });

  test("eventsAfter() follows seq, also through changes of old events", () => {
    const store = open();
    store.putEvents([1, 2, 3, 4].map((seq) => eventAt(seq)));
    store.putEvents([{ ...eventAt(2), seq: 5 }]);
    expect(store.eventsAfter(0, 10).map(({ seq }) => seq)).toEqual([1, 3, 4, 5]);
    expect(store.eventsAfter(3, 1).map(({ seq }) => seq)).toEqual([4]);
    expect(store.eventsAfter(5, 10)).toEqual([]);
  });

  test("lastSeq() never goes back, not even when everything is deleted", () => {
    const store = open();
    expect(store.lastSeq()).toBe(0);
    store.putEvents([eventAt(7), eventAt(3)]);
    expect(store.lastSeq()).toBe(7);
    pruneAll(store, Infinity);
    expect(store.events({ limit: 1 }).items).toEqual([]);
    expect(store.lastSeq()).toBe(7);
    store.putEvents([]);
    expect(store.lastSeq()).toBe(7);
  });

  test("putEvents() is all or nothing", () => {
    const store = open();
    const unwritable: NetwallEvent = eventAt(2);
    // What JSON cannot say stands for any failure in the middle.
    Object.assign(unwritable, { count: 2n });
    expect(() => store.putEvents([eventAt(1), unwritable])).toThrow();
    expect(store.events({ limit: 5 }).items).toEqual([]);
    expect(store.lastSeq()).toBe(0);
    store.putEvents([eventAt(3)]);
    expect(store.events({ limit: 5 }).items).toHaveLength(1);
  });
}

const choice = <T>(...values: T[]): fc.Arbitrary<T> => fc.constantFrom(...values);
const endArbitrary = fc.record({
  kind: choice("workload" as const),
  name: choice("a", "b", "c"),
  namespace: choice("n1", "n2"),
  image: choice("i1", "i2"),
  service: choice("s1", "s2"),
  claimedHostname: choice("Box-1", "box-2", "n\u00c9"),
  claimedContainerName: choice("front-1", "BOX-1"),
  claimedContainerId: choice("4f2a9c01b2d3e4f5", "4f2a9c01b2d3ffff"),
}, { requiredKeys: ["kind", "name"] });
/** Signs that JSON, SQL or LIKE take for their own, and letters whose case is not ASCII's. */
const WORDS = [
  "Alpha",
  "alp",
  "%",
  "_",
  "\\",
  '"',
  "'",
  "n",
  "\n",
  "\u0000",
  "\u00c9",
  "\u00e9",
  "\u{1f4a5}",
  "\ud83d",
];
const wordsArbitrary = fc.array(choice(...WORDS), { maxLength: 4 }).map((words) => words.join(""));
const eventArbitrary = fc.record({
  type: choice("unexpectedConnection" as const, "policyRule" as const),
  severity: choice("warning" as const, "critical" as const),
  effect: choice("alert" as const, "prevent" as const),
  verdict: choice("audited" as const, "dropped" as const),
  direction: choice("egress" as const, "east-west" as const),
  time: fc.integer({ min: 0, max: 20 }),
  source: endArbitrary,
  destination: endArbitrary,
  message: wordsArbitrary,
  http: fc.record({
    method: choice("GET"),
    host: choice("shop.example"),
    path: wordsArbitrary.map((words) => `/${words}`),
    requestId: choice("r-1", "r-2"),
  }),
}, { requiredKeys: ["type", "severity", "effect", "verdict", "time", "message"] });
const queryArbitrary: fc.Arbitrary<Partial<EventQuery>> = fc.record({
  type: choice("unexpectedConnection" as const, "policyRule" as const),
  effect: fc.subarray(["alert", "prevent", "allow"] as const),
  verdict: choice("audited" as const, "dropped" as const),
  direction: choice("egress" as const, "east-west" as const),
  sinceMs: fc.integer({ min: 0, max: 20 }),
  untilMs: fc.integer({ min: 0, max: 20 }),
  source: choice("a", "b"),
  destination: choice("a", "b"),
  namespace: choice("n1", "n3"),
  image: choice("i1", "i2"),
  service: choice("s1", "s2"),
  severity: choice("warning" as const, "critical" as const),
  host: choice(
    "box-1",
    "BOX-2",
    "n\u00c9",
    "n\u00e9",
    "4F2A9C01B2D3",
    "4f2a9c01b2d3e4f5",
    "4f2a9c01b2d",
    "%",
    "box",
  ),
  q: fc.oneof(choice(...WORDS), choice("r-1", "ALPHA", "message", 'e":"', "shop.EX", "BOX"), wordsArbitrary),
}, { requiredKeys: [] });
/** Few conditions at once, so that most queries find something. */
const narrowArbitrary: fc.Arbitrary<Partial<EventQuery>> = fc.tuple(queryArbitrary, fc.nat(), fc.nat()).map(
  ([query, first, second]) => {
    const entries = Object.entries(query);
    if (entries.length === 0) return {};
    // Taken twice, it is one condition.
    return Object.fromEntries([entries[first % entries.length]!, entries[second % entries.length]!]);
  },
);

function pageTests(open: () => Store): void {
  test("events() answers any query as a walk over all events does, page by page", () => {
    let [queries, hits] = [0, 0];
    fc.assert(
      fc.property(
        fc.array(eventArbitrary, { minLength: 10, maxLength: 40 }),
        fc.array(narrowArbitrary, { minLength: 5, maxLength: 5 }),
        fc.integer({ min: 1, max: 7 }),
        (drafts, asked, limit) => {
          const store = open();
          const events = drafts.map((draft, index) => eventAt(index + 1, draft as Partial<NetwallEvent>));
          store.putEvents(events);
          for (const query of asked) {
            const wanted = events.filter((event) => eventMatches(event, { ...query, limit })).toReversed();
            const found: NetwallEvent[] = [];
            let page = store.events({ ...query, limit });
            found.push(...page.items);
            while (page.next !== undefined) {
              expect(page.items).toHaveLength(limit);
              page = store.events({ ...query, limit, before: page.next });
              expect(page.items.length).toBeGreaterThan(0);
              found.push(...page.items);
            }
            expect(found.map(({ id }) => id)).toEqual(wanted.map(({ id }) => id));
            queries++;
            hits += found.length;
          }
          store.close();
        },
      ),
      { numRuns: 20 },
    );
    expect(queries).toBe(100);
    expect(hits).toBeGreaterThan(75);
  });

  test("a text is looked for in the message, the path and the names, and no other sign stands for any", () => {
    const store = open();
    const http = { method: "GET", host: "shop.example", path: "/Admin/100%_done", requestId: "req-77" };
    const claimed = { claimedContainerName: "front-1", claimedHostname: "Box-7" };
    const source = { kind: "workload", name: "shop/front", agent: "agent-1", ...claimed } as const;
    store.putEvents([
      eventAt(1, {
        http,
        message: 'He said "no"\\',
        source: { ...source, claimedContainerId: "ABCDEF0123456789" },
      }),
      eventAt(2, {
        message: "\u00c9t\u00e9 a\u0000b",
        source: { kind: "network", name: "internet", ip: "203.0.113.7" },
      }),
      eventAt(3, { message: "plain", rule: { kind: "rule", id: "no-admin" } }),
    ]);
    const seqs = (query: Partial<EventQuery>): number[] =>
      store.events({ limit: 9, ...query }).items.map(({ seq }) => seq);
    const cases: [Partial<EventQuery>, number[]][] = [
      [{ q: "ADMIN" }, [3, 1]],
      [{ q: "100%_d" }, [1]],
      [{ q: "100__d" }, []],
      [{ q: "1%d" }, []],
      [{ q: '"no"\\' }, [1]],
      [{ q: '\\"' }, []],
      [{ q: "shop.EXAMPLE" }, [1]],
      [{ q: "req-77" }, [1]],
      [{ q: "203.0.113." }, [2]],
      [{ q: "\u00c9t\u00e9" }, [2]],
      [{ q: "\u00e9t\u00e9" }, []],
      [{ q: "A\u0000B" }, [2]],
      [{ q: "0000" }, []],
      [{ q: "agent-1" }, [1]],
      // The names of fields are not text of an event.
      [{ q: "message" }, []],
      [{ q: "claimedHostname" }, []],
      [{ q: "' OR 1=1 --" }, []],
      [{ q: "plain\nno-admin" }, []],
      [{ q: "plain", severity: "warning" }, [3]],
      [{ q: "plain", severity: "critical" }, []],
      [{ host: "box-7" }, [1]],
      [{ host: "box" }, []],
      [{ host: "FRONT-1" }, [1]],
      [{ host: "abcdef012345" }, [1]],
      [{ host: "abcdef01234" }, []],
      [{ host: "abcdef012346" }, []],
      [{ host: "bcdef0123456" }, []],
      [{ host: "%" }, []],
      [{ host: "box-7", q: "plain" }, []],
      [{ host: "box-7", q: "admin" }, [1]],
    ];
    for (const [query, wanted] of cases) expect([query, seqs(query)]).toEqual([query, wanted]);
    for (const text of HOSTILE_TEXTS.slice(1)) expect(seqs({ q: text, host: text })).toEqual([]);
    expect(cases).toHaveLength(30);
  });

  test("pages stay as they are while events come in and change", () => {
    const store = open();
    store.putEvents(Array.from({ length: 10 }, (_, index) => eventAt(index + 1)));
    const first = store.events({ limit: 4 });
    store.putEvents([eventAt(11), eventAt(12), { ...eventAt(3), seq: 13, time: 9_000_000 }]);
    const second = store.events({ limit: 4, before: first.next! });
    const third = store.events({ limit: 4, before: second.next! });
    const seen = [first, second, third].flatMap(({ items }) => items.map(({ id }) => Number(id)));
    expect(seen).toEqual([10, 9, 8, 7, 6, 5, 4, 3, 2, 1]);
    expect(third.next).toBeUndefined();
  });

  test.each([0, -1, 1.5, NaN, Infinity, PAGE_MAX + 1])("refuses a page of %d", (limit: number) => {
    const store = open();
    for (
      const read of [
        () => store.events({ limit }),
        () => store.eventsAfter(0, limit),
        () => store.policies(limit),
        () => store.audits(limit),
      ]
    ) {
      expect(read).toThrow(RangeError);
    }
  });
}

function recordTests(open: () => Store): void {
  test("an edge that is put again takes the place of the first", () => {
    const store = open();
    store.putEdges([edgeAt("b", 1), edgeAt("a", 2)]);
    store.putEdges([edgeAt("b", 5, 9)]);
    expect(store.edges()).toEqual([edgeAt("a", 2), edgeAt("b", 5, 9)]);
  });

  test("equal flows are added up; the path and address of the first stay", () => {
    const store = open();
    store.addFlows([
      flowAt(0, { count: 2 }),
      flowAt(0, { count: 3, path: "/users/8", address: "192.0.2.9" }),
    ]);
    store.addFlows([flowAt(0, { count: 5 }), flowAt(3_600_000, { count: 1 })]);
    expect(store.flows(0, 10)).toEqual([flowAt(3_600_000, { count: 1 }), flowAt(0, { count: 10 })]);
    expect(store.flows(1, 10)).toHaveLength(1);
    expect(store.flows(0, 1)).toEqual([flowAt(3_600_000)]);
  });

  test("the sums of an edge by the hour are those of its flows", () => {
    const store = open();
    const hourMs = 3_600_000;
    const edge = edgeId(flowAt(0));
    const other = flowAt(hourMs, { service: "other" });
    store.addFlows([
      flowAt(hourMs, { count: 2, bytes: 10 }),
      flowAt(hourMs, { method: "PUT", count: 3, bytes: 2 ** 52 }),
      flowAt(hourMs, { verdict: "dropped", count: 5 }),
      flowAt(3 * hourMs, { verdict: "audited" }),
      other,
    ]);
    store.addFlows([flowAt(hourMs, { count: 4, bytes: 1 })]);
    const first = { hourMs, count: 14, droppedCount: 5, bytes: 2 ** 52 + 11 };
    const third = { hourMs: 3 * hourMs, count: 1, droppedCount: 0, bytes: 0 };
    expect(store.edgeHours(edge, 0)).toEqual([first, third]);
    expect(store.edgeHours(edge, hourMs)).toEqual([first, third]);
    expect(store.edgeHours(edge, hourMs + 1)).toEqual([third]);
    expect(store.edgeHours(edge, 4 * hourMs)).toEqual([]);
    expect(store.edgeHours(edge, (1 - HOURS_MAX) * hourMs)).toEqual([]);
    expect(store.edgeHours(edge, (2 - HOURS_MAX) * hourMs)).toEqual([first]);
    expect(store.edgeHours(edgeId(other), 0)).toEqual([{ hourMs, count: 1, droppedCount: 0, bytes: 0 }]);
    for (const text of HOSTILE_TEXTS) expect(store.edgeHours(text, 0)).toEqual([]);
    const sums = store.flows(0, 9).map(({ count, bytes }) => [count, bytes]).toSorted(([a = 0], [b = 0]) =>
      a - b
    );
    expect(sums).toEqual([[1, 0], [1, 0], [3, 2 ** 52], [5, 0], [6, 11]]);
    pruneAll(store, 2 * hourMs);
    expect(store.edgeHours(edge, 0)).toEqual([third]);
    pruneAll(store, Infinity);
    expect(store.edgeHours(edge, 0)).toEqual([]);
  });

  test("flows that differ in anything a policy looks at are kept apart", () => {
    const store = open();
    const others: Partial<FlowRecord>[] = [
      { direction: "egress" },
      { protocol: "tcp" },
      { source: "x" },
      { destination: "x" },
      { service: "x" },
      { host: "x" },
      { port: 1 },
      { method: "PUT" },
      { httpHost: "x" },
      { route: "/x" },
      { contentType: "text/plain" },
      { verdict: "dropped" },
      // Fields that run into each other when they are only strung together.
      { httpHost: "shop.example/users", route: "/{int}" },
    ];
    store.addFlows([flowAt(0), ...others.map((each) => flowAt(0, each))]);
    expect(store.flows(0, 100)).toHaveLength(others.length + 1);
  });

  test("a state is replaced whole, and kept whatever is in it", () => {
    const store = open();
    expect(store.state("model")).toBeUndefined();
    for (const text of HOSTILE_TEXTS) {
      store.putState("model", text);
      store.putState(text, "by name");
      expect(store.state("model")).toBe(text);
      expect(store.state(text)).toBe("by name");
    }
    store.putState("model", "half \ud83d");
    expect(store.state("model")).toBe("half \ufffd");
  });
}

function policyTests(open: () => Store): void {
  test("writes several things all or none", () => {
    const store = open();
    const version = { atMs: 1, by: "alice", comment: "", document: defaultPolicy() };
    const audit = { atMs: 1, by: "alice", role: "operator", action: "policy.apply", detail: "" };
    const number = store.atomically(() => {
      const added = store.addPolicy(version);
      store.putState("model", "one");
      expect(store.state("model")).toBe("one");
      store.addAudit(audit);
      return added.version;
    });
    expect([number, store.policy()?.version, store.audits(9).items.length]).toEqual([1, 1, 1]);
    const failing = (): void =>
      store.atomically(() => {
        store.addPolicy(version);
        store.putState("model", "two");
        store.putEvents([eventAt(9)]);
        store.addAudit(audit);
        throw new StoreError("The disk is full", "full");
      });
    expect(failing).toThrow("disk is full");
    expect([store.policy()?.version, store.state("model"), store.audits(9).items.length]).toEqual([
      1,
      "one",
      1,
    ]);
    expect([store.event(eventAt(9).id), store.lastSeq()]).toEqual([undefined, 0]);
    // What comes after is as if nothing had been.
    expect([store.addPolicy(version).version, store.addAudit(audit).id]).toEqual([2, 2]);
  });

  test("versions count from 1, are never changed, and come in pages without their documents", () => {
    const store = open();
    expect(store.policy()).toBeUndefined();
    expect(store.policies(5)).toEqual({ items: [] });
    const added = { atMs: 5, by: "anna", comment: 'it\'s \u0000 "quoted"', document: defaultPolicy("alert") };
    for (let version = 1; version <= 5; version++) {
      expect(store.addPolicy({ ...added, comment: `c${version}` })).toEqual({
        ...added,
        comment: `c${version}`,
        version,
      });
    }
    expect(store.policy()?.version).toBe(5);
    expect(store.policy(2)).toEqual({ ...added, comment: "c2", version: 2 });
    expect(store.policy(6)).toBeUndefined();
    const page = store.policies(2);
    expect(page).toEqual({
      items: [{ version: 5, atMs: 5, by: "anna", comment: "c5" }, {
        version: 4,
        atMs: 5,
        by: "anna",
        comment: "c4",
      }],
      next: "4",
    });
    expect(store.policies(3, 4).items.map(({ version }) => version)).toEqual([3, 2, 1]);
    expect(store.policies(3, 4).next).toBeUndefined();
  });

  test("a document comes back as it was, with rules and all", () => {
    const store = open();
    const document = policySchema.parse({
      apiVersion: "netwall/v1",
      kind: "Policy",
      spec: {
        networks: { office: ["192.0.2.0/24"] },
        modes: [{ namespace: "shop", image: "redis", direction: "east-west", mode: "prevent" }],
        rules: [{ id: "a", source: { network: "office" }, http: { paths: ["/api/{int}"] }, effect: "allow" }],
        rateLimits: [{ id: "r", requests: 5, banSeconds: 9 }],
      },
    });
    store.addPolicy({ atMs: 1, by: "anna", comment: "", document });
    expect(store.policy()?.document).toStrictEqual(document);
  });

  test("only the newest versions are kept", () => {
    const store = open();
    const document = defaultPolicy();
    for (let version = 1; version <= POLICIES_STORED_MAX + 2; version++) {
      store.addPolicy({ atMs: version, by: "a", comment: "", document });
    }
    expect(store.policy(2)).toBeUndefined();
    expect(store.policy(3)?.atMs).toBe(3);
    expect(store.policy()?.version).toBe(POLICIES_STORED_MAX + 2);
  });

  test("audit entries are numbered and come newest first", () => {
    const store = open();
    const entry = { atMs: 1, by: "o'neil", role: "operator", action: "policy.apply", detail: "to 7\u0000" };
    for (let id = 1; id <= 3; id++) expect(store.addAudit(entry)).toEqual({ ...entry, id });
    expect(store.audits(2)).toEqual({ items: [{ ...entry, id: 3 }, { ...entry, id: 2 }], next: "2" });
    expect(store.audits(2, 2)).toEqual({ items: [{ ...entry, id: 1 }] });
  });
}

function pruneTests(open: () => Store): void {
  test("prune() deletes what ended before, and nothing else", () => {
    const store = open();
    store.putEvents(Array.from({ length: 1_200 }, (_, index) => eventAt(index + 1, { time: index })));
    store.putEdges([edgeAt("a", 0)]);
    store.addFlows([flowAt(0), flowAt(3_600_000)]);
    expect(pruneAll(store, 1_100)).toBe(1_100);
    expect(store.events({ limit: 1_000 }).items).toHaveLength(100);
    expect(store.event(eventAt(1_101).id)?.time).toBe(1_100);
    expect(store.event(eventAt(1_100).id)).toBeUndefined();
    // The first hour ends when the second begins.
    expect(pruneAll(store, 3_599_999)).toBe(100);
    expect(store.flows(0, 9)).toHaveLength(2);
    expect(pruneAll(store, 3_600_000)).toBe(1);
    expect(store.flows(0, 9)).toEqual([flowAt(3_600_000)]);
    expect(store.edges()).toHaveLength(1);
  });

  test("prune() deletes the oldest until the store is no larger, and keeps what is no event", () => {
    const store = open();
    const message = "m".repeat(1_000);
    for (let batch = 0; batch < 8; batch++) {
      store.putEvents(
        Array.from({ length: 500 }, (_, index) => eventAt(batch * 500 + index + 1, { message })),
      );
    }
    store.addPolicy({ atMs: 1, by: "a", comment: "", document: defaultPolicy() });
    store.putState("model", "kept");
    const bytesMax = 3 << 20;
    expect(store.sizeBytes()).toBeGreaterThan(bytesMax);
    const gone = pruneAll(store, 0, bytesMax);
    expect(gone).toBeGreaterThan(500);
    expect(gone).toBeLessThan(4_000);
    expect(store.sizeBytes()).toBeLessThanOrEqual(bytesMax);
    expect(store.event(eventAt(4_000).id)?.message).toBe(message);
    expect(store.event(eventAt(gone).id)).toBeUndefined();
    expect(store.event(eventAt(gone + 1).id)?.seq).toBe(gone + 1);
    expect(pruneAll(store, 0, 1)).toBe(4_000 - gone);
    expect(store.policy()?.version).toBe(1);
    expect(store.state("model")).toBe("kept");
  });

  test("prune() by size takes old flows before newer events", () => {
    const store = open();
    const hourMs = 3_600_000;
    store.addFlows(Array.from({ length: 1_100 }, (_, index) => flowAt(0, { route: `/${index}` })));
    store.putEvents([eventAt(1, { time: 5 * hourMs })]);
    store.addFlows([flowAt(9 * hourMs)]);
    expect(store.prune({ beforeMs: 0, bytesMax: 1 })).toBe(500);
    expect(store.event(eventAt(1).id)).toBeDefined();
    expect(pruneAll(store, 0, 1)).toBe(602);
    expect(store.flows(0, 9)).toEqual([]);
  });
}

function endTests(open: () => Store): void {
  test("says that it was closed, with StoreError, and may be closed again", () => {
    const store = open();
    store.close();
    store.close();
    let calls = 0;
    for (
      const call of [
        () => store.putEvents([eventAt(1)]),
        () => store.events({ limit: 1 }),
        () => store.lastSeq(),
        () => store.putState("a", "b"),
        () => store.addPolicy({ atMs: 1, by: "a", comment: "", document: defaultPolicy() }),
        () => store.prune({ beforeMs: 1, bytesMax: 1 }),
      ]
    ) {
      expect(call).toThrow(StoreError);
      calls++;
    }
    expect(calls).toBe(6);
  });

  test("what it gives out is a copy", () => {
    const store = open();
    const event = eventAt(1);
    store.putEvents([event]);
    event.count = 99;
    store.event(event.id)!.count = 98;
    expect(store.event(event.id)?.count).toBe(1);
  });
}
