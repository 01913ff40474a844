/**
 * Tests of running a program: what is printed where, and with which exit code it ends.
 *
 * @module
 */
import { expect, test } from "bun:test";
import process from "node:process";
import { z } from "zod";
import { runProgram } from "../../lib/cli/program.ts";

class Mendable extends Error {}

interface Outcome {
  code: number;
  out: string;
  err: string;
}

/** Runs a program of two commands and keeps what it prints. */
async function run(...argv: string[]): Promise<Outcome> {
  const outcome: Outcome = { code: -1, out: "", err: "" };
  const real = { out: process.stdout.write, err: process.stderr.write };
  const keep = (stream: "out" | "err") => (text: string | Uint8Array): boolean => {
    outcome[stream] += String(text);
    return true;
  };
  const work = {
    name: "work",
    summary: "Work",
    options: z.strictObject({ speed: z.string().optional().describe("How fast").meta({ metavar: "N" }) }),
    examples: ["tool work --speed 3"],
  };
  const rest = {
    ...work,
    name: "rest",
    summary: "Rest",
    options: z.strictObject({}),
    examples: ["tool rest"],
  };
  process.stdout.write = keep("out") as typeof process.stdout.write;
  process.stderr.write = keep("err") as typeof process.stderr.write;
  try {
    outcome.code = await runProgram({
      program: { name: "tool", summary: "A tool", commands: [work, rest], defaultCommand: work },
      version: "1.2.3 (here 4)",
      argv,
      commands: {
        work: (flags) => {
          const { speed } = flags;
          if (speed === "mend") throw new Mendable("Cannot work: mend it");
          if (speed === "bug") throw new TypeError("a wrong turn");
          if (speed === "odd") return Promise.reject("no error at all");
          process.stdout.write(`speed ${String(speed)}\n`);
          return Promise.resolve(0);
        },
        rest: () => Promise.resolve(3),
      },
      explain: (error) => error instanceof Mendable ? { message: error.message, code: 1 } : undefined,
    });
  } finally {
    process.stdout.write = real.out;
    process.stderr.write = real.err;
  }
  return outcome;
}

test("the default command and a named one run, and their code is the program's", async () => {
  expect(await run("--speed", "3")).toEqual({ code: 0, out: "speed 3\n", err: "" });
  expect(await run("work", "--speed=3")).toEqual({ code: 0, out: "speed 3\n", err: "" });
  expect(await run("rest")).toEqual({ code: 3, out: "", err: "" });
});

test("help and version go to standard output and end well, before anything else is looked at", async () => {
  expect(await run("--version")).toEqual({ code: 0, out: "tool 1.2.3 (here 4)\n", err: "" });
  const help = await run("--help");
  expect(help).toMatchObject({ code: 0, err: "" });
  expect(help.out).toContain("--speed");
  expect((await run("rest", "--help")).out).not.toContain("--speed");
  expect((await run("--help", "--no-such-flag")).code).toBe(0);
});

test("a wrong call is one message on standard error that names the help of its command", async () => {
  const cases: [string[], string][] = [
    [["--sped", "3"], "See tool --help\n"],
    [["nonsense"], "See tool --help\n"],
    [["rest", "--speed", "3"], "See tool rest --help\n"],
    [["--speed"], "See tool --help\n"],
  ];
  for (const [argv, end] of cases) {
    const { code, out, err } = await run(...argv);
    expect([argv, code, out]).toEqual([argv, 2, ""]);
    expect(err.startsWith("tool: ")).toBe(true);
    expect(err.endsWith(end)).toBe(true);
  }
  expect(cases).toHaveLength(4);
});

test("an error that can be mended has no stack, a bug has one", async () => {
  expect(await run("--speed", "mend")).toEqual({ code: 1, out: "", err: "tool: Cannot work: mend it\n" });
  const bug = await run("--speed", "bug");
  expect(bug).toMatchObject({ code: 1, out: "" });
  expect(bug.err).toMatch(/^tool: a bug: [^]*a wrong turn[^]*program_test/);
  expect((await run("--speed", "odd")).err).toBe("tool: a bug: no error at all\n");
});
