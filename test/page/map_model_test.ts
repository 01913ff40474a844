/**
 * From what the API says to what the map shows: states, filters, collapsed namespaces, and bounds.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import type { EdgeRecord } from "../../lib/page/core/types.ts";
import { LINE_STATES, type LineState } from "../../lib/page/map/line.ts";
import { LINES_MAX, OPEN_WORKLOADS_MAX, OUTSIDE_MAX } from "../../lib/page/map/model.ts";
import { nameOf, nodeWords } from "../../lib/page/map/node.ts";
import { call, edge, group, largeWall, link, model, modes, NOW_MS, visit } from "./map_samples.ts";

const WEB = "shop/web";
const API = "shop/api";
const DB = "data/db";
const SMALL = {
  groups: [group(WEB), group(API), group(DB)],
  links: [link(WEB), link(API), link(DB)],
  edges: [edge(), call(WEB, API), call(API, DB, { protocol: "tcp" }), visit(API, "pay.example")],
};
const broken = { state: "broken" as const, listeners: 2, exposed: ["0.0.0.0:22"], faults: [] };

describe("mapModel()", () => {
  test("shows every group, every outside end and every edge", () => {
    const { nodes, lines, total, cut, raw } = model(SMALL);
    expect(nodes.map(({ id }) => id)).toEqual([
      "from:internet",
      "group:data/db",
      "group:shop/api",
      "group:shop/web",
      "host:pay.example",
    ]);
    expect(lines).toHaveLength(4);
    expect(lines.map(({ from, to }) => `${from} ${to}`).sort()).toEqual([
      "from:internet group:shop/web",
      "group:shop/api group:data/db",
      "group:shop/api host:pay.example",
      "group:shop/web group:shop/api",
    ]);
    expect([total, cut, raw.length]).toEqual([4, 0, 4]);
  });

  test("is the same whatever order the API answers in", () => {
    const { edges, groups, links } = largeWall(60, 300);
    const turned = { edges: edges.toReversed(), groups: groups.toReversed(), links: links.toReversed() };
    for (const fold of ["none", "all", "auto"] as const) {
      const [a, b] = [
        model({ edges, groups, links, filters: { fold } }),
        model({ ...turned, filters: { fold } }),
      ];
      expect(a.nodes).toEqual(b.nodes);
      expect(a.lines.map(({ id, state, count }) => [id, state, count])).toEqual(
        b.lines.map(({ id, state, count }) => [id, state, count]),
      );
    }
  });

  test("shows workloads that have no traffic, and groups that are known by their edges alone", () => {
    expect(model({ groups: [group(WEB)] }).nodes.map(nameOf)).toEqual([WEB]);
    const { nodes } = model({ edges: [call("old/one", "old/two")] });
    expect(nodes.map(nameOf)).toEqual(["old/one", "old/two"]);
    expect(nodeWords(nodes[0]!)).toContain("mode unknown");
    expect(nodeWords(nodes[0]!)).toContain("no agent is linked");
  });

  test("is empty when there is nothing", () => {
    const { nodes, lines, namespaces } = model({});
    expect([nodes.length, lines.length, namespaces.length]).toEqual([0, 0, 0]);
  });
});

describe("the state of a line", () => {
  const cases: readonly (readonly [string, Partial<EdgeRecord>, readonly string[], LineState])[] = [
    ["learned", { state: "learned" }, [], "learned"],
    ["manual", { state: "manual" }, [], "manual"],
    ["unknown", { state: "unknown" }, [], "unknown"],
    ["blocked", { state: "blocked" }, [], "blocked"],
    ["nothing ever got through", { state: "learned", count: 3, droppedCount: 3 }, [], "blocked"],
    ["some got through", { state: "learned", count: 3, droppedCount: 2 }, [], "learned"],
    ["nothing was counted", { state: "learned", count: 0, droppedCount: 0 }, [], "learned"],
    ["a broken wall at the source", { state: "learned" }, [WEB], "unenforced"],
    ["a broken wall at the destination", { state: "manual" }, [API], "unenforced"],
    ["a broken wall elsewhere", { state: "learned" }, [DB], "learned"],
    ["unknown before a broken wall", { state: "unknown" }, [WEB], "unknown"],
    ["blocked before a broken wall", { state: "blocked" }, [API], "blocked"],
  ];
  let ran = 0;
  for (const [name, fields, open, state] of cases) {
    test(name, () => {
      ran += 1;
      const links = [WEB, API, DB].map((id) => link(id, open.includes(id) ? { wall: broken } : {}));
      const { lines } = model({ ...SMALL, links, edges: [call(WEB, API, fields)] });
      expect(lines.map((line) => line.state)).toEqual([state]);
    });
  }
  test("all of the cases ran", () => expect(ran).toBe(cases.length));

  test("one broken wall of several agents is enough", () => {
    const links = [link(WEB), link(WEB, { agent: "web-2", wall: broken })];
    expect(model({ ...SMALL, links, edges: [edge()] }).lines[0]!.state).toBe("unenforced");
  });
});

describe("collapsed namespaces", () => {
  test("merge their edges by ends, with the worst state and the sums", () => {
    const edges = [
      edge({ count: 5, failedCount: 1 }),
      edge({ destination: API, service: "api", state: "blocked", count: 2, droppedCount: 2 }),
      call(WEB, API, { state: "unknown" }),
      call(API, DB, { count: 7 }),
      call(WEB, DB, { count: 8, state: "manual" }),
    ];
    const { nodes, lines, collapsed, raw } = model({ ...SMALL, edges, filters: { shut: new Set(["shop"]) } });
    expect([...collapsed]).toEqual(["shop"]);
    expect(nodes.map(({ id }) => id)).toEqual(["from:internet", "group:data/db", "ns:shop"]);
    expect(lines.map(({ id, state, count, droppedCount, failedCount, bytes }) => (
      { id, state, count, droppedCount, failedCount, bytes }
    ))).toEqual([
      {
        ...{ id: "from:internet|ns:shop|north-south", state: "blocked", count: 7 },
        ...{ droppedCount: 2, failedCount: 1, bytes: 60 },
      },
      {
        id: "ns:shop|group:data/db|east-west",
        state: "manual",
        count: 15,
        droppedCount: 0,
        failedCount: 0,
        bytes: 60,
      },
    ]);
    expect(lines[0]!.edges).toHaveLength(2);
    // What goes on inside is not lost: the node says it.
    const shop = nodes[2]!;
    expect(shop).toMatchObject({ kind: "namespace", workloads: 2, inside: "unknown", insideEdges: 1 });
    expect(nodeWords(shop)).toContain("at worst unknown");
    expect(raw).toHaveLength(5);
  });

  test("keep the id of a merged line when edges are added to it", () => {
    const filters = { fold: "all" as const };
    const one = model({ ...SMALL, filters, edges: [edge()] });
    const two = model({ ...SMALL, filters, edges: [edge(), edge({ destination: API, service: "api" })] });
    expect(two.lines.map(({ id }) => id)).toEqual(one.lines.map(({ id }) => id));
    expect(two.lines[0]!.count).toBe(2);
  });

  test("start collapsed when there are many workloads, however many of them are hidden", () => {
    const groups = Array.from({ length: OPEN_WORKLOADS_MAX }, (_, index) => group(`ns/image-${index}`));
    expect(model({ groups }).collapsed.size).toBe(0);
    const more = [...groups, group("other/one")];
    expect([...model({ groups: more }).collapsed]).toEqual(["ns", "other"]);
    expect([...model({ groups: more, filters: { opened: new Set(["ns"]) } }).collapsed]).toEqual(["other"]);
    expect(model({ groups: more, filters: { fold: "none" } }).collapsed.size).toBe(0);
    const edges = [edge({ destination: "other/one" })];
    expect(model({ groups: more, edges, filters: { quietMinutes: 5 } }).nodes.map(({ id }) => id)).toEqual([
      "from:internet",
      "ns:other",
    ]);
    // Who searches sees what was found, not the box that it is in.
    expect(model({ groups: more, filters: { search: "one" } }).nodes.map(nameOf)).toEqual(["other/one"]);
  });

  test("tell the strictest mode, and that modes differ", () => {
    const groups = [group(WEB, { modes: modes("learn") }), group(API, { modes: modes("prevent") })];
    const [node] = model({ groups, filters: { fold: "all" } }).nodes;
    expect(node).toMatchObject({ mode: "prevent", isMixed: true });
    expect(nodeWords(node!)).toContain("the strictest is prevent");
  });
});

describe("filters", () => {
  const ids = (sample: Parameters<typeof model>[0]): string[] => model(sample).nodes.map(nameOf);

  test("a search finds names, services, hosts, rules and what agents claim", () => {
    const links = [link(WEB, { claimed: { containerId: "0FF1CE" } }), link(API), link(DB)];
    const found = (search: string): string[] => ids({ ...SMALL, links, filters: { search } });
    expect(found("PAY.ex")).toEqual(["shop/api", "pay.example"]);
    expect(found("0ff1ce")).toEqual(["internet", "shop/api", "shop/web"]);
    expect(found("data")).toEqual(["data/db", "shop/api"]);
    expect(found("  api   pay ")).toEqual(["shop/api", "pay.example"]);
    expect(found("nothing-like-it")).toEqual([]);
    expect(found("   ")).toEqual(ids(SMALL));
  });

  test("a search is text: signs of patterns mean nothing", () => {
    for (const search of [".*", "(", "[a-z]+", "\\", "^shop", "<img src=x>"]) {
      expect(ids({ ...SMALL, filters: { search } })).toEqual([]);
    }
  });

  test("directions and states hide lines, and workloads without a line", () => {
    const edges = [...SMALL.edges, call(WEB, DB, { state: "unknown" })];
    const of = (filters: object): string[] => ids({ ...SMALL, edges, filters });
    expect(of({ directions: new Set(["egress"]) })).toEqual(["shop/api", "pay.example"]);
    expect(of({ states: new Set(["unknown"]) })).toEqual(["data/db", "shop/web"]);
    expect(of({ states: new Set() })).toEqual([]);
  });

  test("the quiet filter hides what was not seen for long", () => {
    const edges = [
      edge({ lastSeenMs: NOW_MS - 5 * 60_000 }),
      call(WEB, API, { lastSeenMs: NOW_MS - 300_001 }),
    ];
    expect(ids({ ...SMALL, edges, filters: { quietMinutes: 5 } })).toEqual(["internet", "shop/web"]);
    expect(ids({ ...SMALL, edges, filters: { quietMinutes: 15 } })).toEqual([
      "internet",
      "shop/api",
      "shop/web",
    ]);
  });

  test("the focus shows a node and its neighbours alone", () => {
    const of = (focus: string): string[] => ids({ ...SMALL, filters: { focus } });
    expect(of("group:shop/web")).toEqual(["internet", "shop/api", "shop/web"]);
    expect(of("from:internet")).toEqual(["internet", "shop/web"]);
    expect(of("ns:data")).toEqual(["data/db", "shop/api"]);
    expect(of("group:not/there")).toEqual([]);
    expect(ids({ groups: [group(WEB), group(API)], filters: { focus: "group:shop/web" } })).toEqual([WEB]);
  });
});

describe("bounds", () => {
  test("of many hosts the worst and the first by name are shown, the rest as one", () => {
    const hosts = Array.from({ length: 300 }, (_, index) => `h${String(index).padStart(3, "0")}.example`);
    const edges = hosts.map((host, index) =>
      visit(API, host, { state: index === 299 ? "unknown" : "learned" })
    );
    const { nodes, lines } = model({ ...SMALL, edges });
    const shown = nodes.filter(({ kind }) => kind === "host");
    expect(shown).toHaveLength(OUTSIDE_MAX);
    expect(shown.some((node) => nameOf(node) === "h299.example")).toBe(true);
    const rest = shown.find((node) => nameOf(node).includes("more"))!;
    expect(nameOf(rest)).toBe(`${300 - OUTSIDE_MAX + 1} more hosts`);
    expect(nodeWords(rest)).toContain("more");
    const line = lines.find(({ to }) => to === rest.id)!;
    expect(line.edges).toHaveLength(300 - OUTSIDE_MAX + 1);
    expect(line.state).toBe("learned");
    expect(new Set(nodes.map(({ id }) => id)).size).toBe(nodes.length);
  });

  test("of too many lines the worst are drawn, and the rest is counted", () => {
    const edges = Array.from({ length: LINES_MAX + 500 }, (_, index) =>
      call(WEB, API, {
        service: `s-${index}`,
        port: 0,
        id: `edge-${index}`,
        state: index >= LINES_MAX + 490 ? "blocked" : "learned",
      }));
    const { lines, cut, raw, total } = model({ ...SMALL, edges });
    expect([lines.length, cut, raw.length, total]).toEqual([
      LINES_MAX,
      500,
      LINES_MAX + 500,
      LINES_MAX + 500,
    ]);
    expect(lines.filter(({ state }) => state === "blocked")).toHaveLength(10);
  });

  test("every line has two ends that are shown, in every fold and with every filter", () => {
    const wall = largeWall(200, 1_000);
    let ran = 0;
    for (const fold of ["auto", "all", "none"] as const) {
      for (const extra of [{}, { search: "image-1" }, { quietMinutes: 5 }, { focus: "ns:ns-3" }]) {
        for (const shut of [new Set<string>(), new Set(["ns-1", "ns-3", "not-there"])]) {
          const { nodes, lines } = model({ ...wall, filters: { fold, shut, ...extra } });
          const ids = new Set(nodes.map(({ id }) => id));
          expect(lines.filter(({ from, to }) => !ids.has(from) || !ids.has(to))).toEqual([]);
          expect(ids.size).toBe(nodes.length);
          expect(lines.every(({ state }) => LINE_STATES.includes(state))).toBe(true);
          ran += 1;
        }
      }
    }
    expect(ran).toBe(24);
  });

  test("names that mean something to JavaScript are names", () => {
    const odd = [
      "__proto__/constructor",
      "constructor/__proto__",
      "shop/<script>alert(1)</script>",
      "a/b|c|d",
    ];
    const edges = odd.flatMap((source) => odd.map((destination) => call(source, destination)));
    const { nodes, lines } = model({ groups: odd.map((id) => group(id)), edges });
    expect(nodes.map(nameOf).sort()).toEqual([...odd].sort());
    expect(lines).toHaveLength(16);
    const all = model({ groups: odd.map((id) => group(id)), edges, filters: { fold: "all" } });
    expect(all.nodes).toHaveLength(4);
  });
});
