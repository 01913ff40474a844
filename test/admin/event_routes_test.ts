/**
 * Tests of events over the API: filters, pages, files, and texts that strangers wrote.
 *
 * @module
 */
import { afterEach, describe, expect, test } from "bun:test";
import { exportEvents } from "../../lib/admin/event_export.ts";
import { eventSchema, type NetwallEvent } from "../../lib/events/event.ts";
import { printable } from "../../lib/printable.ts";
import { type Page, StoreError } from "../../lib/store/store.ts";
import { type ApiRig, apiRig } from "./api_rig.ts";
import { edgeOf, eventOf } from "./fake_firewall.ts";

const rigs: ApiRig[] = [];
afterEach(() => {
  for (const rig of rigs.splice(0)) rig.close();
});

async function rigWith(events: readonly NetwallEvent[]): Promise<ApiRig> {
  const rig = await apiRig();
  rigs.push(rig);
  rig.firewall.store.putEvents(events);
  return rig;
}

const many = (count: number): NetwallEvent[] => Array.from({ length: count }, (_, i) => eventOf(i + 1));

async function idsOf(rig: ApiRig, query: string): Promise<number[]> {
  const answer = await rig.ask(`/api/v1/events${query}`, { token: rig.viewer });
  expect([query, answer.status]).toEqual([query, 200]);
  return (await answer.json()).items.map(({ seq }: NetwallEvent) => seq);
}

describe("a list", () => {
  test("goes through all pages, also while events come in", async () => {
    const rig = await rigWith(many(25));
    const seen: number[] = [];
    let next: string | undefined;
    let pages = 0;
    do {
      const page = await (await rig.ask(`/api/v1/events?limit=10${next ? `&before=${next}` : ""}`)).json();
      seen.push(...page.items.map(({ seq }: NetwallEvent) => seq));
      if (pages === 0) expect(page.seq).toBe(25);
      rig.firewall.store.putEvents([eventOf(100 + pages)]);
      next = page.next;
      pages += 1;
    } while (next !== undefined && pages < 10);
    expect(pages).toBe(3);
    expect(seen).toEqual(Array.from({ length: 25 }, (_, i) => 25 - i));
  });

  test("has a hundred when nothing is said, and at most a thousand", async () => {
    const rig = await rigWith(many(1_100));
    expect(await idsOf(rig, "")).toHaveLength(100);
    expect(await idsOf(rig, "?limit=1000")).toHaveLength(1_000);
  });

  test("every filter narrows it, and all of them hold together", async () => {
    const other = {
      kind: "workload",
      name: "other/api",
      namespace: "other",
      image: "api",
      service: "api",
    } as const;
    const rig = await rigWith([
      eventOf(1),
      eventOf(2, { type: "unexpectedRequest", direction: "north-south" }),
      eventOf(3, { verdict: "dropped", effect: "prevent" }),
      eventOf(4, { source: other, destination: { kind: "host", name: "evil.example:443" } }),
      eventOf(5, {
        ...{ severity: "critical", message: "<b>50%_off</b>" },
        source: { ...other, claimedHostname: "Box-7", claimedContainerId: "0123456789abcdef" },
      }),
    ]);
    const cases: [string, number[]][] = [
      ["?type=unexpectedRequest", [2]],
      ["?direction=north-south", [2]],
      ["?verdict=dropped", [3]],
      ["?effect=prevent&verdict=dropped", [3]],
      ["?effect=prevent&verdict=audited", []],
      ["?effect=alert,prevent", [5, 4, 3, 2, 1]],
      ["?effect=prevent%2Callow,prevent", [3]],
      ["?namespace=other", [5, 4]],
      ["?severity=critical", [5]],
      ["?severity=info", []],
      ["?host=box-7", [5]],
      ["?host=0123456789ab", [5]],
      ["?host=0123456789", []],
      ["?q=EVIL.example", [4]],
      ["?q=%3CB%3E50%25_", [5]],
      ["?q=50%25%25", []],
      ["?q=%25", [5]],
      ["?q='%20OR%201=1--", []],
      ["?q=%00", []],
      ["?q=web%20called&severity=warning&host=box-7", []],
      ["?destination=evil.example:443", [4]],
      ["?source=other/api", [5, 4]],
      ["?since=3000", [5, 4, 3]],
      ["?since=1970-01-01T00:00:03Z", [5, 4, 3]],
      ["?since=1970-01-01T02:00:03%2B02:00", [5, 4, 3]],
      ["?until=3000&since=2000", [2]],
      ["?service=none", []],
    ];
    for (const [query, seqs] of cases) expect([query, await idsOf(rig, query)]).toEqual([query, seqs]);
    expect(cases).toHaveLength(27);
  });

  test("a text is looked for through all events, in pieces, and in the files too", async () => {
    const rig = await rigWith(
      many(2_500).map((event) =>
        event.seq % 1_000 === 1 ? { ...event, message: `needle ${event.seq}` } : event
      ),
    );
    expect(await idsOf(rig, "?q=NEEDLE&limit=2")).toEqual([2_001, 1_001]);
    expect(await idsOf(rig, "?q=needle")).toEqual([2_001, 1_001, 1]);
    const lines = (await (await rig.ask("/api/v1/events.ndjson?q=needle")).text()).trim().split("\n");
    expect(lines.map((line) => JSON.parse(line).seq)).toEqual([2_001, 1_001, 1]);
    const rows = (await (await rig.ask("/api/v1/events.csv?q=needle&severity=warning")).text()).trim().split(
      "\r\n",
    );
    expect(rows).toHaveLength(4);
  });

  test("a query that cannot be is refused by name: a filter never silently means less", async () => {
    const rig = await rigWith(many(2));
    const cases: [string, string][] = [
      ...["0", "1001", "-1", "1.5", "1e2", "0x10", "", " 5", "NaN", "9".repeat(30)].map((limit) =>
        [`limit=${encodeURIComponent(limit)}`, "limit"] as [string, string]
      ),
      ["limit=1&limit=2", "limit"],
      ["type=nothing", "type"],
      ["verdict=DROPPED", "verdict"],
      ["since=yesterday", "since"],
      ["since=2026-01-01", "since"],
      ["since=-5", "since"],
      ["until=99999999999999999", "until"],
      ["image=", "image"],
      [`image=${"x".repeat(1025)}`, "image"],
      ["before=%0a", "before"],
      ["severity=error", "severity"],
      ["severity=", "severity"],
      ["host=", "host"],
      [`host=${"x".repeat(1025)}`, "host"],
      ["q=", "q"],
      [`q=${"x".repeat(257)}`, "q"],
      ["q=a&q=b", "q"],
      ["verdic=dropped", "verdic"],
      ["__proto__=x", "__proto__"],
    ];
    for (const [query, path] of cases) {
      const answer = await rig.ask(`/api/v1/events?${query}`);
      expect([query, answer.status]).toEqual([query, 400]);
      const { errors } = await answer.json();
      expect([query, errors[0].path]).toEqual([query, path]);
      // In words, and not in those of the schema.
      expect(JSON.stringify(errors)).not.toMatch(/Unrecognized|Invalid|: expected|pattern/);
    }
    expect(cases).toHaveLength(29);
  });

  test("a store that fails is 503 and says why", async () => {
    const rig = await rigWith([]);
    rig.firewall.store.events = () => {
      throw new StoreError("Cannot read events: the disk is gone", "io");
    };
    for (const path of ["/api/v1/events", "/api/v1/events.csv"]) {
      const answer = await rig.ask(path);
      expect([answer.status, answer.headers.get("retry-after")]).toEqual([503, "5"]);
      expect((await answer.json()).detail).toContain("the disk is gone");
    }
  });

  test("what nobody foresaw is 500, is told to the log, and says nothing of itself", async () => {
    const faults: unknown[] = [];
    const rig = await apiRig({ onFault: (error) => faults.push(error) });
    rigs.push(rig);
    rig.firewall.store.events = () => {
      throw new Error("secret inner word");
    };
    const answer = await rig.ask("/api/v1/events");
    expect([answer.status, answer.headers.get("content-type")]).toEqual([500, "application/problem+json"]);
    expect(await answer.text()).not.toContain("inner word");
    expect(faults).toHaveLength(1);
  });
});

describe("edges", () => {
  test("are all of them, or what changed since", async () => {
    const rig = await rigWith([]);
    rig.firewall.store.putEdges([edgeOf("a", 1), edgeOf("b", 2), edgeOf("c", 3)]);
    const idsOf = async (query: string): Promise<string[]> =>
      (await (await rig.ask(`/api/v1/edges${query}`)).json()).items.map(({ id }: { id: string }) => id);
    expect(await idsOf("")).toEqual(["c", "b", "a"]);
    expect(await idsOf("?after=2")).toEqual(["c"]);
    expect(await idsOf("?since=2")).toEqual(["c", "b"]);
  });
});

/** Reads CSV as RFC 4180 has it. */
function parseCsv(text: string): string[][] {
  return text.split("\r\n").slice(0, -1).map((line) =>
    [...line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^",]*))/g)].map(([, quoted, bare]) =>
      quoted?.replaceAll('""', '"') ?? bare ?? ""
    )
  );
}

describe("a file", () => {
  test("of lines has every event, as the list has it", async () => {
    const rig = await rigWith(many(600));
    const answer = await rig.ask("/api/v1/events.ndjson", { token: rig.viewer });
    expect(answer.headers.get("content-disposition")).toBe('attachment; filename="netwall-events.ndjson"');
    const lines = (await answer.text()).trimEnd().split("\n").map((line) =>
      eventSchema.parse(JSON.parse(line))
    );
    expect(lines.map(({ seq }) => seq)).toEqual(Array.from({ length: 600 }, (_, i) => 600 - i));
    const filtered = await (await rig.ask("/api/v1/events.ndjson?until=4000")).text();
    expect(filtered.trimEnd().split("\n")).toHaveLength(3);
    expect(await (await rig.ask("/api/v1/events.ndjson?since=999999999")).text()).toBe("");
    expect((await rig.ask("/api/v1/events.ndjson?limit=5")).status).toBe(400);
  });

  test("of CSV has a head, and a row for each", async () => {
    const rig = await rigWith(many(3));
    const rows = parseCsv(await (await rig.ask("/api/v1/events.csv")).text());
    expect(rows).toHaveLength(4);
    expect(new Set(rows.map((row) => row.length)).size).toBe(1);
    const [head = [], first = []] = rows;
    const cell = (name: string): string | undefined => first[head.indexOf(name)];
    expect([cell("time"), cell("verdict"), cell("destinationService"), cell("destinationPort")])
      .toEqual(["1970-01-01T00:00:03.000Z", "audited", "user-db", "6379"]);
    expect((await (await rig.ask("/api/v1/events.csv?type=storeFault")).text()).split("\r\n")).toHaveLength(
      2,
    );
  });

  test("no cell is a formula, whatever a stranger asked for", async () => {
    const hostile = [
      ...[
        '=cmd|" /C calc"!A0',
        "+1+1",
        "-1+1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "  =1",
        "＝1",
        "\u200b=1",
        "|calc",
        "%0",
      ],
      ...['a","=1', 'a"\r\n=1', "\n=1"],
    ];
    const rig = await rigWith(hostile.map((path, i) =>
      eventOf(i + 1, {
        http: { method: "GET", host: "h", path, requestId: "r" },
        source: { kind: "workload", name: path, claimedHostname: path },
      })
    ));
    const text = await (await rig.ask("/api/v1/events.csv")).text();
    const cells = [...text.matchAll(/"((?:[^"]|"")*)"/g)].map(([, cell]) => cell!.replaceAll('""', '"'));
    expect(cells.length).toBeGreaterThan(hostile.length * 10);
    const bad = cells.filter((cell) => /^[\s\u200b]*[=+\-@|%＝＋－＠]/u.test(cell) || /^[\t\r\n]/.test(cell));
    expect(bad).toEqual([]);
    for (const path of hostile.slice(0, 11)) expect(cells).toContain(`'${printable(path)}`);
    // What stands outside of quotes is numbers and nothing else.
    expect(text.replaceAll(/"(?:[^"]|"")*"/g, "")).toMatch(/^[\d,\r\n]*$/);
  });

  const pageOf = (from: number, limit: number, total: number): Page<NetwallEvent> => {
    const items = many(total).toReversed().slice(from, from + limit);
    return from + limit < total ? { items, next: String(from + limit) } : { items };
  };

  for (const format of ["ndjson", "csv"] as const) {
    test(`of ${format} that is cut at its bound says so in its last line`, async () => {
      const read = async (total: number): Promise<string[]> => {
        const body = await exportEvents({
          ...{ format, cut: undefined, eventsMax: 300 },
          page: (limit, before = "0") => Promise.resolve(pageOf(Number(before), limit, total)),
        });
        return (await new Response(body).text()).trimEnd().split(/\r?\n/);
      };
      const head = format === "csv" ? 1 : 0;
      expect(await read(300)).toHaveLength(300 + head);
      const cut = await read(301);
      expect(cut).toHaveLength(301 + head);
      expect(cut.at(-1)).toContain(format === "csv" ? "before=300" : '{"cutOff":true,"next":"300"}');
    });
  }

  test("is read a page at a time, and no further when nobody takes it", async () => {
    const asked: number[] = [];
    const body = await exportEvents({
      ...{ format: "ndjson", cut: undefined },
      page: (limit, before = "0") => {
        asked.push(Number(before));
        return Promise.resolve(pageOf(Number(before), limit, 5_000));
      },
    });
    expect(asked).toEqual([0]);
    const reader = body.getReader();
    await reader.read();
    expect(asked.length).toBeLessThanOrEqual(2);
    await reader.cancel();
    expect(asked.length).toBeLessThanOrEqual(2);
  });

  test("that the store cannot finish does not look whole", async () => {
    const failing = (cut: (() => void) | undefined): Promise<ReadableStream<Uint8Array>> =>
      exportEvents({
        ...{ format: "ndjson", cut },
        page: (limit, before) => {
          if (before !== undefined) throw new StoreError("gone", "io");
          return Promise.resolve(pageOf(0, limit, 1_000));
        },
      });
    await expect(new Response(await failing(undefined)).text()).rejects.toThrow();
    let cuts = 0;
    await new Response(await failing(() => cuts += 1)).text();
    expect(cuts).toBe(1);
  });
});
