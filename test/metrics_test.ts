/**
 * Tests of the metrics: every one that operators were promised is there, moves, and has bounded labels.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { GatewayMetrics } from "../lib/metrics/gateway_metrics.ts";

function metrics(): GatewayMetrics {
  return new GatewayMetrics(() => ({
    ...{ links: 2, streams: 3, heldBytes: 4, creditBytes: 5, shedTotal: 6 },
    roundTrips: [{ agent: "box", seconds: 0.25 }],
    walls: [{ agent: "box", state: "whole" }],
  }));
}

test("each event moves its own series", async () => {
  const all = metrics();
  all.request("web", 200, 0.02, 10, 20);
  all.request("web", 204, 0.02, 0, 0);
  all.request("web", 0, 0.02, 0, 0);
  all.failure("web", "connection_refused");
  all.retry("web");
  all.streamReset("cancelled", true);
  all.streamReset("cancelled", false);
  all.link("made");
  all.link("remade");
  all.dropped("connections");
  all.fault();
  const text = await all.text();
  const expected = [
    'netwall_requests_total{service="web",status="2xx"} 2',
    'netwall_requests_total{service="web",status="none"} 1',
    'netwall_body_bytes_total{service="web",direction="in"} 10',
    'netwall_body_bytes_total{service="web",direction="out"} 20',
    'netwall_request_duration_seconds_bucket{le="0.025",service="web"} 3',
    'netwall_request_duration_seconds_bucket{le="0.01",service="web"} 0',
    'netwall_request_failures_total{service="web",error="connection_refused"} 1',
    'netwall_retries_total{service="web"} 1',
    'netwall_stream_resets_total{code="cancelled",by="agent"} 1',
    'netwall_stream_resets_total{code="cancelled",by="gateway"} 1',
    'netwall_link_events_total{event="made"} 1',
    'netwall_link_events_total{event="remade"} 1',
    'netwall_dropped_total{queue="connections"} 1',
    "netwall_faults_total 1",
    "netwall_links 2",
    "netwall_streams 3",
    "netwall_held_bytes 4",
    "netwall_credit_outstanding_bytes 5",
    'netwall_link_round_trip_seconds{agent="box"} 0.25',
  ];
  const lines = text.split("\n");
  for (const line of expected) expect([line, lines.includes(line)]).toEqual([line, true]);
  expect(expected).toHaveLength(19);
  expect(text).toMatch(/^netwall_streams_shed(_total)? 6$/m);
});

test("raw connections are counted by service, direction and how they ended, and their bytes each way", async () => {
  const all = metrics();
  all.connection("db", "north-south", "closed", 10, 20);
  all.connection("db", "north-south", "closed", 1, 2);
  all.connection("db", "north-south", "targetRefused", 0, 0);
  all.connection("db", "east-west", "closed", 0, 5);
  all.connection("", "egress", "denied", 0, 0);
  all.dropped("hellos");
  const text = await all.text();
  const expected = [
    'netwall_connections_total{service="db",direction="north-south",result="closed"} 2',
    'netwall_connections_total{service="db",direction="north-south",result="targetRefused"} 1',
    'netwall_connections_total{service="db",direction="east-west",result="closed"} 1',
    'netwall_connections_total{service="",direction="egress",result="denied"} 1',
    'netwall_connection_bytes_total{service="db",direction="north-south",way="in"} 11',
    'netwall_connection_bytes_total{service="db",direction="north-south",way="out"} 22',
    'netwall_connection_bytes_total{service="db",direction="east-west",way="out"} 5',
    'netwall_dropped_total{queue="hellos"} 1',
  ];
  const lines = text.split("\n");
  for (const line of expected) expect([line, lines.includes(line)]).toEqual([line, true]);
  expect(expected).toHaveLength(8);
  // What moved no byte makes no series of bytes.
  expect(lines.filter((line) => line.startsWith("netwall_connection_bytes_total{"))).toHaveLength(3);
});

test("walls are shown as they are at the moment, also those that are gone", async () => {
  const [one, two] = [{ agent: "one", state: "whole" }, { agent: "two", state: "broken" }];
  let walls = [one, one, two];
  const all = new GatewayMetrics(() => ({
    ...{ links: 3, streams: 0, heldBytes: 0, creditBytes: 0, shedTotal: 0, roundTrips: [], walls },
  }));
  const shown = async (): Promise<string[]> =>
    (await all.text()).split("\n").filter((line) => line.startsWith("netwall_walls{"));
  expect(await shown()).toEqual([
    'netwall_walls{agent="one",state="whole"} 2',
    'netwall_walls{agent="two",state="broken"} 1',
  ]);
  walls = [{ agent: "two", state: "whole" }];
  expect(await shown()).toEqual(['netwall_walls{agent="two",state="whole"} 1']);
});

test("two gateways in one process do not share a count", async () => {
  const [one, two] = [metrics(), metrics()];
  one.fault();
  expect(await one.text()).toContain("netwall_faults_total 1");
  expect(await two.text()).toContain("netwall_faults_total 0");
});

test("any status falls into one of eleven classes", async () => {
  const all = metrics();
  for (let status = 0; status < 1000; status++) all.request("web", status, 0, 0, 0);
  const classes = (await all.text()).match(/^netwall_requests_total\{.*$/gm);
  expect(classes!.length).toBeLessThanOrEqual(11);
});

test("every metric is described, and named as Prometheus asks", async () => {
  const text = await metrics().text();
  const types = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)];
  expect(types.length).toBeGreaterThanOrEqual(17);
  for (const [, name, type] of types) {
    expect(text).toContain(`# HELP ${name} `);
    expect(name).toMatch(/^netwall_[a-z_]+$/);
    if (type === "counter") expect(name).toMatch(/_total$/);
  }
});
