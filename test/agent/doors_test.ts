/**
 * Tests of the doors of an agent as a whole: where they are, and that there are all of them or none.
 *
 * @module
 */
import { afterEach, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type OpenDoors, openDoors } from "../../lib/agent/doors.ts";
import { agentConfig } from "../../lib/config/agent_config.ts";
import { loadConfig } from "../../lib/config/load.ts";
import { ListenFault } from "../../lib/http/visitor_server.ts";
import { Gateway, keptLog } from "../doors/gateway_end.ts";
import { TcpEnd } from "../e2e/tcp_wall.ts";
import { bunBinary, denoBinary, ROOT } from "../support/processes.ts";
import { until } from "../support/session_pair.ts";

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), "netwall-doors-"));
  cleanups.push(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

async function open(
  flags: { reach?: string[]; egress?: string },
  gateways: Gateway[] = [],
): Promise<OpenDoors> {
  const all = { gateway: ["ws://127.0.0.1:1"], token: "t", serve: ["web=http://127.0.0.1:1"], ...flags };
  const config = loadConfig({ schema: agentConfig, flags: all, env: {} });
  const doors = await openDoors(config, keptLog().log, () => gateways.map(({ session }) => session));
  cleanups.push(() => doors.close());
  return doors;
}

function portOf(address: unknown): number {
  return Number(String(address).slice(String(address).lastIndexOf(":") + 1));
}

describe("openDoors()", () => {
  test("none are asked for, none are there", async () => {
    const doors = await open({});
    expect([doors.reach, doors.egress]).toEqual([{}, undefined]);
  });

  test("tells where each is, and all of those of one service", async () => {
    const path = join(folder(), "db.sock");
    const doors = await open({
      reach: ["db=127.0.0.1:0", "cache=127.0.0.1:0", `db=unix:${path}`, "db=127.0.0.1:0"],
      egress: "127.0.0.1:0",
    });
    expect(Object.keys(doors.reach)).toEqual(["db", "cache"]);
    const { db, cache } = doors.reach;
    expect(db).toHaveLength(3);
    expect(db![1]).toBe(`unix:${path}`);
    const ports = [db![0], cache, db![2], doors.egress].map(portOf);
    expect(new Set(ports).size).toBe(4);
    expect(ports.every((port) => port > 0)).toBe(true);
  });

  test("a service may have a name that every object has", async () => {
    const doors = await open({ reach: ["constructor=127.0.0.1:0"] });
    expect(JSON.stringify(doors.reach)).toMatch(/^\{"constructor":"127\.0\.0\.1:\d+"\}$/);
  });

  test("each door leads to its service, the proxy to the outside", async () => {
    const gateway = await Gateway.start();
    cleanups.push(() => gateway.close());
    const doors = await open({ reach: ["db=127.0.0.1:0"], egress: "127.0.0.1:0" }, [gateway]);
    const program = await TcpEnd.connect(portOf(doors.reach["db"]));
    const browser = await TcpEnd.connect(portOf(doors.egress));
    cleanups.push(() => program.destroy(), () => browser.destroy());
    await gateway.call(0);
    browser.write("CONNECT example.test:443 HTTP/1.1\r\n\r\n");
    await gateway.call(1);
    expect(gateway.calls.map(({ open: { kind, service } }) => [kind, service])).toEqual([["tcp", "db"], [
      "egress",
      "",
    ]]);
  });

  test("when one cannot be opened none stays open, and the fault says which", async () => {
    const [at, taken] = [folder(), await open({ egress: "127.0.0.1:0" })];
    const path = join(at, "db.sock");
    const port = portOf(taken.egress);
    const failed = await open({ reach: [`db=unix:${path}`], egress: `127.0.0.1:${port}` })
      .catch((error: unknown) => error);
    expect(failed).toBeInstanceOf(ListenFault);
    expect((failed as Error).message).toContain(`127.0.0.1:${port}`);
    expect(existsSync(path)).toBe(false);
  });

  test("a socket that a dead process left is taken over, one that is in use is not, and a file is left alone", async () => {
    const at = folder();
    const path = join(at, "db.sock");
    await open({ reach: [`db=unix:${path}`] });
    const second = await open({ reach: [`db=unix:${path}`] }).catch((error: unknown) => error);
    expect((second as Error).message).toContain("another process");
    // The refused one must not have taken the path away from the one that has it.
    const program = await TcpEnd.connect(path);
    cleanups.push(() => program.destroy());
    expect(program.error).toBeUndefined();
    const file = join(at, "file");
    writeFileSync(file, "keep me");
    const third = await open({ reach: [`db=unix:${file}`] }).catch((error: unknown) => error);
    expect(third).toBeInstanceOf(ListenFault);
    expect((third as Error).message).toContain("it is there and is no socket");
    expect(existsSync(file)).toBe(true);
  });

  test("a door that cannot be opened ends the program with 1 and one line", () => {
    const rest = ["--gateway", "ws://127.0.0.1:1", "--token", "t", "--reach"];
    const script = join(ROOT, "agent.ts");
    const narrow = [denoBinary(), "run", "--no-prompt", "--no-remote", "--allow-env", script];
    const cases: [string[], string, RegExp][] = [
      [narrow, "127.0.0.1:5432", /on 127\.0\.0\.1:5432: start Deno with --allow-net=127\.0\.0\.1:5432$/],
      [[bunBinary(), script], `unix:${folder()}`, /it is there and is no socket, choose another path$/],
    ];
    for (const [command, at, message] of cases) {
      const [file = "", ...first] = command;
      const { status, stdout, stderr } = spawnSync(file, [...first, ...rest, `db=${at}`], {
        encoding: "utf8",
        timeout: 20_000,
      });
      expect([at, status, stdout]).toEqual([at, 1, ""]);
      const lines = stderr.trimEnd().split("\n");
      expect(lines).toHaveLength(1);
      expect(lines[0]).toMatch(/^netwall-agent: Cannot listen on /);
      expect(lines[0]).toMatch(message);
    }
    expect(cases).toHaveLength(2);
  });

  test("after close nobody gets in, and those who are in stay", async () => {
    const gateway = await Gateway.start();
    cleanups.push(() => gateway.close());
    const doors = await open({ reach: ["db=127.0.0.1:0"] }, [gateway]);
    const port = portOf(doors.reach["db"]);
    const program = await TcpEnd.connect(port);
    cleanups.push(() => program.destroy());
    const call = await gateway.call(0);
    doors.close();
    const late = await TcpEnd.connect(port);
    expect(late.error).toBeDefined();
    program.write("still here");
    await until(() => call.text === "still here", "the bytes");
  });
});
