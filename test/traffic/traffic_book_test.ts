/**
 * Tests of traffic by service: what is counted, how exact it is, and how much memory it may take.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import { LATENCY_ERROR_MAX, LatencyHistogram } from "../../lib/traffic/latency_histogram.ts";
import { type WindowName, WINDOWS } from "../../lib/traffic/service_series.ts";
import { OTHER_SERVICES, SERVICES_MAX, TrafficBook } from "../../lib/traffic/traffic_book.ts";

const START_MS = 1_800_000_000_000;

function clocked(): { book: TrafficBook; clock: { nowMs: number } } {
  const clock = { nowMs: START_MS };
  return { book: new TrafficBook(() => clock.nowMs), clock };
}

/** The exact percentile: the smallest value that a share of all is not above. */
function exact(values: readonly number[], share: number): number {
  return values.toSorted((a, b) => a - b)[Math.max(1, Math.ceil(share * values.length)) - 1]!;
}

describe("percentiles", () => {
  const shapes: readonly (readonly [string, (i: number) => number])[] = [
    ["one value", () => 12.5],
    ["evenly", (i) => 1 + i],
    ["over five orders", (i) => 0.2 * 10 ** (i % 6)],
    ["a long tail", (i) => 3 + (i % 100 === 99 ? 40_000 : i % 7)],
    ["two humps", (i) => i % 2 === 0 ? 5 : 800],
    ["odd numbers", (i) => (i * 7919) % 1009 + 0.137],
  ];
  test("are no more than 5 % off, whatever the durations are", () => {
    let checked = 0;
    for (const [name, shape] of shapes) {
      for (const count of [1, 2, 3, 10, 1_000]) {
        const values = Array.from({ length: count }, (_, i) => shape(i));
        const histogram = new LatencyHistogram();
        for (const value of values) histogram.add(value);
        for (const share of [0.01, 0.5, 0.95, 0.99, 1]) {
          const wanted = exact(values, share);
          const off = Math.abs(histogram.percentile(share) - wanted) / wanted;
          expect([name, count, share, off <= LATENCY_ERROR_MAX + 1e-9]).toEqual([name, count, share, true]);
          checked++;
        }
      }
    }
    expect(checked).toBe(shapes.length * 25);
  });

  test("of odd numbers stay within what there is", () => {
    const histogram = new LatencyHistogram();
    for (const ms of [0, -1, NaN, Infinity, 1e300, 3_600_001]) histogram.add(ms);
    expect(histogram.total).toBe(6);
    expect(histogram.percentile(1)).toBeLessThanOrEqual(3_600_000 * 1.05);
    expect(histogram.percentile(0.01)).toBeGreaterThanOrEqual(0);
    histogram.clear();
    expect(histogram.percentile(0.5)).toBe(NaN);
    histogram.add(7);
    expect(Math.round(histogram.percentile(0.5))).toBe(7);
  });
});

describe("TrafficBook", () => {
  test("has nothing to tell of nothing, with a full axis", () => {
    const { book } = clocked();
    for (const [window, { stepMs, steps }] of Object.entries(WINDOWS)) {
      const traffic = book.read(window as WindowName);
      expect(traffic).toMatchObject({ window, stepMs, services: [] });
      expect(traffic.timesMs).toHaveLength(steps);
      expect(traffic.timesMs.at(-1)).toBe(Math.floor(START_MS / stepMs) * stepMs);
    }
  });

  test("counts requests in the step they are over in, by class, with bytes", () => {
    const { book, clock } = clocked();
    for (const [status, ms] of [[200, 10], [204, 20], [302, 30], [404, 40], [503, 50], [0, 60], [700, 70]]) {
      book.request("web", status!, ms!, 1, 100);
    }
    clock.nowMs += 2_000;
    book.request("web", 101, 3_600_000, 5, 5);
    const [web] = book.read("5m").services;
    expect(web!.requests.slice(-3)).toEqual([7, 0, 1]);
    expect(Object.fromEntries(Object.entries(web!.classes).map(([name, list]) => [name, list.slice(-3)])))
      .toEqual({
        ...{ "1xx": [0, 0, 1], "2xx": [2, 0, 0], "3xx": [1, 0, 0], "4xx": [1, 0, 0], "5xx": [2, 0, 0] },
        none: [1, 0, 0],
      });
    expect(web!.inBytes.slice(-3)).toEqual([7, 0, 5]);
    expect(web!.outBytes.slice(-3)).toEqual([700, 0, 5]);
    expect(web!.p50Ms.at(-3)! / 40).toBeGreaterThan(0.95);
    expect(web!.p99Ms.at(-3)! / 70).toBeLessThan(1.05);
    // How long a WebSocket stood is no latency.
    expect([web!.p50Ms.at(-2), web!.p50Ms.at(-1)]).toEqual([null, null]);
    for (const list of [web!.requests, web!.p50Ms, web!.p95Ms, web!.p99Ms, web!.inBytes, web!.outBytes]) {
      expect(list).toHaveLength(300);
    }
  });

  test("every window sums to the same, until its steps are out of it", () => {
    const { book, clock } = clocked();
    for (let i = 0; i < 250; i++) {
      book.request("web", 200, i, 1, 2);
      clock.nowMs += 1_000;
    }
    const sum = (window: WindowName): number =>
      (book.read(window).services[0]?.requests ?? []).reduce((a, b) => a + b, 0);
    expect([sum("5m"), sum("1h"), sum("24h")]).toEqual([250, 250, 250]);
    clock.nowMs += 300_000;
    expect([sum("5m"), sum("1h"), sum("24h")]).toEqual([0, 250, 250]);
    clock.nowMs += 3_600_000;
    expect([sum("5m"), sum("1h"), sum("24h")]).toEqual([0, 0, 250]);
    clock.nowMs += 86_400_000;
    expect([sum("5m"), sum("1h"), sum("24h")]).toEqual([0, 0, 0]);
    book.request("web", 200, 1, 1, 1);
    expect([sum("5m"), sum("1h"), sum("24h")]).toEqual([1, 1, 1]);
  });

  test("a clock that is set back neither breaks it nor shows what has not been", () => {
    const { book, clock } = clocked();
    book.request("web", 200, 1, 0, 0);
    clock.nowMs -= 3_600_000;
    book.request("web", 200, 1, 0, 0);
    const sum = (): number => book.read("5m").services[0]!.requests.reduce((a, b) => a + b, 0);
    expect(sum()).toBe(1);
    clock.nowMs += 3_600_000;
    expect(sum()).toBe(1);
  });

  test("connections are of their own protocol, and no latency is told of them", () => {
    const { book } = clocked();
    book.request("db", 200, 5, 1, 1);
    book.connection("db", false, 10, 20);
    book.connection("db", true, 0, 0);
    const { services } = book.read("5m", "db");
    expect(services.map(({ service, protocol }) => [service, protocol])).toEqual([["db", "http"], [
      "db",
      "tcp",
    ]]);
    const tcp = services[1]!;
    expect([tcp.requests.at(-1), tcp.classes["closed"]!.at(-1), tcp.classes["failed"]!.at(-1)]).toEqual([
      2,
      1,
      1,
    ]);
    expect([tcp.p50Ms.at(-1), tcp.inBytes.at(-1), tcp.outBytes.at(-1)]).toEqual([null, 10, 20]);
    expect(book.read("5m", "other").services).toEqual([]);
  });

  test("more services than it has room for are one, and a place comes free after a day", () => {
    const { book, clock } = clocked();
    for (let i = 0; i < SERVICES_MAX + 500; i++) book.request(`s${i}`, 200, 1, 0, 0);
    for (let i = 0; i < 100; i++) book.connection(`t${i}`, false, 1, 1);
    const { services } = book.read("5m");
    expect(services.length).toBeLessThanOrEqual(SERVICES_MAX);
    const others = services.filter(({ service }) => service === OTHER_SERVICES);
    expect(others.map(({ requests }) => requests.at(-1))).toEqual([502, 100]);
    clock.nowMs += 86_400_000 + 60_000;
    book.request("late", 200, 1, 0, 0);
    expect(book.read("5m").services.map(({ service }) => service)).toEqual(["late"]);
  });
});
