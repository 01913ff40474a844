/**
 * The demo in examples/shop, as a user runs it: on each runtime, to its end, when it is stopped, and when it fails.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { type AddressInfo, connect } from "node:net";
import { join } from "node:path";
import { redis, startStandIn } from "../../examples/shop/redis.ts";
import { StoryFault, Teller, until } from "../../examples/shop/teller.ts";
import { eachOperation, hostileTraffic, OPERATIONS, shopEdges, visits } from "../../examples/shop/traffic.ts";
import { seeded } from "../../lib/sample/random.ts";
import {
  bunBinary,
  denoBinary,
  type ProcessOptions,
  ROOT,
  type RunningProcess,
  RUNTIMES,
  useProcesses,
} from "../support/processes.ts";

/** It takes half a minute on an idle machine. */
const DEMO_MS_MAX = 180_000;

const processes = useProcesses();
const RUN = join(ROOT, "examples", "shop", "run.ts");

const STEPS = [
  "1. The gateway learns what is normal",
  "2. Somebody has a shell in front-end, and connects straight to user-db",
  "3. The operator sets user-db to prevent",
  "4. payment calls 127.0.0.66:",
  "5. The policy is a file",
];

function start(
  runtime: "bun" | "deno",
  args: readonly string[],
  options: ProcessOptions = {},
): RunningProcess {
  const command = runtime === "bun" ? [bunBinary(), RUN] : [denoBinary(), "run", "-A", "--no-check", RUN];
  return processes.start([...command, ...args], options);
}

/** Processes whose command line or folders are below a folder. */
function processesOf(folder: string): string[] {
  return readdirSync("/proc").filter((name) => /^\d+$/.test(name)).flatMap((pid) => {
    try {
      const line = readFileSync(`/proc/${pid}/cmdline`, "latin1").replaceAll("\0", " ");
      return line.includes(folder) ? [line] : [];
    } catch {
      return [];
    }
  });
}

describe("the demo", () => {
  test.each(RUNTIMES.map((runtime) => [runtime]))(
    "on %s tells all five steps, and leaves nothing",
    async (runtime) => {
      const folder = processes.folder("demo");
      const demo = start(runtime as "bun" | "deno", [], { env: { TMPDIR: folder } });
      const { code } = await demo.exit;
      expect([code, demo.stderr(), code === 0 ? "" : demo.stdout()]).toEqual([0, "", ""]);
      const lines = demo.stdout().split("\n");
      const found = STEPS.map((step) => lines.findIndex((line) => line.startsWith(step)));
      expect(found.filter((at) => at < 0)).toEqual([]);
      expect(found).toEqual([...found].sort((a, b) => a - b));
      const checks = lines.filter((line) => line.startsWith("  ✓ "));
      expect(checks.length).toBeGreaterThanOrEqual(27);
      expect(demo.stdout()).toContain(`All of it held: ${checks.length} checks`);
      // Nothing for a terminal where none is.
      expect(demo.stdout()).not.toContain("\u001b");
      expect([readdirSync(folder), processesOf(folder)]).toEqual([[], []]);
    },
    DEMO_MS_MAX,
  );

  test("stopped by Ctrl-C, leaves nothing", async () => {
    const folder = processes.folder("demo");
    const demo = start("bun", [], { env: { TMPDIR: folder } });
    await demo.waitFor("stdout", /^1\. The gateway learns/m, DEMO_MS_MAX);
    expect(processesOf(folder).length).toBeGreaterThan(4);
    expect(await demo.stop("SIGINT")).toEqual({ code: 130, signal: null });
    expect([readdirSync(folder), processesOf(folder)]).toEqual([[], []]);
    expect(demo.stdout()).not.toContain("✗");
  }, DEMO_MS_MAX);

  test("fails with 1, a reason, and nothing left", async () => {
    const folder = processes.folder("demo");
    // The gateway takes it, agents know no such setting: they do not start.
    const demo = start("bun", [], { env: { TMPDIR: folder, NETWALL_FIREWALL: "false" } });
    expect(await demo.exit).toEqual({ code: 1, signal: null });
    expect(demo.stdout()).toMatch(/^ {2}✗ [^\n]{10}/m);
    expect([readdirSync(folder), processesOf(folder)]).toEqual([[], []]);
  }, DEMO_MS_MAX);

  test("called wrongly says how it is called", async () => {
    const wrong = [["--runtime", "node"], ["--runtime"], ["fast"], ["--fast"]];
    for (const args of wrong) {
      const demo = start("bun", args);
      expect([args, (await demo.exit).code]).toEqual([args, 2]);
      expect(demo.stderr()).toBe("Usage: npm run demo [-- --runtime bun|deno]\n");
    }
    expect(wrong).toHaveLength(4);
  });
});

describe("the teller", () => {
  test("says what holds, and stops at what does not", () => {
    const lines: string[] = [];
    const teller = new Teller((line) => lines.push(line), false);
    teller.check("water is wet", true, "");
    expect(() => teller.check("water is dry", false, { wet: true })).toThrow(
      'water is dry: it is not so, there is {"wet":true}',
    );
    teller.quote("a\nb\nc\n", 2);
    expect(lines).toEqual(["  ✓ water is wet", "    | a", "    | b", "    | … 1 lines more"]);
    expect(teller.checks).toBe(1);
  });

  test("until() gives the first answer that is wanted, and the last one when there is none", async () => {
    let asked = 0;
    expect(await until("It is three", () => Promise.resolve(++asked), (value) => value === 3)).toBe(3);
    const fault = await until("It is gone", () => Promise.resolve("here"), () => false, 0).catch((error) =>
      error
    );
    expect(fault).toBeInstanceOf(StoryFault);
    expect((fault as Error).message).toBe('It is gone: not after 0 seconds, the last answer was "here"');
  });
});

test("the stand-in for Redis answers as Redis does, as far as the shop asks", async () => {
  const server = await startStandIn();
  const client = redis(connect((server.address() as AddressInfo).port, "127.0.0.1"));
  const asked = [["PING"], ["GET", "a"], ["SET", "a", "\r\nü$"], ["GET", "a"], ["DBSIZE"]];
  const answers: (string | null)[] = [];
  for (const words of asked) answers.push(await client.ask(...words));
  expect(answers).toEqual(["PONG", null, "OK", "\r\nü$", "1"]);
  await expect(client.ask("FLUSHALL")).rejects.toThrow("unknown command");
  client.close();
  await client.closed;
  await expect(client.ask("PING")).rejects.toThrow("is over");
  server.close();
});

describe("the traffic of the shop", () => {
  const take = <T>(from: Iterator<T>, count: number): T[] =>
    Array.from({ length: count }, () => from.next().value);

  test("is the same for the same seed, and no other", () => {
    expect(take(visits(7), 500)).toEqual(take(visits(7), 500));
    expect(take(visits(7), 500)).not.toEqual(take(visits(8), 500));
    expect(take(hostileTraffic(7), 500)).toEqual(take(hostileTraffic(7), 500));
  });

  test("asks for every operation soon, and for nothing else", () => {
    const shape = (path: string): string =>
      path.replace(/[0-9a-f]{8}-[0-9a-f-]{27}/, "{uuid}").replace(/\/\d+$/, "/{int}");
    const asked = take(visits(1), 500).map(({ method, path, contentType = "" }) =>
      `${method} ${shape(path)} ${contentType}`.trim()
    );
    expect([...new Set(asked)].sort()).toEqual(OPERATIONS.map(({ name }) => name).sort());
    expect(eachOperation(1)).toHaveLength(OPERATIONS.length);
  });

  test("hostile traffic has every kind in turn", () => {
    const kinds = take(hostileTraffic(3), 8).map(({ kind }) => kind);
    expect(kinds).toEqual([...Array(2)].flatMap(() => ["edge", "route", "method", "contentType"]));
  });

  test("has five edges", () => {
    expect(shopEdges("localhost:1").map(({ direction }) => direction)).toEqual(
      ["north-south", "east-west", "east-west", "east-west", "egress"],
    );
  });

  test("random numbers are from 0 to 1 and spread", () => {
    const random = seeded(0);
    const numbers = Array.from({ length: 10_000 }, random);
    expect(numbers.filter((each) => each < 0 || each >= 1)).toEqual([]);
    const mean = numbers.reduce((sum, each) => sum + each, 0) / numbers.length;
    expect(Math.abs(mean - 0.5)).toBeLessThan(0.02);
    expect(new Set(numbers).size).toBeGreaterThan(9_990);
  });
});
