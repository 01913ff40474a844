/**
 * What is counted for every request, in plain numbers, and turned into metrics only when somebody scrapes.
 *
 * A labelled counter of a metrics library hashes its labels at each step: for a gateway that was several percent of a
 * request.
 *
 * @module
 */

/** Upper bounds of the latency buckets, in seconds; after them comes infinity. */
export const LATENCY_BUCKETS_SECONDS = [
  0.001,
  0.0025,
  0.005,
  0.01,
  0.025,
  0.05,
  0.1,
  0.25,
  0.5,
  1,
  2.5,
  5,
  10,
  30,
];

/** Classes of status, by their first digit; 0 is a visitor who left before an answer. */
const STATUS_CLASSES = ["none", "1xx", "2xx", "3xx", "4xx", "5xx", "6xx", "7xx", "8xx", "9xx"];

/** The totals of one service. */
export interface ServiceTotals {
  /** Requests by the first digit of their status. */
  readonly byClass: number[];
  /** Requests by latency bucket, the last is infinity; not cumulative. */
  readonly buckets: number[];
  seconds: number;
  inBytes: number;
  outBytes: number;
}

export class RequestTotals {
  readonly #services = new Map<string, ServiceTotals>();

  /** Counts a request. @param service One of a bounded set. */
  record(service: string, status: number, seconds: number, inBytes: number, outBytes: number): void {
    let totals = this.#services.get(service);
    if (totals === undefined) {
      const zeros = (length: number): number[] => new Array<number>(length).fill(0);
      const byClass = zeros(STATUS_CLASSES.length);
      const buckets = zeros(LATENCY_BUCKETS_SECONDS.length + 1);
      totals = { byClass, buckets, seconds: 0, inBytes: 0, outBytes: 0 };
      this.#services.set(service, totals);
    }
    totals.byClass[Math.floor(status / 100)]!++;
    let bucket = 0;
    while (bucket < LATENCY_BUCKETS_SECONDS.length && seconds > LATENCY_BUCKETS_SECONDS[bucket]!) bucket++;
    totals.buckets[bucket]!++;
    totals.seconds += seconds;
    totals.inBytes += inBytes;
    totals.outBytes += outBytes;
  }

  /** Requests by service and class of status, those that were seen. */
  requests(): { labels: { service: string; status: string }; value: number }[] {
    return [...this.#services].flatMap(([service, { byClass }]) =>
      byClass.map((value, digit) => ({ labels: { service, status: STATUS_CLASSES[digit]! }, value }))
        .filter(({ value }) => value > 0)
    );
  }

  /** Body bytes by service and direction. */
  bytes(): { labels: { service: string; direction: string }; value: number }[] {
    return [...this.#services].flatMap(([service, { inBytes, outBytes }]) => [
      { labels: { service, direction: "in" }, value: inBytes },
      { labels: { service, direction: "out" }, value: outBytes },
    ]);
  }

  /** The latency histogram as the series of the Prometheus format: cumulative buckets, sum and count. */
  latencySeries(name: string): { metricName: string; labels: Record<string, string>; value: number }[] {
    const series: { metricName: string; labels: Record<string, string>; value: number }[] = [];
    for (const [service, { buckets, seconds }] of this.#services) {
      let count = 0;
      buckets.forEach((value, index) => {
        count += value;
        const le = index < LATENCY_BUCKETS_SECONDS.length ? String(LATENCY_BUCKETS_SECONDS[index]) : "+Inf";
        series.push({ metricName: `${name}_bucket`, labels: { le, service }, value: count });
      });
      series.push({ metricName: `${name}_sum`, labels: { service }, value: seconds });
      series.push({ metricName: `${name}_count`, labels: { service }, value: count });
    }
    return series;
  }
}
