/**
 * The link in memory: the contract, and what it can do to a test's bytes.
 *
 * @module
 */

import { describe, expect, test } from "bun:test";
import { type MemoryLinkOptions, memoryLinkPair } from "../../lib/link/memory.ts";
import { type LinkPair, pattern, Recorder, runLinkContract, sameBytes } from "../contract/link.ts";

function make(options: MemoryLinkOptions, reversed: boolean): () => Promise<LinkPair> {
  return () => {
    const ends = memoryLinkPair(options);
    const [sender, receiver] = reversed ? [ends[1], ends[0]] : ends;
    return Promise.resolve({
      sender,
      receiver,
      stall: () => sender.stall(),
      resume: () => sender.resume(),
      dispose: () => {},
    });
  };
}

runLinkContract("memory", make({}, false));
runLinkContract("memory with delay, reversed", make({ latencyMs: 2 }, true));
runLinkContract("memory in pieces of 1000 bytes", make({ chunkBytes: 1_000 }, false));

describe("memoryLinkPair()", () => {
  test("delivers byte by byte when chunkBytes is 1", async () => {
    const [first, second] = memoryLinkPair({ chunkBytes: 1 });
    const heard = new Recorder(second).start();
    first.send(pattern(300, 1));
    await heard.until(({ bytes }) => bytes === 300);
    expect(heard.chunks.length).toBe(300);
    expect(sameBytes(heard.content(), pattern(300, 1))).toBe(true);
  });

  test("joins and cuts messages anew, in order", async () => {
    const [first, second] = memoryLinkPair({ chunkBytes: 7 });
    const heard = new Recorder(second).start();
    for (let index = 0; index < 10; index++) first.send(pattern(3, index));
    first.close("done");
    await heard.closed();
    expect(heard.chunks.map((chunk) => chunk.byteLength)).toEqual([7, 7, 7, 7, 2]);
  });

  test("cuts after every possible number of bytes, exactly", async () => {
    let cases = 0;
    for (let cutAfterBytes = 0; cutAfterBytes <= 30; cutAfterBytes++) {
      const [first, second] = memoryLinkPair({ cutAfterBytes });
      const [left, right] = [new Recorder(first).start(), new Recorder(second).start()];
      first.send(pattern(10, 1));
      first.send(pattern(21, 2));
      second.send(pattern(0, 0));
      const reasons = await Promise.all([left.closed(), right.closed()]);
      expect(reasons.map(({ clean }) => clean)).toEqual([false, false]);
      expect(left.bytes + right.bytes).toBe(cutAfterBytes);
      expect(left.late + right.late).toBe(0);
      cases++;
    }
    expect(cases).toBe(31);
  });

  test("counts both directions up to the cut", async () => {
    const [first, second] = memoryLinkPair({ cutAfterBytes: 15 });
    const [left, right] = [new Recorder(first).start(), new Recorder(second).start()];
    first.send(pattern(10, 1));
    await right.until(({ bytes }) => bytes === 10);
    second.send(pattern(10, 2));
    await left.closed();
    expect([left.bytes, right.bytes]).toEqual([5, 10]);
  });

  test("takes its delay from the clock it is given", async () => {
    const due: { callback: () => void; ms: number }[] = [];
    const clock = {
      setTimeout: (callback: () => void, ms: number) => due.push({ callback, ms }),
      clearTimeout: () => {},
    };
    const [first, second] = memoryLinkPair({ latencyMs: 5_000, clock });
    const heard = new Recorder(second).start();
    first.send(pattern(4, 1));
    while (due.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    expect(due.map(({ ms }) => ms)).toEqual([5_000]);
    expect(heard.bytes).toBe(0);
    due[0]!.callback();
    expect(heard.bytes).toBe(4);
  });

  test("keeps the order of what was under way when the path stalled", async () => {
    const [first, second] = memoryLinkPair({ latencyMs: 60 });
    const heard = new Recorder(second).start();
    first.send(pattern(5, 1));
    await new Promise((resolve) => setTimeout(resolve, 1));
    first.send(pattern(5, 2));
    await new Promise((resolve) => setTimeout(resolve, 1));
    first.stall();
    first.send(pattern(5, 3));
    await new Promise((resolve) => setTimeout(resolve, 120));
    expect(heard.bytes).toBe(0);
    first.resume();
    first.send(pattern(5, 4));
    await heard.until(({ bytes }) => bytes === 20);
    expect(sameBytes(heard.content(), Buffer.concat([1, 2, 3, 4].map((seed) => pattern(5, seed))))).toBe(
      true,
    );
  });

  test("refuses options that make no sense", () => {
    const bad: MemoryLinkOptions[] = [{ chunkBytes: 0 }, { chunkBytes: -1 }, { chunkBytes: NaN }, {
      cutAfterBytes: -1,
    }];
    for (const options of bad) expect(() => memoryLinkPair(options)).toThrow("or more");
    expect(bad.length).toBe(4);
  });
});
