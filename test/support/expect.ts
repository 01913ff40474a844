/**
 * `expect` of `bun:test` over `node:assert`, for Deno: the matchers that netwall's tests use and no others.
 *
 * @module
 */
import assert, { AssertionError } from "node:assert";
import { inspect, isDeepStrictEqual } from "node:util";

/** An error class, part of a message, a pattern, or an error with the same message. */
// deno-lint-ignore no-explicit-any -- any class will do, whatever its constructor takes
export type Thrown = string | RegExp | Error | (new (...args: any[]) => unknown);

/** What can be said of a value. */
export interface Matchers<Result = void> {
  readonly not: Matchers<Result>;
  toBe(expected: unknown): Result;
  toEqual(expected: unknown): Result;
  toStrictEqual(expected: unknown): Result;
  toMatchObject(expected: unknown): Result;
  toMatch(expected: string | RegExp): Result;
  toContain(expected: unknown): Result;
  toThrow(expected?: Thrown): Result;
  toBeGreaterThan(expected: number | bigint): Result;
  toBeGreaterThanOrEqual(expected: number | bigint): Result;
  toBeLessThan(expected: number | bigint): Result;
  toBeLessThanOrEqual(expected: number | bigint): Result;
  toBeUndefined(): Result;
  toBeDefined(): Result;
  toBeNull(): Result;
  toBeTruthy(): Result;
  toBeFalsy(): Result;
  // deno-lint-ignore no-explicit-any -- any class will do, whatever its constructor takes
  toBeInstanceOf(expected: abstract new (...args: any[]) => unknown): Result;
  toHaveLength(expected: number): Result;
}

/** Matchers of the value itself, and of what its promise gives. */
export interface Expectation extends Matchers {
  readonly resolves: Matchers<Promise<void>>;
  readonly rejects: Matchers<Promise<void>>;
}

const show = (value: unknown): string => inspect(value, { depth: 6, breakLength: 100, maxArrayLength: 50 });

const isPlain = (value: object): boolean =>
  !(value instanceof Error || value instanceof Date || value instanceof RegExp || value instanceof URL);

/**
 * A copy in which only what `toEqual` looks at is left: no undefined properties, classes or prototypes.
 *
 * @param seen Copies so far, so that a value that holds itself ends.
 */
function loosen(value: unknown, seen: Map<object, unknown>): unknown {
  if (typeof value !== "object" || value === null || !isPlain(value)) return value;
  if (ArrayBuffer.isView(value)) return Buffer.isBuffer(value) ? new Uint8Array(value) : value;
  if (value instanceof ArrayBuffer) return value;
  const known = seen.get(value);
  if (known !== undefined) return known;
  if (Array.isArray(value)) {
    const copy: unknown[] = [];
    seen.set(value, copy);
    for (const cell of Array.from(value)) copy.push(loosen(cell, seen));
    // Bun takes [1, undefined] and [1] for equal.
    while (copy.length > 0 && copy.at(-1) === undefined) copy.pop();
    return copy;
  }
  if (value instanceof Map) {
    const copy = new Map<unknown, unknown>();
    seen.set(value, copy);
    for (const [key, held] of value) copy.set(loosen(key, seen), loosen(held, seen));
    return copy;
  }
  if (value instanceof Set) {
    const copy = new Set<unknown>();
    seen.set(value, copy);
    for (const held of value) copy.add(loosen(held, seen));
    return copy;
  }
  const copy: Record<PropertyKey, unknown> = {};
  seen.set(value, copy);
  for (const key of Reflect.ownKeys(value)) {
    const property = Object.getOwnPropertyDescriptor(value, key);
    if (!property?.enumerable) continue;
    const held: unknown = Reflect.get(value, key);
    if (held !== undefined) {
      Reflect.defineProperty(copy, key, { value: loosen(held, seen), enumerable: true });
    }
  }
  return copy;
}

const looselyEqual = (a: unknown, b: unknown): boolean =>
  isDeepStrictEqual(loosen(a, new Map()), loosen(b, new Map()));

/** For `toStrictEqual`: like `node:assert`, but a Buffer is its bytes and a null prototype is none, as in Bun. */
function strictly(value: unknown): unknown {
  if (Buffer.isBuffer(value)) return new Uint8Array(value);
  if (typeof value !== "object" || value === null || Object.getPrototypeOf(value) !== null) return value;
  return { ...value };
}

/** True when every property of `expected` is in `actual`; arrays must be as long. */
function holds(actual: unknown, expected: unknown): boolean {
  if (
    typeof expected !== "object" || expected === null || !isPlain(expected) || ArrayBuffer.isView(expected)
  ) {
    return looselyEqual(actual, expected);
  }
  if (typeof actual !== "object" || actual === null) return false;
  if (expected instanceof Map || expected instanceof Set) return looselyEqual(actual, expected);
  if (Array.isArray(expected) && (!Array.isArray(actual) || actual.length !== expected.length)) return false;
  return Reflect.ownKeys(expected).every((key) =>
    key in actual ? holds(Reflect.get(actual, key), Reflect.get(expected, key)) : false
  );
}

function contains(actual: unknown, expected: unknown): boolean {
  if (typeof actual === "string") return typeof expected === "string" && actual.includes(expected);
  const iterable = actual as Iterable<unknown>;
  if (typeof iterable?.[Symbol.iterator] !== "function") {
    throw new AssertionError({
      message: `Cannot look inside ${show(actual)}: it is not a string or iterable`,
    });
  }
  return Array.from(iterable).includes(expected);
}

/** Whether what was thrown is what was expected. */
function isThrown(error: unknown, expected: Thrown | undefined): boolean {
  if (expected === undefined) return true;
  const message = error instanceof Error ? error.message : String(error);
  if (typeof expected === "string") return message.includes(expected);
  if (expected instanceof RegExp) return expected.test(message);
  if (expected instanceof Error) return message === expected.message;
  return error instanceof expected;
}

/** Calls what was given and says what it threw; a promise it gave is awaited by nobody, as in Bun's sync form. */
function thrownBy(actual: unknown): { readonly error: unknown } | undefined {
  if (typeof actual !== "function") {
    throw new AssertionError({ message: `Cannot check what is thrown: ${show(actual)} is not a function` });
  }
  try {
    const result: unknown = actual();
    // An async function never throws at the call: passing it here without "rejects" would pass or fail by accident.
    if (!(result instanceof Promise)) return undefined;
    result.catch(() => {});
  } catch (error) {
    return { error };
  }
  throw new AssertionError({
    message: "toThrow() got a function that gives a promise: use rejects.toThrow()",
  });
}

/** Fails with both values, and with a difference where there is one to show. */
function fail(verb: string, actual: unknown, negated: boolean, expected: readonly unknown[]): never {
  const not = negated ? "not." : "";
  const against = expected.length === 0 ? "" : `\n  expected: ${show(expected[0])}`;
  throw new AssertionError({
    message: `expect(received).${not}${verb}()\n  received: ${show(actual)}${against}`,
    actual,
    expected: expected[0],
    operator: verb,
  });
}

type Compare = (actual: never, expected: never) => boolean;

/** Each matcher as a question with the answer yes or no. */
const COMPARISONS: Record<Exclude<keyof Matchers, "not" | "toThrow">, Compare> = {
  toBe: (actual: unknown, expected: unknown) => Object.is(actual, expected),
  toEqual: looselyEqual,
  toStrictEqual: (actual: unknown, expected: unknown) =>
    isDeepStrictEqual(strictly(actual), strictly(expected)),
  toMatchObject: holds,
  toMatch: (actual: string, expected: string | RegExp) =>
    typeof expected === "string" ? actual.includes(expected) : new RegExp(expected).test(actual),
  toContain: contains,
  toBeGreaterThan: (actual: number, expected: number) => actual > expected,
  toBeGreaterThanOrEqual: (actual: number, expected: number) => actual >= expected,
  toBeLessThan: (actual: number, expected: number) => actual < expected,
  toBeLessThanOrEqual: (actual: number, expected: number) => actual <= expected,
  toBeUndefined: (actual: unknown) => actual === undefined,
  toBeDefined: (actual: unknown) => actual !== undefined,
  toBeNull: (actual: unknown) => actual === null,
  toBeTruthy: (actual: unknown) => Boolean(actual),
  toBeFalsy: (actual: unknown) => !actual,
  toBeInstanceOf: (actual: unknown, expected: new () => unknown) => actual instanceof expected,
  toHaveLength: (actual: { length: number }, expected: number) => actual?.length === expected,
};

/** Matchers whose arguments must be numbers: NaN and undefined would compare as false without a word. */
const NUMERIC: ReadonlySet<string> = new Set([
  "toBeGreaterThan",
  "toBeGreaterThanOrEqual",
  "toBeLessThan",
  "toBeLessThanOrEqual",
]);

function check(
  verb: string,
  compare: Compare,
  actual: unknown,
  negated: boolean,
  expected: readonly unknown[],
): void {
  if (NUMERIC.has(verb)) {
    for (const value of [actual, expected[0]]) {
      if (typeof value !== "number" && typeof value !== "bigint") {
        throw new AssertionError({ message: `${verb}() compares numbers: got ${show(value)}` });
      }
    }
  }
  if (verb === "toMatch" && typeof actual !== "string") {
    throw new AssertionError({ message: `toMatch() compares text: got ${show(actual)}` });
  }
  const passed = compare(actual as never, expected[0] as never);
  if (passed !== negated) return;
  if (!negated && verb === "toEqual") {
    // The difference line by line is the useful message for a large value.
    assert.deepStrictEqual(loosen(actual, new Map()), loosen(expected[0], new Map()));
  }
  fail(verb, actual, negated, expected);
}

function checkThrown(
  thrown: { readonly error: unknown } | undefined,
  negated: boolean,
  expected: readonly unknown[],
): void {
  const passed = thrown !== undefined && isThrown(thrown.error, expected[0] as Thrown | undefined);
  if (passed === negated) {
    fail("toThrow", thrown === undefined ? "nothing was thrown" : thrown.error, negated, expected);
  }
}

function matchers(actual: unknown, negated: boolean): Matchers {
  const made: Record<string, unknown> = {
    toThrow: (...expected: unknown[]) => checkThrown(thrownBy(actual), negated, expected),
  };
  for (const [verb, compare] of Object.entries(COMPARISONS)) {
    made[verb] = (...expected: unknown[]) => check(verb, compare, actual, negated, expected);
  }
  if (!negated) Object.defineProperty(made, "not", { get: () => matchers(actual, true) });
  return made as unknown as Matchers;
}

/** Waits for a promise to settle as `wanted`, then compares what it settled with. */
function settled(given: unknown, wanted: "resolves" | "rejects", negated: boolean): Matchers<Promise<void>> {
  const settle = async (): Promise<unknown> => {
    const [outcome] = await Promise.allSettled([typeof given === "function" ? given() : given]);
    if (wanted === "resolves") {
      if (outcome.status === "fulfilled") return outcome.value;
      throw new AssertionError({
        message: `Promise was to resolve but rejected with ${show(outcome.reason)}`,
      });
    }
    if (outcome.status === "rejected") return outcome.reason;
    throw new AssertionError({ message: `Promise was to reject but resolved with ${show(outcome.value)}` });
  };
  const made: Record<string, unknown> = {
    toThrow: async (...expected: unknown[]) => {
      const value = await settle();
      checkThrown(wanted === "rejects" ? { error: value } : undefined, negated, expected);
    },
  };
  for (const [verb, compare] of Object.entries(COMPARISONS)) {
    made[verb] = async (...expected: unknown[]) => check(verb, compare, await settle(), negated, expected);
  }
  if (!negated) Object.defineProperty(made, "not", { get: () => settled(given, wanted, true) });
  return made as unknown as Matchers<Promise<void>>;
}

/** Says something about a value, and throws when it is not so. */
export function expect(actual: unknown): Expectation {
  return Object.defineProperties(matchers(actual, false), {
    resolves: { get: () => settled(actual, "resolves", false) },
    rejects: { get: () => settled(actual, "rejects", false) },
  }) as Expectation;
}
