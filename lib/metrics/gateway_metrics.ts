/**
 * Every metric of the gateway, declared once.
 *
 * Labels take only values from bounded sets: services that are routed, classes of status, codes of the wire.
 *
 * @module
 */
import { Counter, Gauge, type Metric, Registry } from "prom-client";
import { RequestTotals } from "./request_totals.ts";

/** What is read at the moment of a scrape. */
export interface GatewayGauges {
  links: number;
  streams: number;
  /** Body bytes that wait for their readers. */
  heldBytes: number;
  /** Credit that agents have and did not use. */
  creditBytes: number;
  /** Streams reset because their reader was too slow and memory short. */
  shedTotal: number;
  /** Links by agent, round trip in seconds. */
  roundTrips: { agent: string; seconds: number }[];
  /** What the agent of each link claims of its wall: whole, broken or unknown. */
  walls: { agent: string; state: string }[];
}

/** From where to where a raw connection goes. */
export type ConnectionDirection = "north-south" | "east-west" | "egress";

/** What the firewall counts, read at each scrape. */
export interface FirewallTotals {
  /** Requests and connections that were judged. */
  verdicts: { direction: ConnectionDirection; verdict: string; value: number }[];
  /** Events, merged ones too, by type and effect. */
  events: { type: string; effect: string; value: number }[];
  /** What could not be written down, by kind; and what sinks had to drop, by their name. */
  unrecorded: { kind: string; value: number }[];
  /** 1 when the store can be written, 0 when not. */
  storeUp: number;
  policyVersion: number;
  /** Groups and directions by the state of their model. */
  models: { state: string; value: number }[];
  edges: number;
}

export class GatewayMetrics {
  readonly #registry = new Registry();
  readonly #requests = new RequestTotals();
  readonly #failures = this.#counter(
    "netwall_request_failures_total",
    "Requests that the target did not answer",
    [
      "service",
      "error",
    ],
  );
  readonly #connections = this.#counter(
    "netwall_connections_total",
    "Raw connections that are over, and how they ended",
    ["service", "direction", "result"],
  );
  readonly #connectionBytes = this.#counter(
    "netwall_connection_bytes_total",
    "Bytes of raw connections that are over; in is from who called",
    ["service", "direction", "way"],
  );
  readonly #retries = this.#counter(
    "netwall_retries_total",
    "Requests and raw connections that were tried again on another link",
    [
      "service",
    ],
  );
  readonly #resets = this.#counter("netwall_stream_resets_total", "Streams that were cut off", [
    "code",
    "by",
  ]);
  readonly #linkEvents = this.#counter("netwall_link_events_total", "Links made, made again, lost, refused", [
    "event",
  ]);
  readonly #dropped = this.#counter("netwall_dropped_total", "What was turned away at a full queue", [
    "queue",
  ]);
  readonly #faults = this.#counter("netwall_faults_total", "Bugs that were caught; see the log", []);

  /** @param gauges Read at each scrape. */
  constructor(gauges: () => GatewayGauges) {
    const requests = this.#requests;
    this.#total(
      "netwall_requests_total",
      "Requests by service and class of status",
      ["service", "status"],
      () => {
        return requests.requests();
      },
    );
    this.#total("netwall_body_bytes_total", "Body bytes by service; in is from visitors", [
      "service",
      "direction",
    ], () => {
      return requests.bytes();
    });
    this.#latency("netwall_request_duration_seconds", "From the request's head to the end of the answer");
    const gauge = (name: string, help: string, read: (gauges: GatewayGauges) => number): void =>
      this.#gauge(name, help, () => read(gauges()));
    gauge("netwall_links", "Links that stand", (now) => now.links);
    gauge("netwall_streams", "Streams that are open", (now) => now.streams);
    gauge("netwall_held_bytes", "Body bytes held for slow readers", (now) => now.heldBytes);
    gauge(
      "netwall_credit_outstanding_bytes",
      "Credit that agents have and did not use",
      (now) => now.creditBytes,
    );
    gauge(
      "netwall_streams_shed",
      "Streams reset since the start as their readers were too slow",
      (now) => now.shedTotal,
    );
    new Gauge({
      name: "netwall_walls",
      help: "Links by agent and the state of the wall that it reports",
      labelNames: ["agent", "state"],
      registers: [this.#registry],
      collect(): void {
        this.reset();
        for (const wall of gauges().walls) this.inc({ ...wall });
      },
    });
    const roundTrips = (): { labels: { agent: string }; value: number }[] =>
      gauges().roundTrips.map(({ agent, seconds }) => ({ labels: { agent }, value: seconds }));
    this.#gauge("netwall_link_round_trip_seconds", "Smoothed round trip of a link", roundTrips, ["agent"]);
  }

  /** Shows what a firewall counts too. Called once at most. */
  watchFirewall(read: () => FirewallTotals): void {
    const rows = <T extends { value: number }>(
      list: T[],
    ): { labels: Record<string, string>; value: number }[] =>
      list.map(({ value, ...labels }) => ({ labels: labels as Record<string, string>, value }));
    this.#total("netwall_verdicts_total", "Requests and connections by what was judged of them", [
      "direction",
      "verdict",
    ], () => rows(read().verdicts));
    this.#total(
      "netwall_events_total",
      "What the firewall noticed, equal ones too",
      ["type", "effect"],
      () => rows(read().events),
    );
    this.#total(
      "netwall_unrecorded_total",
      "What could not be written down or told, and is lost",
      ["kind"],
      () => rows(read().unrecorded),
    );
    this.#gauge("netwall_models", "Learned models by state", () => rows(read().models), ["state"]);
    this.#gauge("netwall_store_up", "Whether the store can be written", () => read().storeUp);
    this.#gauge("netwall_policy_version", "The version of the policy in force", () => read().policyVersion);
    this.#gauge("netwall_edges", "Edges that are known", () => read().edges);
  }

  /** A request is over. `status` 0 is a visitor who left. */
  request(service: string, status: number, seconds: number, inBytes: number, outBytes: number): void {
    this.#requests.record(service, status, seconds, inBytes, outBytes);
  }

  failure(service: string, error: string): void {
    this.#failures.inc({ service, error });
  }

  /** A raw connection is over. `result` is `closed`, or one of a bounded set of failures. */
  connection(
    service: string,
    direction: ConnectionDirection,
    result: string,
    inBytes: number,
    outBytes: number,
  ): void {
    this.#connections.inc({ service, direction, result });
    if (inBytes > 0) this.#connectionBytes.inc({ service, direction, way: "in" }, inBytes);
    if (outBytes > 0) this.#connectionBytes.inc({ service, direction, way: "out" }, outBytes);
  }

  retry(service: string): void {
    this.#retries.inc({ service });
  }

  streamReset(code: string, remote: boolean): void {
    this.#resets.inc({ code, by: remote ? "agent" : "gateway" });
  }

  link(event: "made" | "remade" | "lost" | "refused"): void {
    this.#linkEvents.inc({ event });
  }

  dropped(queue: "connections" | "streams" | "hellos" | "handshakes" | "calls"): void {
    this.#dropped.inc({ queue });
  }

  fault(): void {
    this.#faults.inc();
  }

  /** All of it in the Prometheus text format. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }

  /** The media type of `text`. */
  get contentType(): string {
    return this.#registry.contentType;
  }

  #counter(name: string, help: string, labelNames: string[]): Counter<string> {
    return new Counter({ name, help, labelNames, registers: [this.#registry] });
  }

  /** A counter whose values are kept elsewhere. */
  #total(
    name: string,
    help: string,
    labelNames: string[],
    read: () => { labels: Record<string, string>; value: number }[],
  ): void {
    new Counter({
      ...{ name, help, labelNames, registers: [this.#registry] },
      collect(): void {
        this.reset();
        for (const { labels, value } of read()) this.inc(labels, value);
      },
    });
  }

  /** @param read A number, or one for each set of labels. */
  #gauge(
    name: string,
    help: string,
    read: () => number | { labels: Record<string, string>; value: number }[],
    labelNames: string[] = [],
  ): void {
    new Gauge({
      ...{ name, help, labelNames, registers: [this.#registry] },
      collect(): void {
        const now = read();
        if (typeof now === "number") return this.set(now);
        this.reset();
        for (const { labels, value } of now) this.set(labels, value);
      },
    });
  }

  /** The library's histogram cannot be filled from outside; its registry takes whatever gives the same series. */
  #latency(name: string, help: string): void {
    const values = (): ReturnType<RequestTotals["latencySeries"]> => this.#requests.latencySeries(name);
    const get = (): Promise<unknown> =>
      Promise.resolve({ name, help, type: "histogram", values: values(), aggregator: "sum" });
    this.#registry.registerMetric({ name, help, get } as unknown as Metric);
  }
}
