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
  LOG_FIELDS_MAX,
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
