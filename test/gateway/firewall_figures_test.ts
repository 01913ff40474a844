/**
 * What the firewall shows in figures: how often rules decided, what was learned of a group, and an edge over time.
 *
 * @module
 */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { ControlError } from "../../lib/admin/control.ts";
import { gatewayConfig } from "../../lib/config/gateway_config.ts";
import { loadConfig } from "../../lib/config/load.ts";
import { connectionEnds } from "../../lib/gateway/flows.ts";
import { openFirewall, type RunningFirewall, STORE_FILE } from "../../lib/gateway/open_firewall.ts";
import { GatewayMetrics } from "../../lib/metrics/gateway_metrics.ts";
import { HOURS_MAX, MINUTES_MAX } from "../../lib/policy/edge_traffic.ts";
import { Registry } from "../../lib/routing/registry.ts";
import { keptLog } from "../doors/gateway_end.ts";
import { agentOf, FirewallRig, OPERATOR, policyOf } from "../support/firewall_rig.ts";

const front = agentOf("front-end", ["front-end"]);
const user = agentOf("user", ["user"]);
const db = agentOf("user-db", ["user-db"], { tcp: new Set(["user-db"]) });
const HOUR_MS = 3_600_000;

const folder = mkdtempSync(join(tmpdir(), "netwall-figures-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function countsOf(rig: FirewallRig): Record<string, number> {
  const { items, defaults } = rig.control.ruleHits();
  return Object.fromEntries([
    ...items.map(({ rule, count }) => [rule, count]),
    ...Object.entries(defaults).map(([reason, { count }]) => [reason, count]),
  ]);
}

const SOURCE = { namespace: "shop", image: "front-end" };
const NO_DB = { id: "no-db", source: SOURCE, destination: { service: "user-db" }, effect: "prevent" };

describe("rule hits", () => {
  test("a connection counts once for what decided, and again when a new policy decides otherwise", () => {
    const rig = new FirewallRig();
    const open = rig.connect(front, "user-db", db);
    rig.connectTimes(2, user, "user-db", db);
    // The first one widened the model, so that it is learned by then.
    expect(countsOf(rig)).toEqual({ learned: 1, learning: 2, implicit: 0 });
    const since = rig.control.ruleHits().sinceMs;
    rig.nowMs += 5;
    rig.control.apply(policyOf({ rules: [NO_DB] }), OPERATOR, "");
    expect(open.cut).toContain("policy");
    expect(countsOf(rig)).toEqual({ "no-db": 1, learned: 1, learning: 2, implicit: 0 });
    rig.connect(front, "user-db", db);
    expect(rig.control.ruleHits().items).toEqual([{ rule: "no-db", count: 2, lastMs: rig.nowMs }]);
    // Its words change, its id stays; the other is gone from the policy and forgotten.
    rig.control.apply(policyOf({ rules: [{ ...NO_DB, effect: "alert" }] }), OPERATOR, "");
    expect(countsOf(rig)["no-db"]).toBe(2);
    rig.control.apply(policyOf({ rules: [{ ...NO_DB, id: "other" }] }), OPERATOR, "");
    rig.control.apply(policyOf({ rules: [NO_DB] }), OPERATOR, "");
    expect(countsOf(rig)["no-db"]).toBeUndefined();
    expect(rig.control.ruleHits().sinceMs).toBe(since);
  });

  test("a rule that decides for a call at its name and at its address counts it once", () => {
    const rig = new FirewallRig(policyOf({
      rules: [{ id: "out", source: SOURCE, destination: { host: "verify.test" }, effect: "allow" }],
    }));
    const { passage } = rig.call(front, "verify.test", 443);
    rig.firewall.dials(passage, "192.0.2.10");
    expect(rig.firewall.mayDial(passage, "192.0.2.11")).toBe(true);
    rig.firewall.rejudge();
    rig.firewall.end(passage, { ok: true, inBytes: 1, outBytes: 1 });
    expect(countsOf(rig)["out"]).toBe(1);
  });

  test("counts come back with the next start, and begin anew when they cannot be read", async () => {
    const data = join(folder, "data");
    const start = (): RunningFirewall => {
      const config = loadConfig({ schema: gatewayConfig, flags: { data, mode: "alert" }, env: {} });
      const gauges = {
        links: 0,
        streams: 0,
        heldBytes: 0,
        creditBytes: 0,
        shedTotal: 0,
        roundTrips: [],
        walls: [],
      };
      const metrics = new GatewayMetrics(() => gauges);
      return openFirewall({ config, log: keptLog().log, metrics, registry: new Registry() });
    };
    const admit = ({ firewall }: RunningFirewall, times: number): void => {
      for (let time = 0; time < times; time++) {
        firewall.end(firewall.admit(connectionEnds(front, "", "user-db", db)), {
          ok: true,
          inBytes: 5,
          outBytes: 5,
        });
      }
    };
    const first = start();
    first.control.apply(policyOf({ defaultMode: "alert", rules: [NO_DB] }), OPERATOR, "");
    admit(first, 3);
    const { sinceMs } = first.control.ruleHits();
    await first.close();
    const second = start();
    expect(second.control.ruleHits()).toMatchObject({ sinceMs, items: [{ rule: "no-db", count: 3 }] });
    admit(second, 1);
    expect(second.control.ruleHits().items[0]?.count).toBe(4);
    // The week comes from the store, the hour is that of this process.
    const [edge] = second.control.edges();
    const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
    expect(sum(second.control.edgeTraffic(edge!.id, "1h").dropped)).toBe(1);
    await second.close();
    const database = new DatabaseSync(join(data, STORE_FILE));
    database.prepare("UPDATE states SET text = ? WHERE name = 'rule-hits'").run(
      new TextEncoder().encode("{"),
    );
    database.close();
    const third = start();
    expect(third.control.ruleHits().items).toEqual([]);
    expect(third.control.ruleHits().sinceMs).toBeGreaterThanOrEqual(sinceMs);
    expect(sum(third.control.edgeTraffic(edge!.id, "1h").counts)).toBe(0);
    const week = third.control.edgeTraffic(edge!.id, "7d");
    expect([sum(week.counts), sum(week.dropped), sum(week.bytes)]).toEqual([4, 4, 0]);
    await third.close();
  });
});

describe("the model of a group", () => {
  test("has the edges at whose one end it is, and no other", () => {
    const rig = new FirewallRig();
    rig.connectTimes(1, front, "user", user);
    rig.connectTimes(1, user, "user-db", db);
    rig.firewall.end(rig.call(user, "verify.test", 443).passage);
    const ends = (id: string): string[] =>
      rig.control.groupModel(id).map(({ source, service, host }) => `${source} ${service ?? host}`);
    expect(ends("shop/user")).toEqual([
      "shop/front-end user",
      "shop/user user-db",
      "shop/user verify.test",
    ]);
    expect(ends("shop/user-db")).toEqual(["shop/user user-db"]);
    const all = rig.control.exported().model!.edges;
    expect(all).toHaveLength(3);
    for (const id of ["shop/user", "shop/user-db", "shop/front-end"]) {
      const own = rig.control.groupModel(id).map((edge) => JSON.stringify(edge));
      expect(own.filter((edge) => !all.some((each) => JSON.stringify(each) === edge))).toEqual([]);
    }
  });

  test("a group that is linked and has learned nothing is there, one that nobody knows is not", () => {
    const rig = new FirewallRig();
    rig.registry.add(agentOf("idle", ["idle"]));
    expect(rig.control.groupModel("shop/idle")).toEqual([]);
    let refused = 0;
    for (const id of ["shop/idle2", "shop/", "idle", "internet", "shop/idle:1.0", "", "\0", "__proto__"]) {
      try {
        rig.control.groupModel(id);
      } catch (error) {
        expect((error as ControlError).code).toBe("notFound");
        refused++;
      }
    }
    expect(refused).toBe(8);
  });
});

describe("an edge over time", () => {
  test("an hour in minutes from memory, a week in hours from the store", () => {
    const rig = FirewallRig.inMode("alert");
    rig.connectTimes(3, front, "user-db", db);
    const long = rig.connect(front, "user-db", db).passage;
    const [{ id } = { id: "" }] = rig.control.edges();
    rig.nowMs += 60_000;
    rig.firewall.end(long, { ok: true, inBytes: 100, outBytes: 1_000 });
    rig.control.setMode("shop/user-db", "prevent", OPERATOR);
    rig.connect(front, "user-db", db);
    const hour = rig.control.edgeTraffic(id, "1h");
    expect(hour.timesMs).toHaveLength(MINUTES_MAX);
    expect([hour.counts.slice(-2), hour.dropped.slice(-2), hour.bytes.slice(-2)])
      .toEqual([[4, 1], [0, 1], [6, 1_100]]);
    rig.store.addFlows(rig.flows.takeDirty(100));
    rig.nowMs += 3 * HOUR_MS;
    expect(rig.control.edgeTraffic(id, "1h").counts.every((it) => it === 0)).toBe(true);
    const week = rig.control.edgeTraffic(id, "7d");
    expect(week.timesMs).toHaveLength(HOURS_MAX);
    expect([week.counts.at(-4), week.dropped.at(-4), week.bytes.at(-4)]).toEqual([5, 1, 1_106]);
    expect(week.counts.reduce((sum, it) => sum + it, 0)).toBe(5);
  });

  test("one that was open and is denied counts as dropped where it was denied", () => {
    const rig = FirewallRig.inMode("alert");
    rig.connect(front, "user-db", db);
    rig.nowMs += 120_000;
    expect(rig.control.setMode("shop/user-db", "prevent", OPERATOR).cut).toBe(1);
    const { counts, dropped } = rig.control.edgeTraffic(rig.control.edges()[0]!.id, "1h");
    expect([counts.slice(-3), dropped.slice(-3)]).toEqual([[1, 0, 0], [0, 0, 1]]);
  });

  test("an edge that nobody knows is not found", () => {
    const rig = new FirewallRig();
    for (const window of ["1h", "7d"] as const) {
      expect(() => rig.control.edgeTraffic("none", window)).toThrow("no such edge");
    }
  });
});
