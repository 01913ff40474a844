/**
 * From the columns of the API to what is plotted and told: rates, shares, latencies.
 *
 * Percentiles of several services cannot be added up: of all together the slowest service counts, and it is said so.
 *
 * @module
 */
import { visible } from "../core/visible.ts";
import type { ServiceTraffic, Traffic, WindowName } from "./traffic_types.ts";

export const WINDOWS: readonly WindowName[] = ["5m", "1h", "24h"];

/** In the address, for what has no route: the name of a service is never this. */
export const NO_ROUTE = "-";

/** The statuses in the order in which they are shown, with what ended raw connections. */
export const CLASSES = ["2xx", "3xx", "4xx", "5xx", "1xx", "none", "closed", "failed"] as const;
export type StatusClass = (typeof CLASSES)[number];

/** A step that has only begun tells nothing: of a short window it is a second. */
const BEGUN_MS = 5_000;
/** Numbers of a table are those of the last tenth of a window. */
const RECENT_SHARE = 0.1;

export interface Line {
  readonly name: string;
  readonly values: readonly (number | null)[];
}

export interface Plotted {
  readonly timesMs: readonly number[];
  /** A second, by class; only classes that occur. */
  readonly rates: readonly Line[];
  /** p50, p95 and p99 in ms; empty when none is known. */
  readonly latencies: readonly Line[];
  /** In and out, a second. */
  readonly bytes: readonly Line[];
}

/** The numbers of one service, of late. */
export interface ServiceNumbers {
  readonly service: string;
  readonly protocol: ServiceTraffic["protocol"];
  readonly perSecond: number;
  /** Of answers with 5xx and of connections that failed, from 0 to 1; `undefined` when there was nothing. */
  readonly errorShare: number | undefined;
  readonly clientErrorShare: number | undefined;
  /** Means of the steps by their requests; `undefined` where nothing is known. */
  readonly p50Ms: number | undefined;
  readonly p95Ms: number | undefined;
  readonly p99Ms: number | undefined;
  readonly inBytesPerSecond: number;
  readonly outBytesPerSecond: number;
  /** In the whole window. */
  readonly requests: number;
  /** Of the whole window, in at most `SPARK_POINTS` points. */
  readonly spark: readonly number[];
}

export const SPARK_POINTS = 60;

/** How a service is called to people. */
export function serviceLabel(service: string): string {
  if (service === "") return "no route";
  if (service === "*") return "all other services";
  return visible(service.startsWith("egress/") ? `${service.slice(7)} → outside` : service);
}

/** The service in the address; `undefined` is all. */
export function chosenService(param: string | null): string | undefined {
  return param === null || param === "" ? undefined : param === NO_ROUTE ? "" : param;
}

export function windowOf(param: string | null): WindowName {
  return WINDOWS.find((name) => name === param) ?? "5m";
}

/**
 * How much of the step that is under way is over: its counts are taken for that time. `undefined` when it tells too
 * little and is left out.
 *
 * @param serverMs The time at the gateway.
 */
export function openStepMs({ timesMs, stepMs }: Traffic, serverMs: number): number | undefined {
  const passedMs = Math.min(serverMs - (timesMs.at(-1) ?? serverMs), stepMs);
  return passedMs < BEGUN_MS ? undefined : passedMs;
}

/** @param openMs As `openStepMs` says. */
export function plotted(
  traffic: Traffic,
  services: readonly ServiceTraffic[],
  openMs: number | undefined,
): Plotted {
  const { timesMs, stepMs } = traffic;
  const length = Math.max(0, timesMs.length - (openMs === undefined ? 1 : 0));
  const seconds = (step: number): number => (step === timesMs.length - 1 ? openMs ?? stepMs : stepMs) / 1_000;
  const sum = (columns: readonly (readonly number[])[]): number[] =>
    Array.from({ length }, (_, step) => {
      let total = 0;
      for (const column of columns) total += column[step] ?? 0;
      return total / seconds(step);
    });
  const highest = (columns: readonly (readonly (number | null)[])[]): (number | null)[] =>
    Array.from({ length }, (_, step) => {
      let top: number | null = null;
      for (const column of columns) {
        const value = column[step] ?? null;
        if (value !== null && (top === null || value > top)) top = value;
      }
      return top;
    });
  const latencies = [
    { name: "p50", values: highest(services.map(({ p50Ms }) => p50Ms)) },
    { name: "p95", values: highest(services.map(({ p95Ms }) => p95Ms)) },
    { name: "p99", values: highest(services.map(({ p99Ms }) => p99Ms)) },
  ];
  return {
    timesMs: timesMs.slice(0, length),
    rates: CLASSES.flatMap((name) => {
      const columns = services.flatMap(({ classes }) => classes[name] === undefined ? [] : [classes[name]]);
      return columns.length === 0 ? [] : [{ name, values: sum(columns) }];
    }),
    latencies: latencies.some(({ values }) => values.some((value) => value !== null)) ? latencies : [],
    bytes: [
      { name: "in", values: sum(services.map(({ inBytes }) => inBytes)) },
      { name: "out", values: sum(services.map(({ outBytes }) => outBytes)) },
    ],
  };
}

/** How long the time is that the numbers of a table are of. */
export function recentMs({ timesMs, stepMs }: Traffic): number {
  return Math.max(1, Math.round(timesMs.length * RECENT_SHARE)) * stepMs;
}

/** The services with their numbers, the busiest first. */
export function numbersOf(traffic: Traffic, openMs: number | undefined): ServiceNumbers[] {
  const to = traffic.timesMs.length - (openMs === undefined ? 1 : 0);
  const recent = Math.max(0, to - Math.max(1, Math.round(traffic.timesMs.length * RECENT_SHARE)));
  // A gateway that has run for a minute has had no traffic in the hour before.
  const begun = Math.min(...traffic.services.map(({ requests }) => requests.findIndex((count) => count > 0)));
  const from = Math.min(Math.max(recent, begun), Math.max(0, to - 1));
  return traffic.services.map((service) => numbersOfOne(traffic, service, { from, to, openMs }))
    .sort((a, b) => b.perSecond - a.perSecond || b.requests - a.requests || (a.service < b.service ? -1 : 1));
}

/** The steps that count. */
interface Span {
  readonly from: number;
  /** Not itself. */
  readonly to: number;
  readonly openMs: number | undefined;
}

function numbersOfOne(
  { stepMs }: Traffic,
  service: ServiceTraffic,
  { from, to, openMs }: Span,
): ServiceNumbers {
  const seconds = ((to - from) * stepMs - (openMs === undefined ? 0 : stepMs - openMs)) / 1_000;
  const recent = (column: readonly number[] | undefined): number =>
    (column ?? []).slice(from, to).reduce((sum, value) => sum + value, 0);
  const rate = (amount: number): number => seconds > 0 ? amount / seconds : 0;
  const requests = recent(service.requests);
  const { classes } = service;
  const share = (...names: StatusClass[]): number | undefined =>
    requests === 0 ? undefined : names.reduce((sum, name) => sum + recent(classes[name]), 0) / requests;
  const mean = (column: readonly (number | null)[]): number | undefined => {
    let [sum, weight] = [0, 0];
    for (let step = from; step < to; step++) {
      const value = column[step] ?? null;
      if (value === null) continue;
      sum += value * service.requests[step]!;
      weight += service.requests[step]!;
    }
    return weight === 0 ? undefined : sum / weight;
  };
  return {
    ...{ service: service.service, protocol: service.protocol, perSecond: rate(requests) },
    errorShare: share("5xx", "failed"),
    clientErrorShare: share("4xx"),
    ...{ p50Ms: mean(service.p50Ms), p95Ms: mean(service.p95Ms), p99Ms: mean(service.p99Ms) },
    inBytesPerSecond: rate(recent(service.inBytes)),
    outBytesPerSecond: rate(recent(service.outBytes)),
    requests: service.requests.reduce((sum, value) => sum + value, 0),
    spark: sparkOf(service.requests.slice(0, to)),
  };
}

/** Sums of neighbours, so that nothing between two points is lost. */
export function sparkOf(values: readonly number[]): number[] {
  const size = Math.max(1, Math.ceil(values.length / SPARK_POINTS));
  const points: number[] = [];
  for (let end = values.length; end > 0; end -= size) {
    points.push(values.slice(Math.max(0, end - size), end).reduce((sum, value) => sum + value, 0));
  }
  return points.reverse();
}

/** The line of a spark as the points of a polyline in a box. */
export function sparkPoints(points: readonly number[], width: number, height: number): string {
  const top = Math.max(...points, 1);
  const step = width / Math.max(1, points.length - 1);
  return points.map((value, index) =>
    `${(index * step).toFixed(1)},${(height - 1 - (value / top) * (height - 2)).toFixed(1)}`
  ).join(" ");
}
