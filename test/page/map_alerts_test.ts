/**
 * Alerts on the map: which events are of which edge, and what its line says of them.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import type { EventEnd, NetwallEvent } from "../../lib/events/event.ts";
import { alertKey, type Alerts, ALERTS_MS, alertsOf, areSameAlerts } from "../../lib/page/map/alerts.ts";
import { NO_FILTERS } from "../../lib/page/map/filters.ts";
import { hasAlertSign, LINE_STATES, lineLabel, lineWords, needOf } from "../../lib/page/map/line.ts";
import { type MapModel, mapModel } from "../../lib/page/map/model.ts";
import { ordered } from "../../lib/page/map/order.ts";
import { factsByGroup } from "../../lib/page/map/raw_lines.ts";
import { call, edge, group, NOW_MS, visit } from "./map_samples.ts";
import { eventOf } from "./samples.ts";

const user = call("shop/web", "shop/user");
const workload = (name: string, service?: string): EventEnd => ({
  ...{ kind: "workload", name },
  ...(service === undefined ? {} : { service }),
});
const strange = (patch: Partial<NetwallEvent> = {}): NetwallEvent =>
  eventOf({
    ...{ time: NOW_MS, direction: "east-west", protocol: "http", effect: "alert" },
    ...{ source: workload("shop/web"), destination: workload("shop/user", "user") },
    ...patch,
  });

function modelWith(alerts: Alerts, edges = [user]): MapModel {
  const facts = factsByGroup([group("shop/web"), group("shop/user")], []);
  return mapModel({ facts, edges, alerts, rates: new Map(), filters: NO_FILTERS, nowMs: NOW_MS });
}

describe("alertsOf()", () => {
  test("counts alerts and refusals of the last minutes by their edge", () => {
    const alerts = alertsOf(
      [strange(), strange({ effect: "prevent" }), strange({ effect: "allow" })],
      NOW_MS,
    );
    expect([...alerts]).toEqual([[alertKey(user), 2]]);
  });

  test("takes what is outside as events name it, and takes no edge for another", () => {
    const outside = (name: string): EventEnd => ({ kind: "host", name });
    const egress = { direction: "egress", source: workload("shop/web") } as const;
    const cases: [NetwallEvent, ReturnType<typeof edge>, number][] = [
      [
        strange({ ...egress, destination: outside("evil.example:443") }),
        visit("shop/web", "evil.example"),
        1,
      ],
      [
        strange({ ...egress, destination: outside("[2001:db8::1]:443") }),
        visit("shop/web", "2001:db8::1"),
        1,
      ],
      [strange({ ...egress, destination: outside("evil.example:80") }), visit("shop/web", "evil.example"), 0],
      [strange(), call("shop/web", "shop/user", { protocol: "tcp" }), 0],
      [strange(), call("shop/user", "shop/web"), 0],
      [strange(), call("shop/web", "shop/user", { service: "admin" }), 0],
      [strange({ source: { kind: "network", name: "internet" }, direction: "north-south" }), user, 0],
    ];
    for (const [event, of, wanted] of cases) {
      expect(alertsOf([event], NOW_MS).get(alertKey(of)) ?? 0).toBe(wanted);
    }
    expect(cases).toHaveLength(7);
  });

  test("leaves out what is old, and what is of no edge", () => {
    const { source: _source, ...noSource } = strange();
    const { destination: _destination, ...noDestination } = strange();
    const { direction: _direction, ...noDirection } = strange();
    const { protocol: _protocol, ...noProtocol } = strange();
    const events = [
      strange({ time: NOW_MS - ALERTS_MS - 1 }),
      noSource,
      noDestination,
      noDirection,
      noProtocol,
    ];
    expect(alertsOf(events, NOW_MS).size).toBe(0);
    expect(alertsOf([strange({ time: NOW_MS - ALERTS_MS })], NOW_MS).size).toBe(1);
  });

  test("is the same as long as it says the same", () => {
    const one = alertsOf([strange()], NOW_MS);
    expect(areSameAlerts(one, alertsOf([strange({ id: "x", seq: 9 })], NOW_MS))).toBe(true);
    expect(areSameAlerts(one, alertsOf([strange(), strange()], NOW_MS))).toBe(false);
    expect(areSameAlerts(one, alertsOf([], NOW_MS))).toBe(false);
    expect(areSameAlerts(one, alertsOf([strange({ protocol: "tcp" })], NOW_MS))).toBe(false);
  });
});

describe("a line with alerts", () => {
  const alerts = alertsOf([strange(), strange({ effect: "prevent" })], NOW_MS);

  test("says so though it is learned, and has a sign", () => {
    const { lines: [line], raw } = modelWith(alerts);
    expect(line).toMatchObject({ state: "learned", alerts: 2 });
    expect(raw.map((one) => one.alerts)).toEqual([2]);
    expect(hasAlertSign(line!)).toBe(true);
    expect(lineWords(line!, "web", "user").split("\n").at(-1)).toBe("2 alerts in the last 15 minutes");
    // Its number changes while a screen reader speaks.
    expect(lineLabel(line!, "web", "user")).toMatch(/, with alerts in the last 15 minutes$/);
  });

  test("says nothing without", () => {
    const { lines: [line] } = modelWith(new Map());
    expect(hasAlertSign(line!)).toBe(false);
    expect(lineWords(line!, "web", "user") + lineLabel(line!, "web", "user")).not.toMatch(/alert/);
  });

  test("has one sign alone: what is unknown or blocked has its own", () => {
    const signed = LINE_STATES.filter((state) => hasAlertSign({ state, alerts: 1 }));
    expect(signed).toEqual(["unenforced", "manual", "learned"]);
  });

  test("comes behind what is strange now, and before all else", () => {
    const needs = (["blocked", "unknown", "learned"] as const).map((state) => needOf({ state, alerts: 1 }));
    expect(needs.toSorted((a, b) => a - b)).toEqual(needs);
    expect(needOf({ state: "learned", alerts: 1 })).toBeLessThan(needOf({ state: "unenforced", alerts: 0 }));
    const blocked = call("shop/user", "shop/web", { state: "blocked" });
    const quiet = edge();
    const { raw } = modelWith(alerts, [quiet, user, blocked]);
    expect(ordered(raw, "state").map(({ record }) => record.id)).toEqual([blocked.id, user.id, quiet.id]);
  });

  test("is counted where lines are merged", () => {
    const facts = factsByGroup([group("shop/web"), group("shop/user")], []);
    const edges = [user, call("shop/web", "shop/user", { service: "admin" }), edge(), edge({ service: "b" })];
    const event = strange({
      ...{ direction: "north-south", source: { kind: "network", name: "internet" } },
      destination: workload("shop/web", "b"),
    });
    const filters = { ...NO_FILTERS, fold: "all" as const };
    const of = alertsOf([event, event, strange()], NOW_MS);
    const { lines } = mapModel({ facts, edges, alerts: of, rates: new Map(), filters, nowMs: NOW_MS });
    expect(lines.map((line) => [line.edges.length, line.alerts])).toEqual([[2, 2]]);
  });
});
