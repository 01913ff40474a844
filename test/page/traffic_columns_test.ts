/**
 * From columns of the API to plots and numbers.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import {
  chosenService,
  numbersOf,
  openStepMs,
  plotted,
  recentMs,
  serviceLabel,
  SPARK_POINTS,
  sparkOf,
  sparkPoints,
  windowOf,
} from "../../lib/page/traffic/columns.ts";
import type { ServiceTraffic, Traffic } from "../../lib/page/traffic/traffic_types.ts";

const START_MS = 1_800_000_000_000;

/** Ten steps of a second; `requests` are all 2xx unless classes are given. */
function serviceOf(name: string, requests: number[], patch: Partial<ServiceTraffic> = {}): ServiceTraffic {
  const none = requests.map(() => null);
  return {
    ...{ service: name, protocol: "http", requests, classes: { "2xx": requests } },
    ...{ p50Ms: none, p95Ms: none, p99Ms: none },
    ...{ inBytes: requests.map((count) => count * 10), outBytes: requests.map((count) => count * 100) },
    ...patch,
  };
}

function trafficOf(services: ServiceTraffic[], stepMs = 1_000, steps = 10): Traffic {
  const timesMs = Array.from({ length: steps }, (_, step) => START_MS + step * stepMs);
  return { window: "5m", stepMs, timesMs, services };
}

describe("the address", () => {
  test("windowOf() and chosenService() take what is known, and what has no route", () => {
    expect(["5m", "1h", "24h", "7d", "__proto__"].map(windowOf)).toEqual(["5m", "1h", "24h", "5m", "5m"]);
    expect(windowOf(null)).toBe("5m");
    expect([null, "", "-", "web"].map(chosenService)).toEqual([undefined, undefined, "", "web"]);
    expect(["", "*", "egress/pay-1", "web"].map(serviceLabel)).toEqual([
      ...["no route", "all other services", "pay-1 → outside", "web"],
    ]);
  });
});

describe("openStepMs()", () => {
  test("leaves out what has only begun, and never says more than a step", () => {
    const seconds = trafficOf([]);
    expect(openStepMs(seconds, START_MS + 9_900)).toBeUndefined();
    const minutes = trafficOf([], 300_000);
    const lastMs = minutes.timesMs.at(-1)!;
    expect(openStepMs(minutes, lastMs + 4_999)).toBeUndefined();
    expect(openStepMs(minutes, lastMs + 60_000)).toBe(60_000);
    expect(openStepMs(minutes, lastMs + 9_000_000)).toBe(300_000);
    // A clock that was set back.
    expect(openStepMs(minutes, lastMs - 60_000)).toBeUndefined();
    expect(openStepMs({ ...minutes, timesMs: [] }, lastMs)).toBeUndefined();
  });
});

describe("plotted()", () => {
  test("adds up rates a second and leaves the open step out", () => {
    const a = serviceOf("a", [0, 0, 0, 0, 0, 0, 0, 2, 4, 99]);
    const b = serviceOf("b", [0, 0, 0, 0, 0, 0, 0, 0, 1, 99], {
      classes: { "5xx": [0, 0, 0, 0, 0, 0, 0, 0, 1, 0] },
    });
    const { timesMs, rates, bytes, latencies } = plotted(trafficOf([a, b]), [a, b], undefined);
    expect(timesMs).toHaveLength(9);
    expect(rates.map(({ name }) => name)).toEqual(["2xx", "5xx"]);
    expect(rates[0]!.values.slice(-2)).toEqual([2, 4]);
    expect(rates[1]!.values.at(-1)).toBe(1);
    expect(bytes.map(({ values }) => values.at(-1))).toEqual([50, 500]);
    expect(latencies).toEqual([]);
  });

  test("takes the open step for the time that is over", () => {
    const service = serviceOf("a", [300, 30]);
    const traffic = trafficOf([service], 300_000, 2);
    const { rates } = plotted(traffic, [service], 30_000);
    expect(rates[0]!.values).toEqual([1, 1]);
  });

  test("shows the slowest service, and no line where nothing is known", () => {
    const a = serviceOf("a", [1, 1, 1], { p50Ms: [1, null, 5], p95Ms: [9, null, 9], p99Ms: [9, null, 9] });
    const b = serviceOf("b", [1, 1, 1], { p50Ms: [3, null, null], p95Ms: [4, null, null] });
    const { latencies } = plotted(trafficOf([a, b], 1_000, 3), [a, b], 1_000);
    expect(latencies[0]).toEqual({ name: "p50", values: [3, null, 5] });
    expect(latencies[1]!.values).toEqual([9, null, 9]);
  });

  test("is empty for no service and for no step", () => {
    expect(plotted(trafficOf([]), [], undefined).rates).toEqual([]);
    expect(plotted(trafficOf([], 1_000, 0), [], undefined)).toMatchObject({ timesMs: [], rates: [] });
  });
});

describe("numbersOf()", () => {
  test("is of the last tenth, the busiest first", () => {
    const steps = 100;
    const quiet = serviceOf("quiet", Array.from({ length: steps }, (_, i) => i < 50 ? 100 : 0));
    const busy = serviceOf("busy", Array.from({ length: steps }, () => 2), {
      classes: { "2xx": Array(steps).fill(1), "5xx": Array(steps).fill(1) },
      p50Ms: Array(steps).fill(7),
    });
    const traffic = trafficOf([quiet, busy], 1_000, steps);
    const [first, second] = numbersOf(traffic, undefined);
    expect(recentMs(traffic)).toBe(10_000);
    expect([first!.service, second!.service]).toEqual(["busy", "quiet"]);
    expect([first!.perSecond, first!.errorShare, first!.clientErrorShare, first!.p50Ms]).toEqual([
      2,
      0.5,
      0,
      7,
    ]);
    expect([first!.inBytesPerSecond, first!.outBytesPerSecond, first!.requests]).toEqual([20, 200, 200]);
    expect([second!.perSecond, second!.errorShare, second!.p50Ms]).toEqual([0, undefined, undefined]);
  });

  test("a gateway that has just begun is not thinned out by the time before", () => {
    const steps = 100;
    const requests = Array.from({ length: steps }, (_, i) => i >= 97 ? 6 : 0);
    const [only] = numbersOf(trafficOf([serviceOf("a", requests)], 1_000, steps), undefined);
    // Two steps are over, of the ten that would count.
    expect(only!.perSecond).toBe(6);
  });

  test("the first traffic of all in the open step makes no number without meaning", () => {
    const requests = [...Array(9).fill(0), 5] as number[];
    const [only] = numbersOf(trafficOf([serviceOf("a", requests)]), undefined);
    expect([only!.perSecond, only!.errorShare]).toEqual([0, undefined]);
    const [one] = numbersOf(trafficOf([serviceOf("a", [4])], 10_000, 1), 5_000);
    expect(one!.perSecond).toBe(0.8);
    expect(numbersOf(trafficOf([serviceOf("a", [4])], 1_000, 1), undefined)[0]!.perSecond).toBe(0);
    expect(numbersOf(trafficOf([]), undefined)).toEqual([]);
  });

  test("means are weighted by requests", () => {
    const service = serviceOf("a", [1, 3], { p95Ms: [10, 30] });
    const traffic: Traffic = { ...trafficOf([service], 10_000, 2) };
    const [numbers] = numbersOf({ ...traffic, timesMs: traffic.timesMs }, 10_000);
    // A tenth of two steps is one step.
    expect(numbers!.p95Ms).toBe(30);
    const wide = serviceOf("a", [...Array(18).fill(0), 1, 3] as number[], {
      p95Ms: [...Array(18).fill(null), 10, 30] as (number | null)[],
    });
    expect(numbersOf(trafficOf([wide], 10_000, 20), 10_000)[0]!.p95Ms).toBe(25);
  });
});

describe("sparks", () => {
  test("sparkOf() loses nothing", () => {
    let cases = 0;
    for (const length of [0, 1, 59, 60, 61, 299, 300, 359]) {
      const values = Array.from({ length }, (_, i) => i);
      const points = sparkOf(values);
      expect(points.length).toBeLessThanOrEqual(SPARK_POINTS);
      expect(points.reduce((a, b) => a + b, 0)).toBe(values.reduce((a, b) => a + b, 0));
      cases++;
    }
    expect(cases).toBe(8);
  });

  test("sparkPoints() stays in its box", () => {
    expect(sparkPoints([], 90, 20)).toBe("");
    expect(sparkPoints([0, 0], 90, 20)).toBe("0.0,19.0 90.0,19.0");
    expect(sparkPoints([0, 5], 90, 20)).toBe("0.0,19.0 90.0,1.0");
  });
});
