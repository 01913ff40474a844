/**
 * The audit of real namespaces: on both runtimes it finds what `ss` finds, no more and no less.
 *
 * Each case runs in a network namespace of its own, so that nothing on the machine is seen or touched.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import type { WallReport } from "../../lib/seal/wall.ts";
import { bunBinary, denoBinary, ROOT, RUNTIMES, useProcesses } from "../support/processes.ts";

const processes = useProcesses();
const CHILD = join(ROOT, "test", "seal", "listening_child.ts");

/** A namespace whose interface `lo` is up, and with `tap` one more interface, with or without an address. */
const SET_UP = {
  nothing: "ip link set lo up",
  "an interface": "ip link set lo up && ip tuntap add mode tap t0 && ip addr add 192.0.2.1/24 dev t0",
  "an interface that is up":
    "ip link set lo up && ip tuntap add mode tap t0 && ip addr add 192.0.2.1/24 dev t0 && ip link set t0 up",
  "an interface that is up and has no address":
    "ip link set lo up && ip tuntap add mode tap t0 && sysctl -qw net.ipv6.conf.t0.disable_ipv6=1 && ip link set t0 up",
} as const;

function inNamespace(setUp: string, argv: readonly string[]): string[] {
  return ["unshare", "-n", "sh", "-c", `${setUp} && exec "$@"`, "sh", ...argv];
}

function can(setUp: string): boolean {
  const [file = "", ...args] = inNamespace(setUp, ["ss", "-Hln"]);
  return process.getuid?.() === 0 && spawnSync(file, args).status === 0;
}

/** `tcp 0.0.0.0:80`: how `ss` and a report are compared. */
function listed(ss: string): string[] {
  return ss.trim().split("\n").map((line) => {
    const [netid, , , , local = ""] = line.split(/\s+/);
    // A socket of both families on any address is shown as an asterisk.
    return `${netid} ${local.replace(/^\*:/, "[::]:")}`;
  }).sort();
}

function reported({ listeners }: WallReport): string[] {
  return listeners.map(({ protocol, address, port }) => {
    return `${protocol.replace("6", "")} ${address.includes(":") ? `[${address}]` : address}:${port}`;
  }).sort();
}

for (const runtime of RUNTIMES) {
  describe(`auditWall() on ${runtime}, in a namespace with`, () => {
    for (const [name, setUp] of Object.entries(SET_UP)) {
      const isUp = name.includes("is up");
      test.skipIf(!can(setUp))(`${name} (needs root, unshare, ip and ss)`, async () => {
        const argv = runtime === "bun" ? [bunBinary(), CHILD] : [denoBinary(), "run", "-A", CHILD];
        const found = JSON.parse(await processes.run(inNamespace(setUp, argv))) as {
          report: WallReport;
          ss: string;
        };
        const { report } = found;
        expect(report.faults).toEqual([]);
        expect(reported(report)).toEqual(listed(found.ss));
        expect(report.listenersTotal).toBe(8);
        expect(report.state).toBe(isUp ? "broken" : "whole");
        expect(report.exposedTotal).toBe(isUp ? 5 : 0);
        const reaches = report.listeners.map(({ reach }) => reach);
        const beyond = isUp ? "outside" : "no-network";
        expect(reaches).toEqual([...Array(5).fill(beyond), ...Array(3).fill("loopback")]);
        expect(report.listeners.map(({ owner }) => owner)).toEqual(Array(8).fill({ kind: "agent" }));
      });
    }
  });
}
