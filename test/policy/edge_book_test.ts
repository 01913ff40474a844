/**
 * The edge book against a naive model, and against callers that mean to fill it.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { EDGE_TOLD_MS, EdgeBook, EDGES_PER_SOURCE_MAX, type OpenEdge } from "../../lib/policy/edge_book.ts";
import { ownCopy } from "../../lib/own_copy.ts";
import { endsOf } from "../../lib/policy/ends_map.ts";
import {
  type Deviation,
  DIRECTIONS,
  type Flow,
  groupOf,
  type Judgement,
  type Reason,
  type Verdict,
} from "../../lib/policy/flow.ts";
import { type EdgeRecord, edgeSchema } from "../../lib/policy/record.ts";

const FRONT_END = groupOf("shop", "front-end", "front-end-1");
const USER_DB = groupOf("shop", "user-db", "user-db-1");
const DEVIATION: Deviation = { kind: "edge", observed: "x", expected: "y" };
const OK = { ok: true, inBytes: 10, outBytes: 100 };
const FAILED = { ok: false, inBytes: 1, outBytes: 2 };
const NOON_MS = 1_700_000_000_000;

function toService(source = FRONT_END): Flow {
  return {
    direction: "east-west",
    protocol: "tcp",
    source: { kind: "group", group: source },
    destination: { kind: "service", group: USER_DB, service: "user-db" },
  };
}

function toHost(host: string, port = 443, source = FRONT_END): Flow {
  return {
    direction: "egress",
    protocol: "tcp",
    source: { kind: "group", group: source },
    destination: { kind: "host", host, port },
  };
}

function judged(verdict: Verdict, reason: Reason, sourceName = FRONT_END.id): Judgement {
  const effect = { forwarded: "allow", audited: "alert", dropped: "prevent" } as const;
  return { verdict, effect: effect[verdict], reason, mode: "alert", modeOf: "destination", sourceName };
}

const LEARNED = judged("forwarded", { kind: "learned" });
const IMPLICIT = judged("audited", { kind: "implicit", deviation: DEVIATION });
const DROPPED = judged("dropped", { kind: "implicit", deviation: DEVIATION });
const LEARNING = judged("forwarded", { kind: "learning", deviation: DEVIATION });

const only = (book: EdgeBook): EdgeRecord => {
  const list = book.list();
  expect(list).toHaveLength(1);
  return list[0]!;
};

describe("the state of an edge", () => {
  const rule = { kind: "rule", index: 3, id: "let-in" } as const;
  const CASES: readonly [string, Judgement, EdgeRecord["state"], string][] = [
    ["in the model", LEARNED, "learned", "learned"],
    ["in the model and let by a rule", judged("forwarded", { kind: "learned", rule }), "learned", "learned"],
    ["allowed by a rule", judged("forwarded", rule), "manual", "let-in"],
    ["forwarded by a rule that alerts", judged("audited", rule), "unknown", "let-in"],
    ["dropped by a rule", judged("dropped", rule), "blocked", "let-in"],
    ["in no model", IMPLICIT, "unknown", "implicit"],
    ["in no model and dropped", DROPPED, "blocked", "implicit"],
    ["new while learning", LEARNING, "unknown", "learning"],
    ["with no policy", judged("dropped", { kind: "closed" }), "blocked", "closed"],
  ];
  test("it follows the newest verdict", () => {
    const book = new EdgeBook();
    for (const [index, [what, judgement, state, lastRule]] of CASES.entries()) {
      book.note(toService(), judgement, OK, NOON_MS + index);
      const edge = only(book);
      expect([what, edge.state, edge.lastRule, edge.lastVerdict]).toEqual([
        what,
        state,
        lastRule,
        judgement.verdict,
      ]);
      expect(edgeSchema.safeParse(edge).success).toBe(true);
    }
    expect(only(book).count).toBe(9);
    expect(CASES).toHaveLength(9);
  });

  test("what was learned by the flow itself is learned, what the model refused is not", () => {
    for (const [deviation, state] of [[undefined, "learned"], [DEVIATION, "unknown"]] as const) {
      const book = new EdgeBook({ model: { check: () => deviation } });
      book.note(toService(), LEARNING, OK, NOON_MS);
      expect([only(book).state, only(book).lastRule]).toEqual([state, "learning"]);
    }
    // The model is asked about nothing else.
    const book = new EdgeBook({ model: { check: () => undefined } });
    book.note(toService(), IMPLICIT, OK, NOON_MS);
    expect(only(book).state).toBe("unknown");
  });

  test("a blocked edge is there though nothing ever got through", () => {
    const book = new EdgeBook();
    book.note(toService(), DROPPED, { ok: false, inBytes: 0, outBytes: 0 }, NOON_MS);
    expect(only(book)).toMatchObject({ state: "blocked", count: 1, droppedCount: 1, failedCount: 0 });
  });
});

describe("a connection that lives", () => {
  test("it is there at once, and its end adds the bytes and no count", () => {
    const book = new EdgeBook();
    const open = book.begin(toService(), LEARNED, NOON_MS);
    expect(only(book)).toMatchObject({ count: 1, inBytes: 0, lastSeenMs: NOON_MS });
    open.end(OK, NOON_MS + 5_000);
    open.end(OK, NOON_MS + 9_000);
    expect(only(book)).toMatchObject({ count: 1, inBytes: 10, outBytes: 100, lastSeenMs: NOON_MS + 5_000 });
  });

  test("its end says nothing of the verdict, which others may have changed", () => {
    const book = new EdgeBook();
    const open = book.begin(toService(), IMPLICIT, NOON_MS);
    book.note(toService(), DROPPED, FAILED, NOON_MS + 1);
    open.end(OK, NOON_MS + 2);
    expect(only(book)).toMatchObject({ state: "blocked", count: 2, droppedCount: 1 });
  });

  test("one that a new policy cuts is blocked and counts as dropped", () => {
    const book = new EdgeBook();
    const open = book.begin(toService(), IMPLICIT, NOON_MS);
    open.judged(DROPPED, NOON_MS + 1);
    open.end({ ok: true, inBytes: 7, outBytes: 0 }, NOON_MS + 2);
    open.judged(LEARNED, NOON_MS + 3);
    expect(only(book)).toMatchObject({ state: "blocked", count: 1, droppedCount: 1, inBytes: 7 });
  });
});

describe("what is handed out", () => {
  test("seq grows with what is handed out, not with what is noted", () => {
    const book = new EdgeBook();
    for (let index = 0; index < 1_000; index += 1) book.note(toService(), LEARNED, OK, NOON_MS + index);
    expect(book.seq).toBe(0);
    expect(only(book)).toMatchObject({ seq: 1, count: 1_000 });
    expect(only(book).seq).toBe(1);
    expect(book.changedSince(1)).toEqual([]);
    book.note(toService(), LEARNED, OK, NOON_MS);
    expect(book.changedSince(1).map(({ seq, count }) => [seq, count])).toEqual([[2, 1_001]]);
    expect(book.seq).toBe(2);
  });

  test("a record that was handed out never changes, and the writer gets each change once", () => {
    const book = new EdgeBook();
    book.note(toService(), LEARNED, OK, NOON_MS);
    const [first] = book.takeDirty(10);
    book.note(toService(), IMPLICIT, OK, NOON_MS + 1);
    expect(first).toMatchObject({ count: 1, state: "learned", seq: 1 });
    // Reading it for somebody else does not take it from the writer.
    expect(only(book).seq).toBe(2);
    expect(book.takeDirty(10)).toMatchObject([{ count: 2, state: "unknown", seq: 2 }]);
    expect(book.takeDirty(10)).toEqual([]);
  });

  test("a listener hears of news at once, and of sums once in a while", () => {
    const book = new EdgeBook();
    const heard: string[] = [];
    const end = book.subscribe(({ state, count }) => heard.push(`${state} ${count}`));
    book.note(toService(), LEARNED, OK, NOON_MS);
    for (let index = 0; index < 100; index += 1) book.note(toService(), LEARNED, OK, NOON_MS + index);
    expect(heard).toEqual(["learned 1"]);
    book.note(toService(), DROPPED, FAILED, NOON_MS + 100);
    book.note(toService(), DROPPED, FAILED, NOON_MS + 100 + EDGE_TOLD_MS);
    expect(heard).toEqual(["learned 1", "blocked 102", "blocked 103"]);
    end();
    book.note(toService(), LEARNED, OK, NOON_MS + 9_000);
    expect(heard).toHaveLength(3);
  });

  test("what was stored comes back, the same edge goes on, and seq never falls", () => {
    const before = new EdgeBook();
    before.note(toService(), LEARNED, OK, NOON_MS);
    before.note(toHost("verifier.example"), IMPLICIT, FAILED, NOON_MS + 1);
    const stored = before.takeDirty(10);
    const after = new EdgeBook();
    after.restore(stored);
    expect(after.takeDirty(10)).toEqual([]);
    expect(after.list().sort((a, b) => a.seq - b.seq)).toEqual(stored);
    after.note(toService(), LEARNED, OK, NOON_MS + 2);
    expect(after.takeDirty(10)).toMatchObject([{
      id: stored[0]!.id,
      count: 2,
      firstSeenMs: NOON_MS,
      seq: 3,
    }]);
  });

  test("of a store that holds too much, what was seen last comes back", () => {
    const full = new EdgeBook();
    for (let index = 0; index < 30; index += 1) full.note(toHost(`h${index}`), LEARNED, OK, NOON_MS + index);
    const book = new EdgeBook({ edgesPerSourceMax: 10 });
    book.restore(full.list());
    expect(book.list().map(({ host }) => host).sort()).toEqual(
      Array.from({ length: 10 }, (_, index) => `h${20 + index}`),
    );
    expect(book.seq).toBe(30);
  });
});

describe("a caller that means harm", () => {
  test("a hundred thousand hosts push out nothing of others, and little that is known of its own", () => {
    const book = new EdgeBook();
    const other = groupOf("shop", "payment", "payment-1");
    const others = { ...LEARNED, sourceName: other.id };
    for (let index = 0; index < 200; index += 1) {
      book.note(toHost(`honest-${index}`, 443, other), others, OK, NOON_MS);
      book.note(toHost(`known-${index}`), LEARNED, OK, NOON_MS);
    }
    for (let index = 0; index < 100_000; index += 1) {
      book.note(toHost(`evil-${index}.example`), DROPPED, FAILED, NOON_MS + 1 + index);
    }
    const hosts = book.list().map(({ host }) => host);
    expect(hosts.filter((host) => host.startsWith("honest-"))).toHaveLength(200);
    expect(hosts.filter((host) => host.startsWith("known-"))).toHaveLength(200);
    expect(hosts).toContain("evil-99999.example");
    expect(book.size).toBeLessThanOrEqual(EDGES_PER_SOURCE_MAX + 200);
    expect(book.evicted + book.size).toBe(100_400);
    expect(book.takeDirty(1e6)).toHaveLength(book.size);
  });

  test("a hundred sources that fill the book lose their own, not those of a small one", () => {
    const book = new EdgeBook({ edgesMax: 1_000, edgesPerSourceMax: 100 });
    book.note(toService(), LEARNED, OK, NOON_MS);
    for (let index = 0; index < 10_000; index += 1) {
      const source = groupOf("evil", "", `agent-${index % 100}`);
      book.note(
        toHost(`h${index}`, 1, source),
        { ...DROPPED, sourceName: source.id },
        FAILED,
        NOON_MS + index,
      );
    }
    expect(book.size).toBeLessThanOrEqual(1_000);
    expect(book.list().filter(({ service }) => service === "user-db")).toHaveLength(1);
  });

  test("open connections keep their edges; what has no room is counted, and costs no edge", () => {
    const book = new EdgeBook({ edgesPerSourceMax: 10 });
    const open = Array.from({ length: 10 }, (_, index) => book.begin(toHost(`h${index}`), LEARNED, NOON_MS));
    const none = book.begin(toHost("late"), LEARNED, NOON_MS + 1);
    none.judged(DROPPED, NOON_MS + 2);
    none.end(OK, NOON_MS + 2);
    expect([book.size, book.unrecorded, book.evicted]).toEqual([10, 1, 0]);
    open[3]!.end(OK, NOON_MS + 3);
    book.note(toHost("late"), LEARNED, OK, NOON_MS + 4);
    expect(book.list().map(({ host }) => host)).not.toContain("h3");
    expect([book.size, book.evicted]).toEqual([10, 1]);
  });

  test("a text that is too long is on no edge", () => {
    const book = new EdgeBook();
    book.note(toHost("x".repeat(1_025)), LEARNED, OK, NOON_MS);
    book.note(toHost("x".repeat(1_024)), LEARNED, OK, NOON_MS);
    book.note(toService(), { ...LEARNED, sourceName: "s".repeat(1_025) }, OK, NOON_MS);
    expect([book.size, book.unrecorded]).toEqual([1, 2]);
  });

  test("a name of any characters is one edge", () => {
    const NAMES = [
      "\ud800",
      "\ufffd",
      "a\0b",
      "é",
      "\u0100\ud800x",
      "__proto__",
      "constructor",
      "",
      "münchen",
    ];
    const book = new EdgeBook();
    for (let round = 0; round < 3; round += 1) {
      for (const name of NAMES) book.note(toHost(name), LEARNED, OK, NOON_MS);
    }
    expect(book.list().map(({ host, count }) => [host, count])).toEqual(NAMES.map((name) => [name, 3]));
    fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => ownCopy(text) === text), { numRuns: 500 });
  });
});

/** Few of everything, so that flows often meet. */
const flowArbitrary: fc.Arbitrary<Flow> = fc.record({
  direction: fc.constantFrom(...DIRECTIONS),
  protocol: fc.constantFrom("http", "tcp"),
  source: fc.constantFrom("a", "b").map((agent) => ({
    kind: "group" as const,
    group: groupOf("n", "", agent),
  })),
  destination: fc.oneof(
    fc.record({
      kind: fc.constant("service" as const),
      group: fc.constantFrom(FRONT_END, USER_DB),
      service: fc.constantFrom("s", "t"),
    }),
    fc.record({
      kind: fc.constant("host" as const),
      host: fc.constantFrom("s", "h"),
      port: fc.integer({ min: 1, max: 3 }),
    }),
  ),
});
const judgementArbitrary = fc.constantFrom(LEARNED, IMPLICIT, DROPPED);
const outcomeArbitrary = fc.constantFrom(OK, FAILED);

type Step =
  | {
    readonly do: "note" | "begin";
    readonly flow: Flow;
    readonly judgement: Judgement;
    readonly outcome: typeof OK;
  }
  | { readonly do: "end"; readonly which: number; readonly outcome: typeof OK }
  | { readonly do: "take" | "read"; readonly max: number };

const stepArbitrary: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constantFrom("note", "begin"),
      flow: flowArbitrary,
      judgement: judgementArbitrary,
      outcome: outcomeArbitrary,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant("end" as const), which: fc.nat(9), outcome: outcomeArbitrary }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constantFrom("take", "read"), max: fc.integer({ min: 1, max: 4 }) }),
  },
);

const byId = (a: EdgeRecord, b: EdgeRecord): number => a.id < b.id ? -1 : 1;
const STATE = { forwarded: "learned", audited: "unknown", dropped: "blocked" } as const;

/** Sums by a text of the ends, with no bound and nothing clever. */
class NaiveBook {
  readonly edges = new Map<string, Record<string, unknown> & { count: number }>();

  add(flow: Flow, { verdict, sourceName, reason }: Judgement, nowMs: number): (outcome: typeof OK) => void {
    const ends = endsOf(flow, sourceName)!;
    const key = JSON.stringify(Object.values(ends));
    const edge = this.edges.get(key) ??
      { ...ends, firstSeenMs: nowMs, count: 0, droppedCount: 0, failedCount: 0, inBytes: 0, outBytes: 0 };
    this.edges.set(key, edge);
    const bump = (field: string, by: number): void => void (edge[field] = edge[field] as number + by);
    bump("count", 1);
    if (verdict === "dropped") bump("droppedCount", 1);
    Object.assign(edge, { state: STATE[verdict], lastVerdict: verdict, lastRule: reason.kind });
    return (outcome) => {
      bump("inBytes", outcome.inBytes);
      bump("outBytes", outcome.outBytes);
      if (!outcome.ok) bump("failedCount", 1);
    };
  }
}

describe("whatever happens", () => {
  test("without a bound in reach it equals the naive book, and who follows it misses nothing", () => {
    let runs = 0;
    fc.assert(
      fc.property(fc.array(stepArbitrary, { maxLength: 80 }), (steps) => {
        runs += 1;
        const book = new EdgeBook();
        const naive = new NaiveBook();
        const open: { edge: OpenEdge; end: (outcome: typeof OK) => void }[] = [];
        const written = new Map<string, EdgeRecord>();
        const followed = new Map<string, EdgeRecord>();
        let seq = 0;
        const write = (max: number): void => {
          for (const record of book.takeDirty(max)) written.set(record.id, record);
        };
        const follow = (): void => {
          for (const record of book.changedSince(seq)) {
            expect(record.seq).toBeGreaterThan(seq);
            seq = record.seq;
            followed.set(record.id, record);
          }
        };
        for (const [index, step] of steps.entries()) {
          const nowMs = NOON_MS + index;
          if ("which" in step) {
            const [ended] = open.splice(step.which, 1);
            ended?.edge.end(step.outcome, nowMs);
            ended?.end(step.outcome);
          } else if ("max" in step) {
            if (step.do === "take") write(step.max);
            else follow();
          } else {
            const { source } = step.flow;
            const sourceName = source.kind === "group" ? source.group.id : "";
            const judgement = { ...step.judgement, sourceName };
            const end = naive.add(step.flow, judgement, nowMs);
            if (step.do === "begin") open.push({ edge: book.begin(step.flow, judgement, nowMs), end });
            else {
              book.note(step.flow, judgement, step.outcome, nowMs);
              // What was dropped did not fail besides.
              end(judgement.verdict === "dropped" ? { ...step.outcome, ok: true } : step.outcome);
            }
          }
        }
        write(1e6);
        follow();
        const list = book.list().sort(byId);
        const bare = list.map(({ id: _id, seq: _seq, lastSeenMs: _lastSeenMs, ...edge }) => edge);
        const order = (a: object, b: object): number => JSON.stringify(a) < JSON.stringify(b) ? -1 : 1;
        const fields = (edge: object): object => Object.fromEntries(Object.entries(edge).sort());
        expect(bare.map(fields).sort(order)).toEqual([...naive.edges.values()].map(fields).sort(order));
        expect([...written.values()].sort(byId)).toEqual(list);
        expect([...followed.values()].sort(byId)).toEqual(list);
        expect(new Set(list.map((edge) => edge.seq)).size).toBe(list.length);
      }),
      { numRuns: 300 },
    );
    expect(runs).toBe(300);
  });

  test("within tight bounds nothing open goes, and what came is counted somewhere", () => {
    fc.assert(
      fc.property(fc.array(stepArbitrary, { maxLength: 120 }), (steps) => {
        const book = new EdgeBook({ edgesMax: 5, edgesPerSourceMax: 3 });
        const open: { edge: OpenEdge; id: string | undefined }[] = [];
        let noted = 0;
        for (const [index, step] of steps.entries()) {
          if (step.do === "end") open.splice(step.which, 1)[0]?.edge.end(step.outcome, NOON_MS + index);
          else if (step.do === "note" || step.do === "begin") {
            noted += 1;
            const { source } = step.flow;
            const judgement = {
              ...step.judgement,
              sourceName: source.kind === "group" ? source.group.id : "",
            };
            const unrecorded = book.unrecorded;
            if (step.do === "note") book.note(step.flow, judgement, step.outcome, NOON_MS + index);
            else {
              const edge = book.begin(step.flow, judgement, NOON_MS + index);
              const ends = JSON.stringify(endsOf(step.flow, judgement.sourceName));
              const record = book.list().find((each) =>
                Object.entries(JSON.parse(ends) as EdgeRecord).every(([key, value]) =>
                  each[key as keyof EdgeRecord] === value
                )
              );
              expect(record === undefined).toBe(book.unrecorded > unrecorded);
              open.push({ edge, id: record?.id });
            }
          }
          const list = book.list();
          expect(list.length).toBeLessThanOrEqual(5);
          expect(book.size).toBe(list.length);
          for (const name of ["n/~a", "n/~b"]) {
            expect(list.filter(({ source }) => source === name).length).toBeLessThanOrEqual(3);
          }
          const ids = new Set(list.map(({ id }) => id));
          expect(open.filter(({ id }) => id !== undefined && !ids.has(id))).toEqual([]);
        }
        const counted = book.list().reduce((sum, { count }) => sum + count, 0) + book.unrecorded;
        if (book.evicted === 0) expect(counted).toBe(noted);
        else expect(counted).toBeLessThan(noted);
      }),
      { numRuns: 200 },
    );
  });
});
