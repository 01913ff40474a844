/**
 * The audit against made-up proc folders: when the wall is whole, broken or unknown.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import { mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SOCKET_TABLES } from "../../lib/seal/listeners.ts";
import { auditWall, LISTENERS_MAX, TABLE_BYTES_MAX, type WallReport } from "../../lib/seal/wall.ts";
import { useProcesses } from "../support/processes.ts";
import { type FakeProc, header, HEX, line, table, writeProc } from "./socket_tables.ts";

const processes = useProcesses();
const networked = (): string[] => ["lo", "eth0"];

function audit(fake: FakeProc, interfaces: () => string[] = networked): Promise<WallReport> {
  return auditWall({ proc: writeProc(processes.folder("proc"), fake), interfaces });
}

/** The list of multicast groups, as the kernel writes it for interfaces that are up. */
function groups(...names: readonly string[]): string {
  const lines = names.map((name, at) =>
    `${at + 1}\t${name.padEnd(10)}:     1      V3\n\t\t\t\t010000E0     1 0:00000000\t\t0\n`
  );
  return `Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n${lines.join("")}`;
}

const OPEN = line("tcp", { address: HEX.any4, port: 8080, inode: 5, uid: 33 });
const LOCAL = line("tcp", { address: HEX.loopback4, port: 3000, inode: 6 });

describe("auditWall()", () => {
  test("finds the wall whole when nothing listens", async () => {
    expect(await audit({})).toEqual({
      state: "whole",
      listeners: [],
      listenersTotal: 0,
      exposedTotal: 0,
      faults: [],
    });
  });

  test("finds it whole when all is loopback, and names owners", async () => {
    const report = await audit({
      tables: { tcp: [LOCAL], tcp6: [line("tcp6", { address: HEX.mapped127, port: 9, inode: 7 })] },
      processes: { 42: { name: "agent", links: ["socket:[6]"] }, 50: { name: "app", links: ["socket:[7]"] } },
    });
    expect(report).toEqual({
      state: "whole",
      listeners: [
        {
          protocol: "tcp",
          address: "127.0.0.1",
          port: 3000,
          inode: 6,
          uid: 0,
          reach: "loopback",
          owner: { kind: "agent" },
        },
        {
          protocol: "tcp6",
          address: "::ffff:127.0.0.1",
          port: 9,
          inode: 7,
          uid: 0,
          reach: "loopback",
          owner: { kind: "process", pid: 50, name: "app" },
        },
      ],
      listenersTotal: 2,
      exposedTotal: 0,
      faults: [],
    });
  });

  test("finds it broken by one socket of any table", async () => {
    let checked = 0;
    for (const protocol of SOCKET_TABLES) {
      const address = protocol.endsWith("6") ? HEX.any6 : HEX.any4;
      const { state, exposedTotal, listeners } = await audit({
        tables: { [protocol]: [line(protocol, { address, port: 53 })] },
      });
      expect({ state, exposedTotal }).toEqual({ state: "broken", exposedTotal: 1 });
      expect(listeners).toMatchObject([{ protocol, reach: "outside", owner: { kind: "unknown" } }]);
      checked += 1;
    }
    expect(checked).toBe(8);
  });

  test("says when there is no network to reach a socket by", async () => {
    const fake: FakeProc = { tables: { tcp: [OPEN, LOCAL] } };
    const quiet = await audit(fake, () => ["lo"]);
    expect(quiet).toMatchObject({ state: "whole", listenersTotal: 2, exposedTotal: 0 });
    expect(quiet.listeners.map(({ reach }) => reach)).toEqual(["no-network", "loopback"]);

    // Where the kernel lists the interfaces that are up, nobody else is asked.
    const loud = (): string[] => ["lo", "eth0"];
    const cases: readonly [string, boolean][] = [
      [groups("lo"), false],
      [groups(), false],
      [groups("lo", "eth0"), true],
      [groups("lo", "lo0"), true],
      [groups("a-name-of-15-ch"), true],
      [`${groups("lo")}who knows\n`, true],
      [groups("lo", "eth0").slice(0, 95), true],
      ["", true],
      [groups("lo").replace("Idx", "idx"), true],
    ];
    let checked = 0;
    for (const [igmp, isUp] of cases) {
      const report = await audit({ ...fake, files: { igmp } }, isUp ? () => ["lo"] : loud);
      expect({ igmp, exposed: report.exposedTotal }).toEqual({ igmp, exposed: isUp ? 1 : 0 });
      checked += 1;
    }
    expect(checked).toBe(9);
  });

  test("takes it for reachable when the interfaces cannot be told", async () => {
    const report = await audit({ tables: { tcp: [OPEN] } }, () => {
      throw new Error("not allowed");
    });
    expect(report).toMatchObject({ state: "broken", exposedTotal: 1 });
    expect(report.faults).toEqual(['Cannot read the list of interfaces: "Error: not allowed"']);
  });

  test("is unknown when a table is missing, unless the kernel has none", async () => {
    let checked = 0;
    for (const protocol of SOCKET_TABLES) {
      const { state, faults } = await audit({ tables: { [protocol]: null } });
      const isAllowed = protocol.startsWith("udplite");
      expect({ protocol, state }).toEqual({ protocol, state: isAllowed ? "whole" : "unknown" });
      if (!isAllowed) {
        expect(faults.join()).toMatch(new RegExp(`Cannot read .*/self/net/${protocol}: "ENOENT"`));
      }
      checked += 1;
    }
    expect(checked).toBe(8);
    const withoutIpv6 = { tcp6: null, udp6: null, udplite6: null, raw6: null };
    expect((await audit({ tables: withoutIpv6, files: { if_inet6: null } })).state).toBe("whole");
    expect((await audit({ tables: withoutIpv6 })).faults).toHaveLength(3);
  });

  test("is unknown when a line has another shape, and broken all the same when a socket is", async () => {
    const bad = await audit({ tables: { tcp: [LOCAL, "\u001b]0;x\u0007"], udp: ["y"] } });
    expect(bad).toMatchObject({ state: "unknown", listenersTotal: 1, exposedTotal: 0 });
    expect(bad.faults).toHaveLength(2);
    expect(bad.faults[0]).toMatch(
      /Cannot understand .*\/tcp: line 3 has another shape: "\\u001b\]0;x\\u0007"$/,
    );
    const both = await audit({ tables: { tcp: ["x", OPEN] } });
    expect(both).toMatchObject({ state: "broken", exposedTotal: 1 });
    expect(both.faults).toHaveLength(1);
  });

  test("is unknown when a table is empty, cut off, a folder, or endless", async () => {
    const cases: readonly [Record<string, string>, string][] = [
      [{ udp: "" }, "it is empty"],
      [{ tcp: table("tcp", [LOCAL]).slice(0, -30) }, "cut off"],
      [{ raw: "\u0000".repeat(9_000) }, "cut off"],
    ];
    let checked = 0;
    for (const [files, message] of cases) {
      const { state, faults } = await audit({ files });
      expect(state).toBe("unknown");
      expect(faults.join()).toContain(message);
      checked += 1;
    }
    expect(checked).toBe(3);

    const proc = writeProc(processes.folder("proc"));
    rmSync(join(proc, "self", "net", "udp"));
    mkdirSync(join(proc, "self", "net", "udp"));
    expect((await auditWall({ proc })).faults.join()).toContain("EISDIR");

    const endless = writeProc(processes.folder("proc"));
    const lines = `${LOCAL}\n`.repeat(1_000);
    writeFileSync(
      join(endless, "self", "net", "tcp"),
      `${header("tcp")}\n${lines.repeat(Math.ceil(TABLE_BYTES_MAX / lines.length) + 1)}`,
    );
    const report = await auditWall({ proc: endless });
    expect(report.faults.join()).toContain("it is longer than 64 MiB");
    expect(report.state).toBe("unknown");
    rmSync(endless, { recursive: true });
  });

  test("is unknown where there is no proc, and takes the older place of the tables", async () => {
    const folder = processes.folder("proc");
    const nothing = await auditWall({ proc: join(folder, "none") });
    expect(nothing.state).toBe("unknown");
    expect(nothing.faults).toHaveLength(3);
    const proc = writeProc(folder, { tables: { tcp: [OPEN] } });
    renameSync(join(proc, "42", "net"), join(proc, "net"));
    expect(await auditWall({ proc, interfaces: networked })).toMatchObject({ state: "broken", faults: [] });
  });

  test("does not judge SCTP, which it cannot read", async () => {
    const head = " ENDPT     SOCK   STY SST HBKT LPORT   UID INODE LADDRS\n";
    expect((await audit({ files: { "sctp/eps": head } })).state).toBe("whole");
    const report = await audit({ files: { "sctp/eps": `${head}0 0 2 10 40 9899 0 5 0.0.0.0\n` } });
    expect(report.state).toBe("unknown");
    expect(report.faults.join()).toContain("SCTP endpoints, 1 in number");
  });

  test("names 1,024 of 10,000 listeners, those that can be reached first, and counts all", async () => {
    const local = Array.from({ length: 9_998 }, (_, at) => {
      return line("tcp", { address: HEX.loopback4, port: at, inode: at + 10 });
    });
    const report = await audit({
      tables: { tcp: [...local, OPEN], raw6: [line("raw6", { address: HEX.any6, port: 58 })] },
    });
    expect(report).toMatchObject({ state: "broken", listenersTotal: 10_000, exposedTotal: 2, faults: [] });
    expect(report.listeners.length).toBe(LISTENERS_MAX);
    const first = report.listeners.slice(0, 3).map(({ reach, port }) => `${reach} ${port}`);
    expect(first).toEqual(["outside 8080", "outside 58", "loopback 0"]);
  });
});
