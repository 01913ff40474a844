/**
 * How what is noticed becomes events: what is one, what is two, and what is told when.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import {
  EVENT_TEXT_CHARS_MAX,
  eventSchema,
  MERGE_MS,
  type NetwallEvent,
  type Noticed,
} from "../../lib/events/event.ts";
import { eventId, EventLog, SOURCE_KEYS_MAX, WRITE_MS } from "../../lib/events/event_log.ts";

export function noticedAt(time: number, changes: Partial<Noticed> = {}): Noticed {
  return {
    time,
    type: "unexpectedRequest",
    severity: "warning",
    direction: "north-south",
    protocol: "http",
    mode: "alert",
    effect: "alert",
    verdict: "audited",
    rule: { kind: "implicit" },
    source: { kind: "network", name: "internet", ip: "192.0.2.1", port: 40_000 },
    destination: { kind: "workload", name: "shop/front-end", namespace: "shop", service: "front-end" },
    http: {
      method: "GET",
      host: "shop.example",
      path: "/a",
      status: 200,
      userAgent: "curl",
      requestId: "r1",
    },
    message: "an unexpected request",
    ...changes,
  };
}

interface Rig {
  readonly log: EventLog;
  readonly written: NetwallEvent[];
  nowMs: number;
}

function rigOf(): Rig {
  const written: NetwallEvent[] = [];
  let seq = 0;
  const rig: Rig = {
    nowMs: 1_000_000,
    written,
    log: new EventLog({
      nowMs: () => rig.nowMs,
      nextSeq: () => ++seq,
      write: (event) => written.push(event),
    }),
  };
  return rig;
}

describe("EventLog.notice()", () => {
  test("makes an event that the schema takes, and tells it at once", () => {
    const rig = rigOf();
    const event = rig.log.notice(noticedAt(rig.nowMs));
    expect(eventSchema.parse(event)).toEqual(event);
    expect(event).toMatchObject({ id: eventId(1), seq: 1, count: 1, firstTime: rig.nowMs, time: rig.nowMs });
    expect(rig.written).toEqual([event]);
  });

  test("merges what differs only in the request's id, path, user agent, status, time and the caller's port", () => {
    const rig = rigOf();
    const first = rig.log.notice(noticedAt(rig.nowMs));
    const http = {
      method: "GET",
      host: "shop.example",
      path: "/b",
      status: 500,
      userAgent: "wget",
      requestId: "r2",
    };
    const source = { kind: "network", name: "internet", ip: "192.0.2.1", port: 40_001 } as const;
    const second = rig.log.notice(noticedAt(rig.nowMs + 5, { http, source, policyVersion: 3 }));
    expect(second).toMatchObject({
      id: first.id,
      count: 2,
      firstTime: rig.nowMs,
      time: rig.nowMs + 5,
      http,
      source,
    });
  });

  const base = noticedAt(0);
  const others: readonly Partial<Noticed>[] = [
    { type: "policyRule" },
    { effect: "prevent" },
    { verdict: "dropped" },
    { pendingVerdict: "dropped" },
    { pendingRule: { kind: "rule", id: "x" } },
    { rule: { kind: "rule", id: "office" } },
    { direction: "egress" },
    { protocol: "tcp" },
    { deviation: { kind: "route", observed: "/x", expected: "" } },
    { deviation: { kind: "route", observed: "/y", expected: "" } },
    { source: { ...base.source!, ip: "192.0.2.2" } },
    { source: { ...base.source!, claimedContainerId: "c1" } },
    { source: { ...base.source!, claimedHostname: "c1" } },
    { source: { ...base.source!, agent: "front-1" } },
    { destination: { ...base.destination!, port: 6379 } },
    { destination: { ...base.destination!, service: "other" } },
    { destination: { kind: "host", name: "a.example", host: "a.example", port: 443 } },
    { destination: { kind: "host", name: "a.example", host: "a.example", port: 444 } },
    { http: { ...base.http!, method: "PUT" } },
    { http: { ...base.http!, host: "other.example" } },
    { http: { ...base.http!, route: "/users/{int}" } },
    { http: { ...base.http!, contentType: "text/plain" } },
  ];

  test("tells apart all that identifies an event", () => {
    const rig = rigOf();
    const ids = new Set([rig.log.notice(noticedAt(rig.nowMs)).id]);
    for (const each of others) ids.add(rig.log.notice(noticedAt(rig.nowMs, each)).id);
    for (const each of others) expect(rig.log.notice(noticedAt(rig.nowMs, each)).count).toBe(2);
    expect(ids.size).toBe(others.length + 1);
  });

  test("events about the gateway itself are told apart by what they say", () => {
    const { log, nowMs } = rigOf();
    const about = (message: string): Noticed => ({
      time: nowMs,
      type: "policyChange",
      severity: "info",
      effect: "allow",
      verdict: "forwarded",
      rule: { kind: "implicit" },
      message,
    });
    expect(log.notice(about("anna applied version 3")).id).not.toBe(
      log.notice(about("anna applied version 4")).id,
    );
    expect(log.notice(about("anna applied version 3")).count).toBe(2);
  });

  test("begins anew once MERGE_MS have passed since the first, and keeps both counts", () => {
    const rig = rigOf();
    const startMs = rig.nowMs;
    const first = rig.log.notice(noticedAt(startMs));
    rig.nowMs = startMs + MERGE_MS - 1;
    expect(rig.log.notice(noticedAt(rig.nowMs)).id).toBe(first.id);
    expect(rig.log.notice(noticedAt(rig.nowMs)).id).toBe(first.id);
    rig.nowMs = startMs + MERGE_MS;
    const second = rig.log.notice(noticedAt(rig.nowMs));
    expect(second).toMatchObject({ count: 1, firstTime: rig.nowMs });
    expect(second.id > first.id).toBe(true);
    expect(rig.written.findLast(({ id }) => id === first.id)?.count).toBe(3);
  });

  test("a clock that was set back neither hides an event nor turns its times around", () => {
    const rig = rigOf();
    const first = rig.log.notice(noticedAt(rig.nowMs));
    rig.nowMs -= 10;
    const merged = rig.log.notice(noticedAt(rig.nowMs));
    expect(merged).toMatchObject({ id: first.id, firstTime: rig.nowMs, time: rig.nowMs + 10 });
    rig.nowMs -= 2 * MERGE_MS;
    expect(rig.log.notice(noticedAt(rig.nowMs)).id).not.toBe(first.id);
    expect(rig.log.notice(noticedAt(rig.nowMs)).count).toBe(2);
  });

  test("cuts texts that are too long, never within a character", () => {
    const { log, nowMs } = rigOf();
    const long = `${"x".repeat(EVENT_TEXT_CHARS_MAX - 1)}\u{1f4a5}`;
    const event = log.notice(noticedAt(nowMs, {
      message: long,
      http: { ...base.http!, path: "/".repeat(100_000), userAgent: long },
      deviation: { kind: "route", observed: long, expected: long },
    }));
    expect(eventSchema.safeParse(event).success).toBe(true);
    expect(event.message).toBe("x".repeat(EVENT_TEXT_CHARS_MAX - 1));
    expect(event.http?.path).toHaveLength(EVENT_TEXT_CHARS_MAX);
  });
});

describe("EventLog", () => {
  test("writes a growing event at most once in WRITE_MS, with numbers that grow, and loses no count", () => {
    const rig = rigOf();
    for (let step = 0; step < 1_000; step++) {
      rig.nowMs += 10;
      rig.log.notice(noticedAt(rig.nowMs));
      rig.log.tick();
    }
    // Ten seconds: the first, and one in each second.
    expect(rig.written.length).toBeGreaterThan(5);
    expect(rig.written.length).toBeLessThanOrEqual(1 + 10_000 / WRITE_MS);
    rig.log.flush();
    expect(rig.written.at(-1)?.count).toBe(1_000);
    const seqs = rig.written.map(({ seq }) => seq);
    expect(seqs).toEqual(seqs.toSorted((a, b) => a - b));
    expect(new Set(seqs).size).toBe(seqs.length);
    const { length } = rig.written;
    rig.log.flush();
    expect(rig.written).toHaveLength(length);
  });

  test("tick() writes what has grown and then went quiet", () => {
    const rig = rigOf();
    rig.log.notice(noticedAt(rig.nowMs));
    rig.log.notice(noticedAt(rig.nowMs));
    rig.log.tick();
    expect(rig.written).toHaveLength(1);
    rig.nowMs += WRITE_MS;
    rig.log.tick();
    expect(rig.written.map(({ count }) => count)).toEqual([1, 2]);
    rig.nowMs += WRITE_MS;
    rig.log.tick();
    expect(rig.written).toHaveLength(2);
  });

  test("tells listeners what it writes, until they leave", () => {
    const rig = rigOf();
    const heard: number[] = [];
    const leave = rig.log.listen(({ count }) => heard.push(count));
    rig.log.notice(noticedAt(rig.nowMs));
    rig.log.notice(noticedAt(rig.nowMs));
    rig.log.flush();
    leave();
    rig.log.notice(noticedAt(rig.nowMs, { type: "policyRule" }));
    expect(heard).toEqual([1, 2]);
  });

  test("past SOURCE_KEYS_MAX a source has one event for the rest, which says so, and others are told apart still", () => {
    const { log, nowMs, written } = rigOf();
    const scan = (index: number): NetwallEvent =>
      log.notice(noticedAt(nowMs, {
        direction: "egress",
        destination: { kind: "host", name: `h${index}.example`, host: `h${index}.example`, port: 443 },
      }));
    for (let index = 0; index < SOURCE_KEYS_MAX; index++) expect(scan(index).count).toBe(1);
    const rest = scan(SOURCE_KEYS_MAX);
    expect(rest).toMatchObject({
      count: 1,
      destination: { kind: "host", name: "*" },
      source: { ip: "192.0.2.1" },
    });
    expect(rest.message).toMatch(/^Many that differ in detail, the last: /);
    expect(scan(SOURCE_KEYS_MAX + 1)).toMatchObject({ id: rest.id, count: 2 });
    // What is known is told apart as before, and another source has a share of its own.
    expect(scan(3)).toMatchObject({ count: 2, destination: { name: "h3.example" } });
    const other = noticedAt(nowMs, { source: { kind: "network", name: "internet", ip: "192.0.2.77" } });
    expect(log.notice(other)).toMatchObject({ count: 1, source: { ip: "192.0.2.77" } });
    log.flush();
    const counts = new Map(written.map(({ id, count }) => [id, count]));
    expect([...counts.values()].reduce((sum, count) => sum + count)).toBe(SOURCE_KEYS_MAX + 4);
  });
});
