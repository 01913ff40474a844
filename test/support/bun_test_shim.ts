/**
 * The part of `bun:test` that netwall's tests use, over `node:test`, so that the same files run under Deno.
 *
 * Every test is registered flat, as "suite > name", and the hooks are run here: so both runners count the same
 * number of tests, and a hook that fails fails the tests it belongs to. Matchers follow Bun where Bun and
 * `node:assert` differ: `toEqual` takes no notice of undefined properties, classes and prototypes.
 *
 * @module
 */
import nodeTest from "node:test";
import { expect } from "./expect.ts";

export { expect };

/** What a test or a hook does. */
export type Body = () => unknown;

/** Milliseconds, or an object that holds them, as in Bun. */
export type Timeout = number | { timeout?: number };

/** A body that takes a row of a table. */
// deno-lint-ignore no-explicit-any -- the row type is the caller's, and Bun's own signature is as loose
type RowBody = (...row: any[]) => unknown;

/** Longer than any honest wait on a busy machine; `npm test` gives Bun the same. */
const TIMEOUT_MS = 20_000;

interface Suite {
  readonly parent: Suite | undefined;
  readonly path: readonly string[];
  readonly beforeAll: Body[];
  readonly afterAll: Body[];
  readonly beforeEach: Body[];
  readonly afterEach: Body[];
  /** Tests of this suite and of those within that have not ended: the last one runs `afterAll`. */
  remaining: number;
  /** What `beforeAll` gave: kept, so that it runs once and fails every test when it fails. */
  started: Promise<void> | undefined;
}

function newSuite(parent: Suite | undefined, path: readonly string[]): Suite {
  return {
    parent,
    path,
    beforeAll: [],
    afterAll: [],
    beforeEach: [],
    afterEach: [],
    remaining: 0,
    started: undefined,
  };
}

// One test file is one module graph under Deno, so this state is the file's own.
let current = newSuite(undefined, []);

/** From the outermost suite to the innermost. */
function lineage(suite: Suite): Suite[] {
  return suite.parent === undefined ? [suite] : [...lineage(suite.parent), suite];
}

async function runAll(bodies: readonly Body[]): Promise<void> {
  for (const body of bodies) await body();
}

/** Runs a body against a deadline, as a promise that never settles would hang the whole run. */
async function runTimed(body: Body, timeoutMs: number): Promise<void> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`Test timed out after ${timeoutMs} ms`)), timeoutMs);
  try {
    await Promise.race([(async () => await body())(), promise]);
  } finally {
    clearTimeout(timer);
  }
}

async function runTest(suite: Suite, body: Body, timeoutMs: number): Promise<void> {
  const suites = lineage(suite);
  const faults: unknown[] = [];
  const attempt = async (work: () => Promise<void>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      faults.push(error);
    }
  };
  await attempt(async () => {
    for (const each of suites) await (each.started ??= runAll(each.beforeAll));
    for (const each of suites) await runAll(each.beforeEach);
    await runTimed(body, timeoutMs);
  });
  for (const each of suites.toReversed()) {
    for (const hook of each.afterEach) await attempt(async () => void await hook());
    each.remaining -= 1;
    if (each.remaining > 0 || each.started === undefined) continue;
    for (const hook of each.afterAll) await attempt(async () => void await hook());
  }
  if (faults.length > 1) {
    throw new AggregateError(faults, faults.map((fault) => String(fault)).join("\n"));
  }
  if (faults.length === 1) throw faults[0];
}

function register(name: string, body: Body, timeout?: Timeout): void {
  const suite = current;
  for (const each of lineage(suite)) each.remaining += 1;
  const timeoutMs = typeof timeout === "number" ? timeout : timeout?.timeout ?? TIMEOUT_MS;
  nodeTest([...suite.path, name].join(" > "), () => runTest(suite, body, timeoutMs));
}

/** Registers a test that is reported as ignored and never run. */
function registerSkipped(name: string, _body?: Body, _timeout?: Timeout): void {
  nodeTest([...current.path, name].join(" > "), { skip: true }, () => {});
}

/** Fills `%s %d %i %f %j %o %p %#` from a row in order, and `$key` from its first cell. */
function rowName(name: string, row: readonly unknown[], index: number): string {
  let next = 0;
  const show = (value: unknown): string =>
    typeof value === "string" ? value : JSON.stringify(value) ?? String(value);
  const filled = name.replace(/%([sdifjop#%])/g, (_whole, kind: string) => {
    if (kind === "%") return "%";
    return kind === "#" ? String(index) : show(row[next++]);
  });
  const first = row[0];
  if (typeof first !== "object" || first === null) return filled;
  return filled.replace(
    /\$(\w+)/g,
    (whole, key: string) => key in first ? show(Reflect.get(first, key)) : whole,
  );
}

function each(table: readonly unknown[]): (name: string, body: RowBody, timeout?: Timeout) => void {
  return (name, body, timeout) => {
    for (const [index, cell] of table.entries()) {
      const row = Array.isArray(cell) ? cell : [cell];
      register(rowName(name, row, index), () => body(...row), timeout);
    }
  };
}

/** The callable part of `test`, with its variants. */
export interface TestFunction {
  (name: string, body: Body, timeout?: Timeout): void;
  skip(name: string, body?: Body, timeout?: Timeout): void;
  skipIf(condition: unknown): (name: string, body: Body, timeout?: Timeout) => void;
  each(table: readonly unknown[]): (name: string, body: RowBody, timeout?: Timeout) => void;
}

/** Registers a test. */
export const test: TestFunction = Object.assign(register, {
  skip: registerSkipped,
  skipIf: (condition: unknown) => condition ? registerSkipped : register,
  each,
});

/** The same as `test`. */
export const it: TestFunction = test;

/** Groups tests: its hooks hold for what is registered within. */
export function describe(name: string, body: () => void): void {
  const outer = current;
  current = newSuite(outer, [...outer.path, name]);
  try {
    body();
  } finally {
    current = outer;
  }
}

/** Runs once, before the first test of the suite. There is no deadline here: Bun's is for Bun. */
export function beforeAll(body: Body, _timeout?: Timeout): void {
  current.beforeAll.push(body);
}

/** Runs once, after the last test of the suite, also when tests failed. */
export function afterAll(body: Body): void {
  current.afterAll.push(body);
}

/** Runs before every test of the suite and of those within. */
export function beforeEach(body: Body): void {
  current.beforeEach.push(body);
}

/** Runs after every test of the suite and of those within, also when the test failed. */
export function afterEach(body: Body): void {
  current.afterEach.push(body);
}
