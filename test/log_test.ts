/**
 * The log: both formats, levels, children, bounds, and that no stranger can forge a line.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Secret } from "../lib/config/secret.ts";
import {
  createLogger,
  LOG_BURST_MAX,
  LOG_FIELDS_MAX,
  LOG_REPEATS_PER_SECOND_MAX,
  LOG_VALUE_CHARS_MAX,
  type Logger,
  type LoggerOptions,
} from "../lib/log.ts";
import { printable, quoted } from "../lib/printable.ts";

const NOW_MS = Date.UTC(2026, 0, 2, 3, 4, 5, 6);

function capture(options: Partial<LoggerOptions> = {}): { log: Logger; lines: string[] } {
  const lines: string[] = [];
  const log = createLogger({
    write: (line) => lines.push(line),
    isTerminal: false,
    level: "debug",
    format: "auto",
    nowMs: () => NOW_MS,
    noColor: false,
    ...options,
  });
  return { log, lines };
}

describe("JSON lines", () => {
  test("hold time, level, message and fields", () => {
    const { log, lines } = capture();
    log.warn("Link lost", {
      agent: "web-1",
      retryMs: 200,
      clean: false,
      code: null,
      none: undefined,
      list: [1, "a"],
    });
    expect(lines).toEqual([
      '{"time":"2026-01-02T03:04:05.006Z","level":"warn","message":"Link lost","agent":"web-1","retryMs":200,' +
      '"clean":false,"code":null,"list":[1,"a"]}\n',
    ]);
  });
  test("keep their own names from fields that are called alike", () => {
    const { log, lines } = capture();
    log.info("real", { level: "error", message: "forged", time: 1, toString: "x" });
    expect(JSON.parse(lines[0] ?? "")).toMatchObject({
      level: "info",
      message: "real",
      _level: "error",
      _message: "forged",
    });
  });
  test("take any value, and never throw", () => {
    const { log, lines } = capture();
    const circle: Record<string, unknown> = {};
    circle["self"] = circle;
    const hostile = {
      get x(): never {
        throw new Error("no");
      },
    };
    const cause = new Error("inner\n");
    log.error("odd", {
      circle,
      hostile,
      big: 10n,
      nan: NaN,
      symbol: Symbol("s"),
      call: () => 1,
      error: new TypeError("outer", { cause }),
      secret: new Secret("hunter2"),
      nested: { secret: new Secret("hunter2") },
    });
    expect(JSON.parse(lines[0] ?? "")).toMatchObject({
      circle: "unreadable",
      hostile: "unreadable",
      big: "10",
      nan: "NaN",
      symbol: "Symbol(s)",
      error: "TypeError: outer, caused by Error: inner\n",
      secret: "masked",
      nested: { secret: "masked" },
    });
    expect(lines.join("")).not.toContain("hunter2");
  });
  test("are bounded", () => {
    const { log, lines } = capture();
    const fields = Object.fromEntries(
      Array.from({ length: 1000 }, (_, index) => [`f${index}`, "x".repeat(1 << 20)]),
    );
    log.info("y".repeat(1 << 20), fields);
    expect(lines[0]?.length).toBeLessThan((LOG_FIELDS_MAX + 1) * (LOG_VALUE_CHARS_MAX + 20) + 100);
    log.info("deep", { list: Array(100_000).fill("x") });
    expect(lines[1]?.length).toBeLessThan(2 * LOG_VALUE_CHARS_MAX + 200);
    const self = new Error("loop");
    self.cause = self;
    log.info("causes", { self });
    expect(lines[2]?.match(/loop/g)).toHaveLength(4);
  });
});

describe("lines for people", () => {
  test("are written on a terminal, without colours when they are unwanted", () => {
    const { log, lines } = capture({ isTerminal: true, noColor: true });
    log.info("Link open", { agent: "web-1", note: 'a "b"', empty: "", sum: "a=b", n: 1, list: [1] });
    expect(lines).toEqual([
      '2026-01-02T03:04:05.006Z INFO  Link open agent=web-1 note="a \\"b\\"" empty="" sum="a=b" n=1 list=[1]\n',
    ]);
  });
  test("have colours on a terminal alone", () => {
    const coloured = capture({ isTerminal: true });
    coloured.log.error("x");
    expect(coloured.lines[0]).toContain("\x1b[31mERROR\x1b[0m");
    const piped = capture({ isTerminal: false, format: "line" });
    piped.log.error("x");
    expect(piped.lines).toEqual(["2026-01-02T03:04:05.006Z ERROR x\n"]);
  });
  test("a format that is named wins over the terminal", () => {
    const { log, lines } = capture({ isTerminal: true, format: "json" });
    log.info("x");
    expect(lines[0]).toMatch(/^\{/);
  });
});

test("levels below the least are not written", () => {
  const { log, lines } = capture({ level: "warn" });
  log.debug("a");
  log.info("b");
  log.child({ x: 1 }).info("c");
  log.warn("d");
  log.error("e");
  expect(lines.map((line) => JSON.parse(line).message)).toEqual(["d", "e"]);
});

describe("a flood of lines", () => {
  /** The lines of a message, and how many are said to be left out. */
  function count(lines: readonly string[], message: string): { written: number; leftOut: number } {
    const own = lines.map((line) => JSON.parse(line)).filter((line) => line.message === message);
    const told = own.filter((line) => line.leftOut !== undefined);
    return {
      written: own.length - told.length,
      leftOut: told.reduce((sum, line) => sum + line.leftOut, 0),
    };
  }

  /** Waits until a log has told of so many lines that it left out. */
  async function untilLeftOut(lines: readonly string[], message: string, expected: number): Promise<void> {
    const endMs = performance.now() + 15_000;
    while (count(lines, message).leftOut < expected) {
      if (performance.now() > endMs) throw new Error(`Not told: ${JSON.stringify(count(lines, message))}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  test("of one warning becomes a bounded number, and one line that counts the rest", async () => {
    const { log, lines } = capture();
    for (let i = 0; i < 20_000; i++) log.warn("connection failed", { source: `192.0.2.${i % 256}`, i });
    expect(lines).toHaveLength(LOG_BURST_MAX);
    expect(JSON.parse(lines.at(-1)!)).toMatchObject({ message: "connection failed", i: LOG_BURST_MAX - 1 });
    await untilLeftOut(lines, "connection failed", 20_000 - LOG_BURST_MAX);
    expect(lines).toHaveLength(LOG_BURST_MAX + 1);
    expect(JSON.parse(lines.at(-1)!)).toEqual({
      ...{ time: "2026-01-02T03:04:05.006Z", level: "warn", message: "connection failed" },
      leftOut: 20_000 - LOG_BURST_MAX,
    });
    // What comes after the second has passed is written again, and not without bound.
    for (let i = 0; i < 5_000; i++) log.warn("connection failed", { i });
    const more = lines.length - LOG_BURST_MAX - 1;
    expect(more).toBeGreaterThanOrEqual(LOG_REPEATS_PER_SECOND_MAX);
    expect(more).toBeLessThanOrEqual(LOG_BURST_MAX);
    await untilLeftOut(lines, "connection failed", 25_000 - LOG_BURST_MAX - more);
    // No line is lost without being counted.
    const { written, leftOut } = count(lines, "connection failed");
    expect(written + leftOut).toBe(25_000);
  }, 30_000);

  test("of errors too is bounded, and people are told as well as machines", async () => {
    const { log, lines } = capture({ format: "line" });
    for (let i = 0; i < 1_000; i++) log.error("fault", { error: new Error("x") });
    expect(lines).toHaveLength(LOG_BURST_MAX);
    const endMs = performance.now() + 15_000;
    while (lines.length === LOG_BURST_MAX && performance.now() < endMs) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    expect(lines).toHaveLength(LOG_BURST_MAX + 1);
    expect(lines.at(-1)).toContain(`fault leftOut=${1_000 - LOG_BURST_MAX}\n`);
  }, 30_000);

  test("hides no other message, whoever writes it", () => {
    const { log, lines } = capture();
    const noisy = log.child({ agent: "noisy" });
    for (let i = 0; i < 5_000; i++) {
      noisy.warn("not answered", { i });
      if (i % 100 === 0) log.error("fault", { i });
      if (i === 4_000) log.warn("refused", { peer: "192.0.2.1" });
    }
    expect(count(lines, "not answered").written).toBe(LOG_BURST_MAX);
    expect(count(lines, "fault").written).toBe(50);
    expect(count(lines, "refused").written).toBe(1);
    // A child is the same log: it brings no share of its own.
    for (let i = 0; i < 50; i++) log.child({ i }).warn("not answered");
    expect(count(lines, "not answered").written).toBe(LOG_BURST_MAX);
  });

  test("of what tells of one event each is written whole", () => {
    const { log, lines } = capture();
    for (let i = 0; i < 5_000; i++) {
      log.info("request", { i });
      log.debug("connection cut off", { i });
    }
    expect([count(lines, "request").written, count(lines, "connection cut off").written]).toEqual([
      5_000,
      5_000,
    ]);
  });

  test("that is below the least level leaves nothing, and takes nothing from another log", async () => {
    const quiet = capture({ level: "error" });
    const loud = capture();
    for (let i = 0; i < 1_000; i++) quiet.log.warn("refused");
    loud.log.warn("refused");
    // When the loud one has told of what it left out, the quiet one has had its second too.
    for (let i = 0; i < 1_000; i++) loud.log.error("flood");
    await untilLeftOut(loud.lines, "flood", 900);
    expect([quiet.lines, count(loud.lines, "refused").written]).toEqual([[], 1]);
  }, 30_000);
});

test("a child adds its fields, and those of the call win", () => {
  const { log, lines } = capture();
  log.child({ a: 1, b: 1 }).child({ b: 2 }).info("x", { c: 3, a: 9 });
  log.info("parent");
  expect(JSON.parse(lines[0] ?? "")).toMatchObject({ a: 9, b: 2, c: 3 });
  expect(Object.keys(JSON.parse(lines[1] ?? ""))).toEqual(["time", "level", "message"]);
});

test("NO_COLOR of the environment counts when the caller says nothing", () => {
  const before = process.env["NO_COLOR"];
  const lineWith = (value: string): string => {
    process.env["NO_COLOR"] = value;
    const lines: string[] = [];
    createLogger({ write: (line) => lines.push(line), isTerminal: true, level: "info", format: "line" }).info(
      "x",
    );
    return lines.join("");
  };
  try {
    expect(lineWith("1")).not.toContain("\x1b[");
    expect(lineWith("")).toContain("\x1b[");
  } finally {
    if (before === undefined) delete process.env["NO_COLOR"];
    else process.env["NO_COLOR"] = before;
  }
});

test("no message and no field, name or value, puts a raw control character or a second line into the log", () => {
  // deno-lint-ignore no-control-regex
  const raw = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/;
  const nasty = fc.array(
    fc.constantFrom(
      "\n",
      "\r",
      "\x1b[2J",
      "\x9b",
      "\x7f",
      "\0",
      "\u2028",
      "\u202e",
      "\ud800",
      '"',
      "\\",
      "=",
      "a",
      "\ufeff",
    ),
    { maxLength: 12 },
  ).map((parts) => parts.join(""));
  let checked = 0;
  fc.assert(fc.property(nasty, nasty, nasty, (message, name, value) => {
    for (const format of ["line", "json"] as const) {
      const { log, lines } = capture({ format });
      log.info(message, { [name]: value, nested: { [name]: value }, error: new Error(value) });
      const line = lines[0] ?? "";
      expect(lines).toHaveLength(1);
      expect(line.indexOf("\n")).toBe(line.length - 1);
      expect(raw.test(line)).toBe(false);
      if (format === "json") expect(JSON.parse(line).message).toBe(message.toWellFormed());
      checked += 1;
    }
  }));
  expect(checked).toBe(200);
});

test("printable() and quoted() show what they hide", () => {
  expect(printable("a\nb\t\r\x1b\u202e")).toBe("a\\nb\\t\\r\\u001b\\u202e");
  expect(quoted("abcdef", 3)).toBe('"abc…"');
  expect(quoted("abc")).toBe('"abc"');
});
