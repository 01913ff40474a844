/**
 * What a report says: to people, to scripts, to the gateway, and what the gateway believes.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Listener, WallReport } from "../../lib/seal/wall.ts";
import { parseWallFields, runAudit, wallFields, wallJson, wallTable } from "../../lib/seal/wall_report.ts";
import { useProcesses } from "../support/processes.ts";
import { HEX, line, writeProc } from "./socket_tables.ts";

const processes = useProcesses();

function listener(parts: Partial<Listener> = {}): Listener {
  return {
    protocol: "tcp",
    address: "0.0.0.0",
    port: 8080,
    inode: 5,
    uid: 33,
    reach: "outside",
    owner: { kind: "process", pid: 12, name: "nginx" },
    ...parts,
  };
}

function report(
  state: WallReport["state"],
  listeners: readonly Listener[],
  faults: string[] = [],
): WallReport {
  const exposedTotal = listeners.filter(({ reach }) => reach === "outside").length;
  return { state, listeners, listenersTotal: listeners.length, exposedTotal, faults };
}

const WHOLE = report("whole", [
  listener({ address: "127.0.0.1", reach: "loopback", owner: { kind: "agent" } }),
]);
const BROKEN = report("broken", [
  listener(),
  listener({ protocol: "udp6", address: "2001:db8::1", port: 53, owner: { kind: "unknown" } }),
]);

describe("wallTable()", () => {
  test("says what is broken and what to do", () => {
    expect(wallTable(BROKEN)).toBe(
      "wall: broken – 2 sockets can be reached from outside\n" +
        "Bind each of them to 127.0.0.1 or stop it: what it takes does not pass the gateway\n" +
        "\n" +
        "PROTOCOL  ADDRESS           REACH    OWNER\n" +
        "tcp       0.0.0.0:8080      outside  nginx(12)\n" +
        "udp6      [2001:db8::1]:53  outside  unknown, of user 33\n",
    );
    expect(wallTable(report("broken", [listener()]))).toContain("– 1 socket can be reached from outside\n");
  });

  test("says what is whole, and what only the lack of a network protects", () => {
    expect(wallTable(report("whole", []))).toBe("wall: whole – nothing listens beyond loopback\n");
    expect(wallTable(WHOLE)).toContain("tcp       127.0.0.1:8080  loopback  this agent\n");
    const quiet = wallTable(report("whole", [listener({ reach: "no-network" })]));
    expect(quiet).toContain("wall: whole – 1 socket beyond loopback, but no network to reach it by\n");
    expect(quiet).toContain("No interface but lo is up");
    expect(quiet).toContain("0.0.0.0:8080  no-network  nginx(12)");
  });

  test("says what could not be read", () => {
    const text = wallTable(report("unknown", [], ["Cannot read /proc/net/tcp\n", "b"]));
    expect(text).toContain("wall: unknown – 2 things could not be read\n");
    expect(text).toContain("\n  Cannot read /proc/net/tcp\\n\n  b\n");
    expect(wallTable(report("unknown", [], ["a"]))).toContain("– one thing could not be read\n");
    expect(wallTable(report("broken", [listener()], ["a"]))).toContain("\n  a\n");
  });

  test("counts what it does not name, cuts rows to the terminal, and escapes names", () => {
    expect(wallTable({ ...BROKEN, listenersTotal: 9 })).toMatch(/\n… and 7 more\n$/);
    const evil = report("broken", [listener({ owner: { kind: "process", pid: 1, name: "\u001b[2J\n" } })]);
    expect(wallTable(evil)).toContain("  \\u001b[2J\\n(1)\n");
    for (const columns of [0, 30, 44]) {
      const rows = wallTable(BROKEN, columns).split("\n").slice(3);
      expect(Math.max(...rows.map((row) => row.length))).toBe(Math.max(columns, 20));
      expect(rows[2]).toMatch(/…$/);
    }
  });
});

describe("wallJson()", () => {
  test("has stable keys", () => {
    const first = { protocol: "tcp", address: "0.0.0.0", port: 8080, reach: "outside", inode: 5, uid: 33 };
    const second = { ...first, protocol: "udp6", address: "2001:db8::1", port: 53 };
    const expected = {
      state: "broken",
      listenersTotal: 2,
      exposedTotal: 2,
      listeners: [
        { ...first, owner: { kind: "process", pid: 12, name: "nginx" } },
        { ...second, owner: { kind: "unknown" } },
      ],
      faults: [],
    };
    expect(wallJson(BROKEN)).toBe(`${JSON.stringify(expected, undefined, 2)}\n`);
  });
});

describe("wallFields()", () => {
  test("is what parseWallFields() reads", () => {
    expect(wallFields(BROKEN)).toEqual([
      ...["wall", "broken", "listeners", "2"],
      ...["exposed", "tcp 0.0.0.0:8080 nginx(12)"],
      ...["exposed", "udp6 [2001:db8::1]:53 unknown, of user 33"],
    ]);
    const faulty = report("unknown", [], ["a", "b"]);
    for (const each of [WHOLE, BROKEN, faulty, report("whole", []), report("broken", [listener()], ["a"])]) {
      const claim = parseWallFields(wallFields(each));
      expect(claim).toMatchObject({ state: each.state, listeners: each.listenersTotal, faults: each.faults });
      expect(claim?.exposed).toHaveLength(each.exposedTotal);
    }
  });

  test("is bounded and printable, whatever is in the report", () => {
    const long = listener({ owner: { kind: "process", pid: 1, name: "\u0001".repeat(80) } });
    const [, , , , , value = ""] = wallFields(report("broken", [long]));
    expect(value.length).toBe(255);
    expect(value).toMatch(/^tcp 0\.0\.0\.0:8080 (?:\\u0001)+/);
    const names = fc.array(fc.string({ unit: "binary", maxLength: 80 }), { maxLength: 40 });
    fc.assert(
      fc.property(names, fc.array(fc.string({ unit: "binary" }), { maxLength: 9 }), (owners, faults) => {
        const listeners = owners.map((name) => listener({ owner: { kind: "process", pid: 1, name } }));
        const state = owners.length > 0 ? "broken" : faults.length > 0 ? "unknown" : "whole";
        const fields = wallFields(report(state, listeners, faults.map((each) => `!${each}`)));
        expect(fields.every((each) => /^[ -~]{1,255}$/.test(each))).toBe(true);
        const claim = parseWallFields(fields);
        expect(claim?.state).toBe(state);
        expect(claim?.exposed).toHaveLength(Math.min(owners.length, 16));
        expect(claim?.faults).toHaveLength(Math.min(faults.length, 4));
      }),
    );
  });
});

describe("parseWallFields()", () => {
  const wall = ["wall", "whole", "listeners", "3"];
  const broken = ["wall", "broken", "listeners", "99"];

  test("takes names in any order and ignores the unknown", () => {
    const claim = { state: "broken" as const, listeners: 99, exposed: ["x"], faults: ["y"] };
    expect(parseWallFields(["fault", "y", "agent", "\u0000", "exposed", "x", ...broken, "WALL", "whole"]))
      .toEqual(claim);
  });

  test("takes nothing that is no claim", () => {
    const repeated = (name: string, count: number): string[] => Array(count).fill([name, "x"]).flat();
    const cases: readonly (readonly string[])[] = [
      [],
      ["wall"],
      ["wall", "whole"],
      ["listeners", "3"],
      [...wall, "exposed"],
      [...wall, "agent"],
      ["wall", "Whole", "listeners", "3"],
      ["wall", "constructor", "listeners", "3"],
      ["wall", "", "listeners", "3"],
      ["wall", "whole", ...wall],
      [...wall, "wall", "broken"],
      [...wall, "listeners", "3"],
      ["wall", "whole", "listeners", "-1"],
      ["wall", "whole", "listeners", "03"],
      ["wall", "whole", "listeners", "1e9"],
      ["wall", "whole", "listeners", "9999999999"],
      ["wall", "whole", "listeners", "3\n"],
      // A state that its own facts contradict.
      [...wall, "exposed", "x"],
      [...wall, "fault", "x"],
      broken,
      [...broken, "fault", "x"],
      ["wall", "unknown", "listeners", "0"],
      ["wall", "broken", "listeners", "0", "exposed", "x"],
      // Too many, too long, not printable.
      [...broken, ...repeated("exposed", 17)],
      [...broken, "exposed", "x", ...repeated("fault", 5)],
      [...broken, "exposed", "x".repeat(256)],
      [...broken, "exposed", ""],
      [...broken, "exposed", "\u001b[2J"],
      [...broken, "exposed", "é"],
      [...broken, "exposed", "x\n"],
    ];
    let checked = 0;
    for (const fields of cases) {
      expect({ fields, claim: parseWallFields(fields) }).toEqual({ fields, claim: undefined });
      checked += 1;
    }
    expect(checked).toBe(30);
    expect(parseWallFields([...broken, ...repeated("exposed", 16), ...repeated("fault", 4)])).toBeDefined();
    expect(parseWallFields([...broken, "exposed", "x".repeat(255)])).toBeDefined();
  });

  test("never throws and holds little of a flood", () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.constantFrom("wall", "exposed", "whole", "1"), fc.string())),
        (all) => {
          parseWallFields(all);
        },
      ),
    );
    expect(parseWallFields([...broken, ...Array(100_000).fill(["exposed", "x"]).flat()])).toBeUndefined();
  });
});

describe("runAudit()", () => {
  test("tells whether the wall is whole, and writes once", async () => {
    const open = line("tcp", { address: HEX.any4, port: 8080 });
    const cases = [[[], true, "wall: whole"], [[open], false, "wall: broken"], [
      ["x"],
      false,
      "wall: unknown",
    ]] as const;
    let checked = 0;
    for (const [tcp, isWhole, text] of cases) {
      const proc = writeProc(processes.folder("proc"), { tables: { tcp } });
      const interfaces = (): string[] => ["eth0"];
      const written: string[] = [];
      const write = (each: string): void => void written.push(each);
      expect(await runAudit({ proc, interfaces, json: false, write })).toBe(isWhole);
      expect(await runAudit({ proc, interfaces, json: true, write })).toBe(isWhole);
      expect(written).toHaveLength(2);
      expect(written[0]).toContain(text);
      expect(`wall: ${(JSON.parse(written[1] ?? "") as WallReport).state}`).toBe(text);
      checked += 1;
    }
    expect(checked).toBe(3);
  });
});
