/**
 * One source that passes for many, so that the events of others are no longer told apart: by what its container claims
 * to be, by the addresses of its own network, by many addresses.
 *
 * @module
 */
import { expect, test } from "bun:test";
import type { NetwallEvent, Noticed } from "../../lib/events/event.ts";
import { EventLog, MERGE_KEYS_MAX, SOURCE_KEYS_MAX } from "../../lib/events/event_log.ts";

const NOW_MS = 1_000_000;

function logOf(): { log: EventLog; newest: Map<string, NetwallEvent> } {
  const newest = new Map<string, NetwallEvent>();
  let seq = 0;
  const write = (event: NetwallEvent): void => void newest.set(event.id, event);
  return { newest, log: new EventLog({ nowMs: () => NOW_MS, nextSeq: () => ++seq, write }) };
}

function call(source: NonNullable<Noticed["source"]>, host: string): Noticed {
  return {
    ...{ time: NOW_MS, type: "unexpectedConnection", severity: "critical", effect: "alert" },
    ...{ verdict: "audited", rule: { kind: "implicit" }, direction: "egress", protocol: "tcp" },
    ...{ source, destination: { kind: "host", name: `${host}:443`, host, port: 443 } },
    message: `called ${host}`,
  };
}

const workload = (agent: string, claimedContainerId?: string): NonNullable<Noticed["source"]> => ({
  ...{ kind: "workload", name: `shop/${agent}`, agent },
  ...(claimedContainerId === undefined ? {} : { claimedContainerId }),
});
const visitor = (ip: string): NonNullable<Noticed["source"]> => ({ kind: "network", name: "internet", ip });

/** Whether a container that calls now is told apart, with the host that it calls. */
function isSeen(log: EventLog): boolean {
  return log.notice(call(workload("payment-1"), "evil.test")).destination?.host === "evil.test";
}

test("a token whose containers claim ever new ids has one share of the events", () => {
  const { log, newest } = logOf();
  for (let at = 0; at < MERGE_KEYS_MAX + 500; at += 1) {
    log.notice(call(workload("front-1", at.toString(16).padStart(64, "0")), `${at % 100}.test`));
  }
  expect(newest.size).toBeLessThanOrEqual(SOURCE_KEYS_MAX + 1);
  expect(isSeen(log)).toBe(true);
});

test("a visitor with a network of IPv6 addresses has one share, however they are written", () => {
  const { log, newest } = logOf();
  for (let at = 0; at < 3_000; at += 1) {
    const ips = [`2001:db8::${at.toString(16)}`, `2001:db8:0:0:1:2:3:${at.toString(16)}`];
    for (const ip of ips) log.notice(call(visitor(ip), "a.test"));
  }
  expect(newest.size).toBeLessThanOrEqual(SOURCE_KEYS_MAX + 1);
  // The next network is somebody else.
  expect(log.notice(call(visitor("2001:db8:0:1::1"), "a.test")).source?.ip).toBe("2001:db8:0:1::1");
});

test("visitors with endless addresses leave room to tell containers apart", () => {
  const { log } = logOf();
  for (let at = 0; at < MERGE_KEYS_MAX + 500; at += 1) {
    log.notice(call(visitor(`10.${at >> 16 & 255}.${at >> 8 & 255}.${at & 255}`), "a.test"));
  }
  expect(log.notice(call(visitor("192.0.2.1"), "a.test")).source?.ip).toBeUndefined();
  expect(isSeen(log)).toBe(true);
});
