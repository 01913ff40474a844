/**
 * Tests of two sockets of one process that are joined: bytes, ends and resets pass, and a slow one holds back the other.
 *
 * @module
 */
import { afterEach, describe, expect, test } from "bun:test";
import { joinSockets } from "../../lib/tcp/join.ts";
import { pattern } from "../e2e/tcp_wall.ts";
import { type Line, Lines } from "../runtime/socket_ends.ts";
import { settle, until } from "../support/session_pair.ts";
import { FakeSocket } from "./fake_socket.ts";

const lines = new Lines();
afterEach(() => lines.close());

const NO_BYTES = new Uint8Array(0);

async function joined(first: Uint8Array = NO_BYTES): Promise<[Line, Line]> {
  const [a, b] = [await lines.accepted(), await lines.dialled()];
  joinSockets(a.near, b.near, first);
  return [a, b];
}

describe("joinSockets()", () => {
  test("carries what was read before, bytes both ways, and each end by itself", async () => {
    const [a, b] = await joined(Buffer.from("first "));
    a.far.write("second");
    expect(String(await b.far.take(12))).toBe("first second");
    a.far.end();
    expect(await b.far.gone()).toBe("end");
    expect(a.far.ended).toBe(false);
    b.far.write("answer").end();
    expect(String(await a.far.rest())).toBe("answer");
    expect([await a.far.gone(), await b.far.gone()]).toEqual(["end", "end"]);
  });

  for (const at of [0, 1] as const) {
    test(`what breaks side ${at} breaks the other`, async () => {
      const both = await joined();
      both[at].far.write("part");
      await both[1 - at]!.far.take(4);
      both[at].far.reset();
      expect(await both[1 - at]!.far.gone()).toBe("ECONNRESET");
      expect(both[1 - at]!.far.ended).toBe(false);
    });

    test(`side ${at} that reads slowly holds back the other, and loses nothing`, async () => {
      const both = await joined();
      const [slow, fast] = [both[at].far, both[1 - at]!.far];
      slow.socket.pause();
      const sent = pattern(24 << 20);
      fast.write(sent).end();
      await new Promise((resolve) => setTimeout(resolve, 80));
      expect(fast.socket.writableLength).toBeGreaterThan(0);
      slow.socket.resume();
      const got = await slow.rest();
      expect(got.equals(sent)).toBe(true);
    });
  }

  test("pauses the one that sends as soon as the other waits, and reads it on after", () => {
    const [a, b] = [new FakeSocket(), new FakeSocket()];
    joinSockets(a.asSocket, b.asSocket, NO_BYTES);
    b.stalled = true;
    a.feed(1_000);
    expect([a.paused, b.paused, b.waitingBytes]).toEqual([true, false, 1_000]);
    b.feed(10);
    expect([a.takenBytes, b.paused]).toEqual([10, false]);
    // The chunk of the fake was overwritten after the call.
    b.take();
    expect([b.takenBytes, b.sound, a.paused]).toEqual([1_000, true, false]);
  });

  test("one that is gone already takes the other down", async () => {
    for (const at of [0, 1]) {
      const both = [new FakeSocket(), new FakeSocket()];
      both[at]!.break();
      await settle(2);
      joinSockets(both[0]!.asSocket, both[1]!.asSocket, NO_BYTES);
      await until(() => both[1 - at]!.closed, "the other to be reset");
      expect(both[1 - at]!.resets).toBe(1);
    }
  });

  test("a close without an end is no end", async () => {
    const [a, b] = [new FakeSocket(), new FakeSocket()];
    joinSockets(a.asSocket, b.asSocket, NO_BYTES);
    a.feedEnd();
    expect(b.ended).toBe(true);
    b.reset();
    await until(() => a.closed, "the other to be reset");
    expect([a.resets, a.ended]).toEqual([1, false]);
  });
});
