/**
 * What the gateway keeps of its traffic: without the firewall too, each thing counted once, and taps that leave nothing
 * behind.
 *
 * @module
 */
import { expect, test } from "bun:test";
import type { GatewayVisit } from "../../lib/gateway/flows.ts";
import { TrafficWatch } from "../../lib/gateway/traffic_watch.ts";
import { eventually } from "../e2e/wall.ts";
import { RawVisitor } from "../support/raw_http.ts";
import { startWall } from "../support/wall.ts";

const END = { failure: undefined, inBytes: 1, outBytes: 2 };

test("connections count by service, calls to the outside by agent, and what carries requests not at all", () => {
  const watch = new TrafficWatch();
  watch.connection({ ...END, direction: "north-south", service: "db", source: "192.0.2.1" });
  watch.connection({ ...END, direction: "east-west", service: "db", source: "shop-1", failure: "denied" });
  watch.connection({ ...END, direction: "east-west", service: "web", source: "shop-1", carriesHttp: true });
  watch.connection({ ...END, direction: "egress", service: "", source: "shop-1" });
  const told = watch.book.read("5m").services.map((
    each,
  ) => [each.service, each.protocol, each.requests.at(-1)]);
  expect(told).toEqual([["db", "tcp", 2], ["egress/shop-1", "tcp", 1]]);
  expect(Object.keys(watch.book.read("5m", "db").services[0]!.classes)).toEqual(["closed", "failed"]);
  watch.close();
});

test("a second attempt begins anew, and what was recorded of the first gives its memory back", () => {
  const watch = new TrafficWatch();
  const visit = { service: "web" } as GatewayVisit;
  expect(watch.tap(visit)).toBeUndefined();
  watch.recordings.start(
    { service: "web", untilMs: Date.now() + 60_000, bodyBytesMax: 100, by: "otto" },
    () => {},
  );
  const first = watch.tap(visit)!;
  first.onResponseBytes(new Uint8Array(50));
  expect(watch.log.memory.held).toBeGreaterThan(0);
  const second = watch.tap(visit)!;
  expect([second === first, visit.bodies === second, watch.log.memory.held]).toEqual([false, true, 0]);
  watch.close();
});

test("what the gateway answers itself is kept as well, with the firewall off", async () => {
  const wall = await startWall({ gateway: { firewall: false, route: ["known.test=web"] } });
  const visitors: RawVisitor[] = [];
  const ask = async (text: string): Promise<void> => {
    const visitor = new RawVisitor(wall.port).send(text);
    visitors.push(visitor);
    await visitor.answers(1);
  };
  try {
    await ask("GET /nobody HTTP/1.1\r\nHost: known.test\r\n\r\n");
    await ask("GET /nowhere?key=x HTTP/1.1\r\nHost: other.test\r\n\r\n");
    await ask("BAD REQUEST\r\n\r\n");
    const list = async (): Promise<Record<string, unknown>[]> =>
      JSON.parse(await wall.admin("/api/v1/requests")).items;
    const items = await eventually(list, ({ length }) => length === 2);
    expect(items[0]).toMatchObject({ service: "", status: 404, target: "/nowhere?key=[masked]" });
    expect(items[1]).toMatchObject({ service: "web", status: 503, failure: "destination_unavailable" });
    expect(items.map(({ verdict }) => verdict)).toEqual([undefined, undefined]);
    const record = JSON.parse(await wall.admin(`/api/v1/requests/${items[0]!["id"]}`));
    expect(record.response.fields.map(({ name }: { name: string }) => name)).toContain("Content-Type");
    const { services } = JSON.parse(await wall.admin("/api/v1/traffic"));
    expect(services.map(({ service }: { service: string }) => service)).toEqual(["", "web"]);
  } finally {
    for (const visitor of visitors) visitor.close();
    await wall.close();
  }
});
