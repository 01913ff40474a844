/**
 * Which environments are refused, and that a real executable does refuse.
 *
 * @module
 */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { environmentFaults, isExecutable, refusalToStart } from "../../lib/runtime/hardening.ts";
import { bunBinary } from "../support/processes.ts";

describe("environmentFaults()", () => {
  const cases: [string, Record<string, string | undefined>, string[]][] = [
    ["nothing", {}, []],
    ["what is harmless", { PATH: "/bin", BUN_INSTALL: "/root/.bun", NODE_OPTIONS: "--inspect" }, []],
    ["the debugger, in all its spellings", {
      BUN_INSPECT: "1",
      BUN_INSPECT_NOTIFY: "x",
      BUN_INSPECT_CONNECT_TO: "y",
    }, [
      "BUN_INSPECT",
      "BUN_INSPECT_CONNECT_TO",
      "BUN_INSPECT_NOTIFY",
    ]],
    ["options and the whole of Bun, sorted", { BUN_OPTIONS: "--preload=x", BUN_BE_BUN: "1" }, [
      "BUN_BE_BUN",
      "BUN_OPTIONS",
    ]],
    ["empty values, which do nothing", { BUN_INSPECT: "", BUN_OPTIONS: undefined }, []],
    ["other cases, which are other variables", { bun_inspect: "1", XBUN_OPTIONS: "1" }, []],
  ];
  test.each(cases)("finds %s", (_name, env, faults) => {
    expect(environmentFaults(env)).toEqual(faults);
  });
  test("was tried on every case", () => expect(cases).toHaveLength(6));
});

describe("a script", () => {
  test("is no executable and refuses nothing", () => {
    expect(isExecutable()).toBe(false);
    expect(refusalToStart({ BUN_INSPECT: "127.0.0.1:0", BUN_OPTIONS: "--smol" })).toBeUndefined();
  });
});

// Made by Bun, on whatever runtime the test runs: only Bun can compile without a download.
describe("an executable", () => {
  let folder = "";
  let executable = "";

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "netwall-hardening-"));
    executable = join(folder, "program");
    const source = join(folder, "program.ts");
    const hardening = join(import.meta.dirname!, "../../lib/runtime/hardening.ts");
    writeFileSync(
      source,
      `import { isExecutable, refusalToStart } from ${JSON.stringify(hardening)};
import process from "node:process";
const refusal = refusalToStart();
process.stdout.write(JSON.stringify({ isExecutable: isExecutable(), refusal }));
process.exit(refusal === undefined ? 0 : 2);`,
    );
    const autoload = ["--no-compile-autoload-dotenv", "--no-compile-autoload-bunfig"];
    const bundle = join(folder, "program.js");
    execFileSync(bunBinary(), ["build", "--target=node", `--outfile=${bundle}`, source], {
      stdio: "pipe",
    });
    const flags = [
      "build",
      "--compile",
      "--bytecode",
      "--format=esm",
      ...autoload,
      `--outfile=${executable}`,
    ];
    execFileSync(bunBinary(), [...flags, bundle], { stdio: "pipe", cwd: folder });
  });

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test("starts in a plain environment", () => {
    const { status, stdout } = spawnSync(executable, { env: { PATH: "/bin" }, encoding: "utf8" });
    expect(JSON.parse(stdout)).toEqual({ isExecutable: true });
    expect(status).toBe(0);
  });

  // Values with which the program gets as far as its first line; with others Bun takes over before that.
  const refused: [string, string][] = [
    ["BUN_INSPECT", "127.0.0.1:0"],
    ["BUN_INSPECT_NOTIFY", "unix:///nowhere"],
    ["BUN_OPTIONS", "--smol"],
    ["BUN_BE_BUN", "0"],
  ];
  for (const [name, value] of refused) {
    test(`refuses to start with ${name}`, () => {
      const { status, stdout } = spawnSync(executable, {
        env: { PATH: "/bin", [name]: value },
        encoding: "utf8",
      });
      expect(status).toBe(2);
      const { refusal } = JSON.parse(stdout);
      expect(refusal).toMatch(
        new RegExp(`^Cannot start: ${name} would open this process to others, unset it`),
      );
      expect(refusal.includes(value)).toBe(false);
    });
  }
});
