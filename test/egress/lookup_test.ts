/**
 * Look-ups: how many run, who waits, and what is left behind.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import { boundedLookup, lookupBySystem, LookupOverloadError } from "../../lib/egress/lookup.ts";

/** A resolver whose answers the test gives. */
function newResolver(): {
  asked: string[];
  answer: (host: string, addresses: string[]) => void;
  fail: (host: string, error: Error) => void;
  lookup: (host: string) => Promise<readonly string[]>;
} {
  const asked: string[] = [];
  const open = new Map<string, PromiseWithResolvers<readonly string[]>>();
  return {
    asked,
    answer: (host, addresses) => open.get(host)?.resolve(addresses),
    fail: (host, error) => open.get(host)?.reject(error),
    lookup: (host) => {
      asked.push(host);
      const question = Promise.withResolvers<readonly string[]>();
      open.set(host, question);
      return question.promise;
    },
  };
}

const never = new AbortController().signal;
/** Long enough for what follows from an answer, which takes turns of the event loop but no time. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const outcome = (promise: Promise<unknown>): Promise<unknown> => promise.catch((error: unknown) => error);

describe("boundedLookup()", () => {
  test("runs so many at once, in the order in which they came", async () => {
    const resolver = newResolver();
    const lookup = boundedLookup(resolver.lookup, { runningMax: 2, waitingMax: 10 });
    const answers = ["a", "b", "c", "d"].map((host) => outcome(lookup(host, never)));
    await turn();
    expect(resolver.asked).toEqual(["a", "b"]);
    resolver.answer("b", ["1.1.1.2"]);
    await turn();
    expect(resolver.asked).toEqual(["a", "b", "c"]);
    resolver.fail("a", new Error("no such name"));
    await turn();
    expect(resolver.asked).toEqual(["a", "b", "c", "d"]);
    resolver.answer("c", []);
    resolver.answer("d", ["1.1.1.4"]);
    expect(await Promise.all(answers)).toEqual([new Error("no such name"), ["1.1.1.2"], [], [
      "1.1.1.4",
    ]]);
  });

  test("asks once for a name that many want, and again when they have it", async () => {
    const resolver = newResolver();
    const lookup = boundedLookup(resolver.lookup);
    const answers = [1, 2, 3].map(() => lookup("a", never));
    resolver.answer("a", ["1.1.1.1"]);
    expect(await Promise.all(answers)).toEqual([["1.1.1.1"], ["1.1.1.1"], ["1.1.1.1"]]);
    expect(resolver.asked).toEqual(["a"]);
    const again = lookup("a", never);
    resolver.answer("a", ["2.2.2.2"]);
    expect(await again).toEqual(["2.2.2.2"]);
    expect(resolver.asked).toEqual(["a", "a"]);
  });

  test("refuses a name when too many wait, but not one that is asked for already", async () => {
    const resolver = newResolver();
    const lookup = boundedLookup(resolver.lookup, { runningMax: 1, waitingMax: 1 });
    const answers = [lookup("a", never), lookup("b", never)];
    expect(await outcome(lookup("c", never))).toBeInstanceOf(LookupOverloadError);
    const joined = [lookup("a", never), lookup("b", never)];
    resolver.answer("a", ["1.1.1.1"]);
    await turn();
    resolver.answer("b", ["1.1.1.2"]);
    expect(await Promise.all([...answers, ...joined])).toHaveLength(4);
    expect(resolver.asked).toEqual(["a", "b"]);
  });

  test("never asks for a name that everybody has left, and keeps the slot of one that runs", async () => {
    const resolver = newResolver();
    const lookup = boundedLookup(resolver.lookup, { runningMax: 1, waitingMax: 2 });
    const [leaver, other] = [new AbortController(), new AbortController()];
    const left = [lookup("a", leaver.signal), lookup("b", leaver.signal), lookup("c", leaver.signal)].map(
      outcome,
    );
    const stays = lookup("c", other.signal);
    leaver.abort(new Error("gone"));
    expect(await Promise.all(left)).toEqual([new Error("gone"), new Error("gone"), new Error("gone")]);
    // "a" holds its thread still: what comes waits, and only "b" made room.
    const next = lookup("d", never);
    expect(await outcome(lookup("e", never))).toBeInstanceOf(LookupOverloadError);
    await turn();
    expect(resolver.asked).toEqual(["a"]);
    resolver.fail("a", new Error("late"));
    await turn();
    resolver.answer("c", ["1.1.1.3"]);
    expect(await stays).toEqual(["1.1.1.3"]);
    await turn();
    resolver.answer("d", ["1.1.1.4"]);
    expect(await next).toEqual(["1.1.1.4"]);
    expect(resolver.asked).toEqual(["a", "c", "d"]);
  });

  test("asks nothing for one who has left before, and survives a resolver that throws at once", async () => {
    const resolver = newResolver();
    expect(await outcome(boundedLookup(resolver.lookup)("a", AbortSignal.abort(new Error("gone"))))).toEqual(
      new Error("gone"),
    );
    expect(resolver.asked).toEqual([]);
    const lookup = boundedLookup(() => {
      throw new Error("broken");
    }, { runningMax: 1, waitingMax: 0 });
    expect(await outcome(lookup("a", never))).toEqual(new Error("broken"));
    expect(await outcome(lookup("b", never))).toEqual(new Error("broken"));
  });
});

describe("lookupBySystem()", () => {
  test("gives addresses as text", async () => {
    const found = await lookupBySystem("localhost");
    expect(found.length).toBeGreaterThan(0);
    expect(found.filter((text) => text !== "127.0.0.1" && text !== "::1")).toEqual([]);
  });
});
