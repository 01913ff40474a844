/**
 * Tests of the command that shows events: the line for people under hostile contents, the filters, and following a
 * stream that is cut, silent, too fast, or never the same twice.
 *
 * @module
 */
import { afterEach, beforeEach, expect, test } from "bun:test";
import type { ServerResponse } from "node:http";
import { AdminClient } from "../../lib/admin/client.ts";
import { AdminClientError } from "../../lib/admin/client_error.ts";
import { shortEventId, wholeEventId } from "../../lib/admin/event_id.ts";
import { eventLine } from "../../lib/admin/event_line.ts";
import {
  type EventsOptions,
  type EventsOutput,
  matches,
  showEvents,
} from "../../lib/admin/events_command.ts";
import { parseAdminAddress } from "../../lib/config/admin_address.ts";
import { ROWS_MAX } from "../../lib/config/firewall_config.ts";
import { eventSchema, type NetwallEvent } from "../../lib/events/event.ts";
import { eventId } from "../../lib/events/event_log.ts";
import { PAGE_MAX } from "../../lib/store/store.ts";
import { ADMIN_TOKEN, type FakeAdmin, startFakeAdmin } from "../support/fake_admin.ts";
import { runCommand } from "../support/run_command.ts";

const TIME_MS = Date.UTC(2026, 10, 22, 11, 24, 15);

/** Somebody with a shell in the front end connects straight to the database. */
function event(seq: number, change: Partial<NetwallEvent> = {}): NetwallEvent {
  return eventSchema.parse({
    ...{ id: `event-${seq}`, seq, time: TIME_MS, firstTime: TIME_MS, count: 3 },
    ...{ type: "unexpectedConnection", severity: "critical", direction: "east-west", protocol: "tcp" },
    ...{ mode: "alert", effect: "alert", verdict: "audited", pendingVerdict: "dropped" },
    rule: { kind: "implicit" },
    deviation: { kind: "edge", observed: "shop/front-end to user-db", expected: "shop/user" },
    source: {
      ...{
        kind: "workload",
        name: "shop/front-end",
        namespace: "shop",
        image: "front-end:1.2",
        agent: "front-1",
      },
      claimedContainerId: "4f2a9c01b2d3e4f5a6b7c8d9e0f1a2b3",
      ...{ claimedContainerName: "front-end-1", claimedHostname: "box" },
    },
    destination: { kind: "workload", name: "shop/redis", namespace: "shop", service: "user-db", port: 6379 },
    message: "shop/front-end connected to user-db",
    ...change,
  });
}

const PLAIN = { colors: false, long: false };
const LONG = { colors: false, long: true };

test("a line tells who, where to, how often, and what was not known; the long one all of it", () => {
  expect(eventLine(event(1), PLAIN)).toBe(
    "2026-11-22T11:24:15Z  event-1  alert      3×  shop/front-end → shop/redis user-db:6379  tcp  unknown, " +
      "prevent would refuse it",
  );
  expect(eventLine(event(1), LONG)).toBe(
    "2026-11-22T11:24:15Z  event-1  alert      3×  shop/front-end (claims container front-end-1 4f2a9c01b2d3, host box) → " +
      "shop/redis user-db:6379  tcp  unknown shop/front-end to user-db, known: shop/user, prevent would refuse it  " +
      "by implicit: shop/front-end connected to user-db",
  );
  const request = event(2, {
    ...{
      type: "policyRule",
      effect: "prevent",
      verdict: "dropped",
      pendingVerdict: "dropped",
      deviation: undefined,
    },
    rule: { kind: "rule", id: "no-admin", index: 3 },
    source: { kind: "network", name: "internet", ip: "203.0.113.7" },
    http: { method: "GET", host: "shop.example", path: "/admin", status: 403, requestId: "r" },
    message: "The rule no-admin refuses it",
  });
  expect(eventLine(request, PLAIN)).toBe(
    "2026-11-22T11:24:15Z  event-2  prevent    3×  internet 203.0.113.7 → shop/redis user-db:6379  " +
      "GET /admin 403  by rule no-admin",
  );
  expect(eventLine(request, LONG)).toContain("  GET shop.example/admin 403  by rule no-admin: The ");
  const egress = event(3, {
    destination: { kind: "host", name: "evil.example:443", host: "evil.example", port: 443 },
  });
  expect(eventLine(egress, PLAIN)).toContain(" → evil.example:443  tcp  ");
  const route = event(4, { deviation: { kind: "contentType", observed: "text/xml", expected: "text/css" } });
  expect(eventLine(route, PLAIN)).toContain("  unknown content type text/xml, prevent would");
  expect(eventLine(route, LONG)).toContain("  unknown content type text/xml, known: text/css, prevent would");
});

test("a usual line fits a terminal", () => {
  const id = "000000004kx";
  expect(eventLine(event(1, { id }), PLAIN).length).toBeLessThanOrEqual(122);
  const refused = event(1, { id, effect: "prevent", verdict: "dropped", pendingVerdict: "dropped" });
  expect(eventLine(refused, PLAIN).length).toBeLessThanOrEqual(110);
});

test("what the staged policy alone would do is told as its doing", () => {
  const staged = {
    type: "stagedVerdict",
    effect: "allow",
    verdict: "forwarded",
    deviation: undefined,
  } as const;
  const rows: [Partial<NetwallEvent>, string, string][] = [
    [{ pendingRule: { kind: "rule", id: "no-a" } }, "staged ", "  tcp  the staged rule no-a would refuse it"],
    [{ pendingRule: { kind: "implicit" } }, "staged ", "  tcp  the staged policy would refuse it"],
    [
      { pendingVerdict: "audited", pendingRule: { kind: "rule", id: "see-a" } },
      "staged ",
      "  tcp  the staged rule see-a would alert on it",
    ],
    [
      {
        ...{ type: "policyRule", effect: "prevent", verdict: "dropped", pendingVerdict: "forwarded" },
        ...{ rule: { kind: "rule", id: "old" }, pendingRule: { kind: "rule", id: "new" } },
      },
      "prevent",
      "  tcp  by rule old, the staged rule new would forward it",
    ],
  ];
  for (const [change, did, end] of rows) {
    const line = eventLine(event(1, { ...staged, ...change }), PLAIN);
    expect(line).toContain(`  ${did}    3×  `);
    expect(line.slice(-end.length)).toBe(end);
  }
  expect(rows).toHaveLength(4);
});

test("what is about no traffic is its message alone, with its kind in words", () => {
  const none = { effect: "allow", verdict: "forwarded", source: undefined, destination: undefined } as const;
  const rows: [NetwallEvent["type"], number, string][] = [
    ["policyChange", 1, "policy changed  alice applied version 7"],
    ["modelStable", 1, "model stable  alice applied version 7"],
    ["modelSaturated", 1, "model overfull  alice applied version 7"],
    ["storeFault", 2, "store fault  2×  alice applied version 7"],
    ["authFailure", 12, "bad token  12×  alice applied version 7"],
  ];
  for (const [type, count, end] of rows) {
    const own = event(4, { ...none, type, count, message: "alice applied version 7" });
    const line = `2026-11-22T11:24:15Z  event-4  ${end}`;
    expect(eventLine(own, PLAIN)).toBe(line);
    // Some have an end, which the message names.
    expect(eventLine({ ...own, source: { kind: "network", name: "link", ip: "192.0.2.1" } }, PLAIN)).toBe(
      line,
    );
  }
  expect(rows).toHaveLength(5);
});

test("the id in a line is short, and is the whole one again when it is pasted", () => {
  const rows: [string, string][] = [
    [eventId(1), "1"],
    [eventId(46), "1a"],
    [eventId(Number.MAX_SAFE_INTEGER), "2gosa7pa2gv"],
    [eventId(0), "0"],
    ["another-kind-of-id", "another-kind-of-id"],
  ];
  for (const [id, short] of rows) {
    expect(shortEventId(id)).toBe(short);
    expect(wholeEventId(short)).toBe(id);
    expect(wholeEventId(id)).toBe(id);
  }
  expect(rows).toHaveLength(5);
});

test("colours are there only when they are asked for, and only around the program's own words", () => {
  const plain = eventLine(event(1), PLAIN);
  const painted = eventLine(event(1), { colors: true, long: false });
  expect(plain).not.toContain("\u001b");
  // deno-lint-ignore no-control-regex
  expect(painted.replace(/\u001b\[[0-9;]*m/g, "")).toBe(plain);
  expect(painted).toContain("\u001b[33malert  \u001b[0m");
});

const EVIL = '\u001b]0;owned\u0007\u001b[2J\r\n\n\t\u009b31m\u202e\u2066\u2028\0"\\';

/** An event of which every text is hostile, and longer than a line. */
function evilEvent(seq: number): NetwallEvent {
  const evil = (EVIL + "é".repeat(1024)).slice(0, 1024);
  const end = {
    ...{
      kind: "workload" as const,
      name: evil,
      namespace: evil,
      image: evil,
      agent: evil,
      service: evil,
      ip: evil,
    },
    ...{ host: evil, claimedContainerId: evil, claimedContainerName: evil, claimedHostname: evil, port: 1 },
  };
  return event(seq, {
    ...{ source: end, destination: { ...end, kind: "host" }, message: evil },
    rule: { kind: "rule", id: evil },
    deviation: { kind: "route", observed: evil, expected: evil },
    http: {
      method: evil,
      host: evil,
      path: evil,
      route: evil,
      contentType: evil,
      userAgent: evil,
      requestId: evil,
    },
  });
}

test("nothing of an event acts on a terminal, ends the line, or makes it endless", () => {
  const kinds = ["workload", "network", "host"] as const;
  for (const kind of kinds) {
    const base = evilEvent(1);
    const evil = { ...base, source: { ...base.source!, kind }, destination: { ...base.destination!, kind } };
    for (
      const shown of [evil, { ...evil, deviation: undefined }, {
        ...evil,
        source: undefined,
        destination: undefined,
      }]
    ) {
      const line = eventLine(shown, LONG);
      // deno-lint-ignore no-control-regex
      expect(line).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/);
      expect(line.length).toBeLessThan(8_000);
    }
  }
  expect(kinds).toHaveLength(3);
  expect(eventLine(event(1, { time: 1e300 }), PLAIN)).toMatch(/^1e\+300 {2}event-1 {2}alert/);
});

test("a filter holds for the stream as it does for the list", () => {
  const one = event(1);
  const cases: [Parameters<typeof matches>[1], boolean][] = [
    [{}, true],
    [{ type: "unexpectedConnection", effect: "alert", verdict: "audited" }, true],
    [{ type: "policyRule" }, false],
    [{ effect: "prevent" }, false],
    [{ verdict: "dropped" }, false],
    [{ namespace: "shop" }, true],
    [{ namespace: "sho" }, false],
    [{ image: "front-end:1.2" }, true],
    [{ image: "front-end" }, true],
    [{ image: "front" }, false],
    [{ image: "redis" }, true],
    [{ image: "front-end:1.3" }, false],
    [{ service: "user-db" }, true],
    [{ service: "user" }, false],
    [{ source: "shop/front-end" }, true],
    [{ source: "shop/redis" }, false],
    [{ namespace: "shop", service: "other" }, false],
    [{ severity: "critical" }, true],
    [{ severity: "info" }, false],
    [{ host: "BOX" }, true],
    [{ host: "bo" }, false],
    [{ host: "front-end-1" }, true],
    [{ host: "4f2a9c01b2d3" }, true],
    [{ host: "4f2a9c01b2d" }, false],
    [{ text: "CONNECTED to" }, true],
    [{ text: "6379" }, false],
    [{ text: "connected", severity: "info" }, false],
  ];
  for (const [filter, wanted] of cases) expect([filter, matches(one, filter)]).toEqual([filter, wanted]);
  expect(cases).toHaveLength(27);
  expect(ROWS_MAX).toBe(PAGE_MAX);
});

let admin: FakeAdmin;
beforeEach(async () => {
  admin = await startFakeAdmin();
});
afterEach(() => admin.close());

function run(...argv: string[]): ReturnType<typeof runCommand> {
  return runCommand(["events", ...argv, "--admin", admin.address], { NETWALL_ADMIN_TOKEN: ADMIN_TOKEN });
}

test("events prints the oldest first, asks for what the flags say, and says when there is none", async () => {
  admin.answers.set("GET events", { body: { items: [event(2, { count: 9 }), event(1)], next: "x" } });
  const { code, out, err } = await run(
    "--since",
    "1h",
    "--namespace",
    "shop",
    "--effect",
    "alert",
    "--limit",
    "2",
  );
  expect([code, err]).toEqual([0, ""]);
  const lines = out.trimEnd().split("\n");
  expect(lines.map((line) => /(\d+)×/.exec(line)?.[1])).toEqual(["3", "9"]);
  expect(admin.asked).toHaveLength(1);
  const query = new URL(`http://x${admin.asked[0]!.url}`).searchParams;
  expect([query.get("namespace"), query.get("effect"), query.get("limit")]).toEqual(["shop", "alert", "2"]);
  expect(Math.abs(Date.now() - 3_600_000 - Date.parse(query.get("since")!))).toBeLessThan(60_000);
  expect([...query.keys()].sort()).toEqual(["effect", "limit", "namespace", "since"]);
  admin.answers.set("GET events", { body: { items: [] } });
  await run("--severity", "critical", "--host", "4f2a9c01b2d3", "--text", "50% & <b>");
  const other = new URL(`http://x${admin.asked[1]!.url}`).searchParams;
  expect([...other].sort()).toEqual([
    ["host", "4f2a9c01b2d3"],
    ["limit", "50"],
    ["q", "50% & <b>"],
    ["severity", "critical"],
  ]);
  expect(await run()).toEqual({ code: 0, out: "", err: "netwall-gateway: No event is as asked for\n" });
  expect(await run("--json")).toEqual({ code: 0, out: "", err: "" });
});

test("events --json prints the events as they came, one in a line, and escapes what JSON leaves", async () => {
  const evil = { ...evilEvent(2), later: "a field of a later release" };
  admin.answers.set("GET events", { body: { items: [evil, event(1)] } });
  const { code, out } = await run("--json");
  expect(code).toBe(0);
  const lines = out.split("\n");
  expect(lines).toHaveLength(3);
  expect(JSON.parse(lines[0]!)).toEqual(event(1));
  expect(JSON.parse(lines[1]!)).toEqual(evil);
  // deno-lint-ignore no-control-regex
  expect(lines.join("")).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/);
});

test("a wrong type is named with the right one, and an answer that is none is no bug", async () => {
  expect(await run("--type", "unexpectedConection")).toEqual({
    code: 2,
    out: "",
    err:
      'netwall-gateway: --type "unexpectedConection" is no type of events: did you mean unexpectedConnection\n',
  });
  expect((await run("--type", "x\u001b")).code).toBe(2);
  expect((await run("--limit", "1001")).code).toBe(2);
  expect(admin.asked).toHaveLength(0);
  const bad = [{ items: [{ id: 7 }] }, { items: 7 }, [], "text"];
  for (const body of bad) {
    admin.answers.set("GET events", { body });
    const { code, out, err } = await run();
    expect([code, out]).toEqual([1, ""]);
    expect(err).toMatch(/Cannot read the answer of .*not as expected, check/);
  }
  expect(bad).toHaveLength(4);
});

/** What following printed so far, and how to wait for it. */
class Screen implements EventsOutput {
  readonly colors = false;
  readonly lines: string[] = [];
  readonly notes: string[] = [];
  readonly #stop = new AbortController();
  #waiting: (() => void)[] = [];

  get stop(): AbortSignal {
    return this.#stop.signal;
  }

  nowMs(): number {
    return TIME_MS;
  }

  write(text: string): Promise<void> {
    this.lines.push(...text.split("\n").filter((line) => line !== ""));
    this.#wake();
    return Promise.resolve();
  }

  note(text: string): void {
    this.notes.push(text);
    this.#wake();
  }

  end(): void {
    this.#stop.abort();
  }

  async until(done: () => boolean): Promise<void> {
    while (!done()) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  /** The seqs of the events that were printed as JSON. */
  seqs(): number[] {
    return this.lines.map((line) => (JSON.parse(line) as NetwallEvent).seq);
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

const FOLLOW: EventsOptions = { filter: {}, limit: 10, follow: true, long: false, json: true };
const SOON = { firstMs: 1, lastMs: 5 };

function follow(screen: Screen, options: Partial<EventsOptions> = {}): Promise<void> {
  const client = new AdminClient({ place: parseAdminAddress(admin.address), token: ADMIN_TOKEN });
  return showEvents(client, { ...FOLLOW, ...options }, screen, SOON);
}

function send(outgoing: ServerResponse, name: string, data: unknown, id?: number): void {
  outgoing.write(`event: ${name}\n${id === undefined ? "" : `id: ${id}\n`}data: ${JSON.stringify(data)}\n\n`);
}

/** Each connection of the stream does what stands next in the list. */
function streams(...each: ((outgoing: ServerResponse) => void)[]): string[] {
  const lastIds: string[] = [];
  admin.answers.set("GET stream", ({ headers }, outgoing) => {
    lastIds.push(String(headers["last-event-id"]));
    outgoing.writeHead(200, { "Content-Type": "text/event-stream" });
    outgoing.write("retry: 2000\n\n");
    each[lastIds.length - 1]?.(outgoing);
  });
  return lastIds;
}

test("events --follow prints the last ones, then each new one once, and resumes where it was cut", async () => {
  admin.answers.set("GET events", { body: { items: [event(12), event(7)] } });
  const lastIds = streams(
    (outgoing) => {
      // What changed while the list was fetched comes again; an old event that changed since is told.
      for (const seq of [12, 13]) send(outgoing, "event", event(seq), seq);
      send(outgoing, "event", { ...event(14), id: "event-7" }, 14);
      send(outgoing, "edge", { id: "e" });
      send(outgoing, "policy", { version: 3 });
      outgoing.write("event: event\ndata: half of an ev");
      setTimeout(() => outgoing.destroy(), 20);
    },
    (outgoing) => {
      send(outgoing, "event", event(15), 15);
      outgoing.end();
    },
    (outgoing) => send(outgoing, "event", event(16), 16),
  );
  const screen = new Screen();
  const ended = follow(screen);
  await screen.until(() => screen.lines.length === 6);
  screen.end();
  await ended;
  expect(screen.seqs()).toEqual([7, 12, 13, 14, 15, 16]);
  expect(lastIds).toEqual(["12", "14", "15"]);
  const [cut, back] = [
    "The stream of events was cut, asking for the rest of it",
    "The stream of events is back",
  ];
  expect(screen.notes).toEqual([cut, back, cut, back]);
});

test("the place to go on from is that of the newest event, also when the filter shows an older one", async () => {
  admin.answers.set("GET events", { body: { items: [event(3)], seq: 40 } });
  const lastIds = streams((outgoing) => {
    send(
      outgoing,
      "event",
      event(41, { destination: { kind: "workload", name: "x", service: "other" } }),
      41,
    );
    send(outgoing, "event", event(42), 42);
  });
  const screen = new Screen();
  const ended = follow(screen, { filter: { service: "user-db" } });
  await screen.until(() => screen.lines.length === 2);
  screen.end();
  await ended;
  expect(screen.seqs()).toEqual([3, 42]);
  expect(lastIds).toEqual(["40"]);
});

test("a gateway with another store says where it goes on from, and that something may be missing", async () => {
  admin.answers.set("GET events", { body: { items: [event(900)] } });
  const lastIds = streams(
    (outgoing) => {
      send(outgoing, "lost", { reason: "another store\u001b[2J" });
      send(outgoing, "ready", { seq: 2, version: 1 }, 2);
      send(outgoing, "lost", { reason: "too slow" });
      outgoing.end();
    },
    (outgoing) => send(outgoing, "event", event(3), 3),
  );
  const screen = new Screen();
  const ended = follow(screen);
  await screen.until(() => screen.lines.length === 2);
  screen.end();
  await ended;
  expect(lastIds).toEqual(["900", "2"]);
  expect(screen.notes.filter((note) => note.startsWith("Events may be missing"))).toEqual([
    'Events may be missing here: the gateway says "another store\\u001b[2J", see events without --follow',
  ]);
});

test("following waits for a gateway that is away, and ends when it is refused for good", async () => {
  admin.answers.set("GET events", { body: { items: [event(1)] } });
  let count = 0;
  admin.answers.set("GET stream", (_, outgoing) => {
    count += 1;
    if (count < 4) return outgoing.destroy();
    outgoing.writeHead(401, { "Content-Type": "application/problem+json" });
    outgoing.end("{}");
  });
  const screen = new Screen();
  const error = await follow(screen).then(() => undefined, (error: unknown) => error);
  expect(error).toBeInstanceOf(AdminClientError);
  expect((error as AdminClientError).code).toBe("refused");
  expect(count).toBe(4);
  expect(screen.notes).toEqual(["The stream of events was cut, asking for the rest of it"]);
});

test("what is no stream of events, and an event without an end, are no reason to fill the memory", async () => {
  admin.answers.set("GET events", { body: { items: [] } });
  admin.answers.set("GET stream", { body: {} });
  const none = await follow(new Screen()).then(() => undefined, (error: unknown) => error);
  expect((none as Error).message).toMatch(/it is no stream of events, check that --admin/);

  let floods = 0;
  streams(
    ...Array.from({ length: 3 }, () => (outgoing: ServerResponse) => {
      floods += 1;
      outgoing.write("data: ");
      const write = (): void => {
        while (!outgoing.destroyed && outgoing.write("x".repeat(65_536)));
        if (!outgoing.destroyed) outgoing.once("drain", write);
      };
      write();
    }),
    (outgoing) => send(outgoing, "event", event(1), 1),
  );
  const screen = new Screen();
  const ended = follow(screen);
  await screen.until(() => screen.lines.length === 1);
  screen.end();
  await ended;
  expect(floods).toBe(3);
});

test("following is stopped at once: while it reads, and while it pauses", async () => {
  admin.answers.set("GET events", { body: { items: [event(1)] } });
  const lastIds = streams(() => {});
  const reading = new Screen();
  const first = follow(reading);
  await reading.until(() => reading.lines.length === 1);
  while (lastIds.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  reading.end();
  await first;

  admin.answers.set("GET stream", (_, outgoing) => void outgoing.destroy());
  const pausing = new Screen();
  const client = new AdminClient({ place: parseAdminAddress(admin.address), token: ADMIN_TOKEN });
  const second = showEvents(client, FOLLOW, pausing, { firstMs: 1e9, lastMs: 1e9 });
  await pausing.until(() => pausing.notes.length === 1);
  pausing.end();
  await second;
});
