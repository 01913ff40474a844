/**
 * The flow book against a naive sum, and against callers that mean to fill it.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  FLOW_TEXT_CHARS_MAX,
  FlowBook,
  FLOWS_PER_ROUTE_MAX,
  PATH_SAMPLE_CHARS_MAX,
} from "../../lib/policy/flow_book.ts";
import {
  type Deviation,
  type Flow,
  groupOf,
  type Judgement,
  type Reason,
  type Verdict,
} from "../../lib/policy/flow.ts";
import { type FlowRecord, flowRecordSchema } from "../../lib/policy/record.ts";

const HOUR_MS = 3_600_000;
const HOUR = 472_222 * HOUR_MS;
const USER = groupOf("shop", "user", "user-1");
const DEVIATION: Deviation = { kind: "route", observed: "x", expected: "y" };

function request(path: string, over: Partial<NonNullable<Flow["http"]>> = {}, service = "user"): Flow {
  return {
    direction: "north-south",
    protocol: "http",
    source: { kind: "outside", address: "203.0.113.7" },
    destination: { kind: "service", group: USER, service },
    http: { method: "GET", host: "shop.example", path, contentType: "", ...over },
  };
}

function connection(host: string, port = 443): Flow {
  return {
    direction: "egress",
    protocol: "tcp",
    source: { kind: "group", group: USER },
    destination: { kind: "host", host, port },
  };
}

function judged(verdict: Verdict, reason: Reason["kind"] = "learned"): Judgement {
  const effect = { forwarded: "allow", audited: "alert", dropped: "prevent" } as const;
  const full = reason === "learned" ? { kind: reason } : { kind: "implicit" as const, deviation: DEVIATION };
  return {
    verdict,
    effect: effect[verdict],
    reason: full,
    mode: "alert",
    modeOf: "destination",
    sourceName: "internet",
  };
}

const LEARNED = judged("forwarded");
const DROPPED = judged("dropped", "implicit");

const total = (records: readonly FlowRecord[]): number => records.reduce((sum, { count }) => sum + count, 0);

describe("sums", () => {
  test("equal requests are one record, with one path and one address as samples", () => {
    const book = new FlowBook();
    for (let id = 1; id <= 5; id += 1) {
      book.note(request(`/users/${id}`), LEARNED, "internet", "/users/{int}", HOUR + id, 100 * id);
    }
    const records = book.takeDirty(10);
    expect(records).toEqual([{
      direction: "north-south",
      protocol: "http",
      source: "internet",
      destination: "shop/user",
      service: "user",
      host: "",
      port: 0,
      hourMs: HOUR,
      address: "203.0.113.7",
      method: "GET",
      httpHost: "shop.example",
      route: "/users/{int}",
      path: "/users/1",
      contentType: "",
      verdict: "forwarded",
      count: 5,
      bytes: 1_500,
    }]);
    expect(flowRecordSchema.safeParse(records[0]).success).toBe(true);
    expect(book.takeDirty(10)).toEqual([]);
    book.note(request("/users/6"), LEARNED, "internet", "/users/{int}", HOUR + 6);
    expect(book.takeDirty(10)).toMatchObject([{ count: 1, path: "/users/1" }]);
    expect(book.size).toBe(1);
  });

  test("whatever a policy looks at makes a record of its own", () => {
    const book = new FlowBook();
    const flows: readonly [Flow, Judgement, string, string, number][] = [
      [request("/a"), LEARNED, "internet", "/a", HOUR],
      [request("/b"), LEARNED, "internet", "/b", HOUR],
      [request("/a", { method: "POST" }), LEARNED, "internet", "/a", HOUR],
      [request("/a", { contentType: "application/json" }), LEARNED, "internet", "/a", HOUR],
      [request("/a", { host: "other.example" }), LEARNED, "internet", "/a", HOUR],
      [request("/a"), DROPPED, "internet", "/a", HOUR],
      [request("/a"), LEARNED, "office", "/a", HOUR],
      [request("/a", {}, "user-admin"), LEARNED, "internet", "/a", HOUR],
      [connection("api.example"), LEARNED, "shop/user", "/not-asked-for", HOUR],
      [connection("api.example", 80), LEARNED, "shop/user", "", HOUR],
    ];
    for (let round = 0; round < 2; round += 1) for (const flow of flows) book.note(...flow);
    const records = book.takeDirty(100);
    expect(records.map(({ count }) => count)).toEqual(flows.map(() => 2));
    expect(records).toHaveLength(10);
    expect(records[8]).toMatchObject({ host: "api.example", port: 443, route: "", method: "", address: "" });
  });

  test("each hour has its own, and what the last one still owes is handed out first", () => {
    const book = new FlowBook();
    book.note(request("/a"), LEARNED, "internet", "/a", HOUR + HOUR_MS - 1);
    book.note(request("/a"), LEARNED, "internet", "/a", HOUR + HOUR_MS);
    book.note(request("/a"), LEARNED, "internet", "/a", HOUR + HOUR_MS);
    expect(book.takeDirty(1)).toMatchObject([{ hourMs: HOUR, count: 1 }]);
    expect(book.takeDirty(1)).toMatchObject([{ hourMs: HOUR + HOUR_MS, count: 2 }]);
    // A clock that is set back loses nothing.
    book.note(request("/a"), LEARNED, "internet", "/a", HOUR + 5);
    expect(book.takeDirty(1)).toMatchObject([{ hourMs: HOUR, count: 1 }]);
    expect(book.unrecorded).toBe(0);
  });

  test("what nobody took in two hours is given up and counted", () => {
    const book = new FlowBook();
    for (let hour = 0; hour < 50; hour += 1) {
      for (let index = 0; index < 10; index += 1) {
        book.note(request(`/${index}`), LEARNED, "internet", `/${index}`, HOUR + hour * HOUR_MS);
      }
    }
    const records = book.takeDirty(1e6);
    expect(records).toHaveLength(20);
    expect(total(records) + book.unrecorded).toBe(500);
  });

  test("a sample holds no query and is short", () => {
    const book = new FlowBook();
    book.note(request(`/login?password=hunter2`), LEARNED, "internet", "/login", HOUR);
    book.note(request(`/${"x".repeat(10_000)}`), LEARNED, "internet", "/{str}", HOUR);
    const paths = book.takeDirty(10).map(({ path }) => path);
    expect(paths).toEqual(["/login", `/${"x".repeat(PATH_SAMPLE_CHARS_MAX - 1)}`]);
  });
});

describe("a caller that means harm", () => {
  test("a flood of unknown paths is summed by its edge, and leaves room for what is learned", () => {
    const book = new FlowBook();
    for (let index = 0; index < 100_000; index += 1) {
      book.note(request(`/evil/${index}`), DROPPED, "internet", `/evil/${index}`, HOUR);
    }
    for (let index = 0; index < 1_000; index += 1) {
      book.note(request(`/known/${index}`), LEARNED, "internet", `/known/${index}`, HOUR);
    }
    const records = book.takeDirty(1e6);
    expect(book.unrecorded).toBe(0);
    expect(total(records)).toBe(101_000);
    expect(records.filter(({ route }) => route.startsWith("/known/"))).toHaveLength(1_000);
    expect(records.filter(({ route }) => route === "")).toMatchObject([
      { method: "", path: "", verdict: "dropped", count: 98_000, service: "user" },
    ]);
    expect(book.merged).toBe(98_000);
    expect(book.size).toBe(3_001);
  });

  test("a flood of hosts and of sources ends at the bounds, and is counted", () => {
    const book = new FlowBook({ perHourMax: 100, unlearnedPerHourMax: 50, mergedPerHourMax: 20 });
    for (let index = 0; index < 50_000; index += 1) {
      book.note(connection(`h${index}`), DROPPED, `evil/~${index % 1_000}`, "", HOUR);
    }
    for (let index = 0; index < 100; index += 1) {
      book.note(request(`/${index}`), LEARNED, "internet", `/${index}`, HOUR);
    }
    expect(book.size).toBe(120);
    const records = book.takeDirty(1e6);
    expect(records.filter(({ service }) => service === "user")).toHaveLength(50);
    expect(total(records) + book.unrecorded).toBe(50_100);
  });

  test("one source takes no more than its shares", () => {
    const options = { unlearnedPerSourceMax: 5, mergedPerSourceMax: 3 };
    const book = new FlowBook(options);
    for (let index = 0; index < 1_000; index += 1) {
      book.note(connection(`h${index}`), DROPPED, "evil/~one", "", HOUR);
    }
    book.note(connection("h"), DROPPED, "shop/user", "", HOUR);
    expect(book.takeDirty(1e6).map(({ source }) => source)).toEqual([
      ...new Array<string>(8).fill("evil/~one"),
      "shop/user",
    ]);
    expect(book.unrecorded).toBe(992);
  });

  test("made-up methods, hosts and types of one route, and texts too long, are summed by the edge", () => {
    const book = new FlowBook();
    for (let index = 0; index < 1_000; index += 1) {
      book.note(request("/", { method: `M${index}` }), LEARNED, "internet", "/", HOUR);
    }
    const long = "x".repeat(FLOW_TEXT_CHARS_MAX + 1);
    for (const over of [{ method: long }, { host: long }, { contentType: long }]) {
      book.note(request("/", over), LEARNED, "internet", "/other", HOUR);
    }
    book.note(request("/"), LEARNED, "internet", long, HOUR);
    const records = book.takeDirty(1e6);
    expect(records).toHaveLength(FLOWS_PER_ROUTE_MAX + 1);
    expect(records.at(-1)).toMatchObject({ method: "", route: "", count: 1_000 - FLOWS_PER_ROUTE_MAX + 4 });
  });
});

const noteArbitrary = fc.record({
  flow: fc.oneof(
    fc.record({
      path: fc.constantFrom("/a", "/b", "/\ud800"),
      method: fc.constantFrom("GET", "POST"),
      contentType: fc.constantFrom("", "a/b"),
    }).map(({ path, method, contentType }) => request(path, { method, contentType })),
    fc.constantFrom("h", "i").map((host) => connection(host)),
  ),
  judgement: fc.constantFrom(LEARNED, DROPPED, judged("audited", "implicit")),
  source: fc.constantFrom("internet", "office"),
  hour: fc.nat(2),
  take: fc.option(fc.integer({ min: 1, max: 3 })),
});

/** All that tells two records apart. */
function keyOf({ count: _count, bytes: _bytes, path: _path, address: _address, ...key }: FlowRecord): string {
  return JSON.stringify(Object.entries(key).sort());
}

describe("whatever happens", () => {
  test("without a bound in reach the takings add up to the naive sums", () => {
    let runs = 0;
    fc.assert(
      fc.property(fc.array(noteArbitrary, { maxLength: 60 }), (notes) => {
        runs += 1;
        const book = new FlowBook();
        const sums = new Map<string, number>();
        const naive = new Map<string, number>();
        const take = (max: number): void => {
          for (const record of book.takeDirty(max)) {
            sums.set(keyOf(record), (sums.get(keyOf(record)) ?? 0) + record.count);
          }
        };
        const hours = notes.map(({ hour }) => hour).sort();
        for (const [index, { flow, judgement, source, take: max }] of notes.entries()) {
          const hourMs = HOUR + hours[index]! * HOUR_MS;
          const { http, destination: to } = flow;
          const key = keyOf({
            direction: flow.direction,
            protocol: flow.protocol,
            source,
            destination: to.kind === "service" ? to.group.id : "",
            service: to.kind === "service" ? to.service : "",
            host: to.kind === "host" ? to.host : "",
            port: to.kind === "host" ? to.port : 0,
            hourMs,
            address: "",
            method: http?.method ?? "",
            httpHost: http?.host ?? "",
            route: http?.path ?? "",
            path: "",
            contentType: http?.contentType ?? "",
            verdict: judgement.verdict,
            count: 0,
            bytes: 0,
          });
          // The writer comes at least once in an hour.
          if (hours[index] !== hours[index - 1]) take(1e6);
          naive.set(key, (naive.get(key) ?? 0) + 1);
          book.note(flow, judgement, source, http?.path ?? "", hourMs);
          if (max !== null) take(max);
        }
        take(1e6);
        expect([...sums].sort()).toEqual([...naive].sort());
        expect([book.merged, book.unrecorded]).toEqual([0, 0]);
      }),
      { numRuns: 300 },
    );
    expect(runs).toBe(300);
  });

  test("within tight bounds every request is in a sum or counted", () => {
    fc.assert(
      fc.property(fc.array(noteArbitrary, { maxLength: 80 }), (notes) => {
        const book = new FlowBook({ perHourMax: 4, unlearnedPerHourMax: 2, mergedPerHourMax: 2 });
        let taken = 0;
        for (const { flow, judgement, source, hour, take } of notes) {
          book.note(flow, judgement, source, flow.http?.path ?? "", HOUR + hour * HOUR_MS);
          expect(book.size).toBeLessThanOrEqual(6);
          if (take !== null) taken += total(book.takeDirty(take));
        }
        const rest = book.takeDirty(1e6);
        expect(rest.length).toBeLessThanOrEqual(12);
        expect(taken + total(rest) + book.unrecorded).toBe(notes.length);
      }),
      { numRuns: 300 },
    );
  });
});
