/**
 * What of several sends leaves in one write, in which order, and which buffers are used again.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import { Buffer } from "node:buffer";
import { Duplex } from "node:stream";
import { setImmediate } from "node:timers/promises";
import { BATCH_BYTES_MAX, FrameWriter, GATHER_BYTES_MIN, type Masking } from "../../lib/link/frame_writer.ts";
import { FrameReader, Opcode } from "../../lib/link/frames.ts";
import { pattern, sameBytes } from "../contract/link.ts";

/** A socket that remembers its writes, and confirms each when told to. */
class Pipe extends Duplex {
  readonly writes: Buffer[] = [];
  readonly memory: ArrayBufferLike[] = [];
  readonly #waiting: (() => void)[] = [];

  override _read(): void {}
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.writes.push(Buffer.from(chunk));
    this.memory.push(chunk.buffer);
    this.#waiting.push(done);
  }

  /** The system takes what was written, and all that follows from that. */
  async confirm(): Promise<void> {
    while (this.#waiting.length > 0) {
      for (const done of this.#waiting.splice(0)) done();
      await setImmediate();
    }
  }

  /** What a peer makes of all writes. */
  carried(wantsMask = false): Uint8Array {
    const chunks: Uint8Array[] = [];
    const sink = {
      onBytes: (chunk: Uint8Array) => void chunks.push(chunk),
      onPing: () => {},
      onGoodbye: () => {},
    };
    const reader = new FrameReader(sink, wantsMask, 1 << 20);
    for (const write of this.writes) reader.push(Buffer.from(write));
    return Buffer.concat(chunks);
  }
}

function open(masking: Masking = "none"): { pipe: Pipe; writer: FrameWriter; sent: () => number } {
  const pipe = new Pipe({ highWaterMark: 1 << 30 });
  let sent = 0;
  return { pipe, writer: new FrameWriter(pipe, masking, () => void (sent += 1)), sent: () => sent };
}

describe("FrameWriter", () => {
  test("sends what is short at once", () => {
    const { pipe, writer } = open();
    writer.binary(pattern(100, 1), false);
    expect(pipe.writes.length).toBe(1);
    expect(sameBytes(pipe.carried(), pattern(100, 1))).toBe(true);
  });

  test("gathers what is long until the turn is over, as one frame in one write", async () => {
    const { pipe, writer, sent } = open();
    const parts = [pattern(GATHER_BYTES_MIN, 1), pattern(70_000, 2), pattern(65_536, 3)];
    for (const part of parts) writer.binary(part, false);
    expect(pipe.writes.length).toBe(0);
    expect(writer.waitingBytes).toBe(GATHER_BYTES_MIN + 135_536);
    await setImmediate();
    await setImmediate();
    expect(pipe.writes.length).toBe(1);
    expect(sameBytes(pipe.carried(), Buffer.concat(parts))).toBe(true);
    await pipe.confirm();
    expect(sent()).toBe(1);
    expect(writer.waitingBytes).toBe(0);
  });

  test("sends a full batch before the turn is over, and keeps the order in pieces of any size", async () => {
    const { pipe, writer } = open();
    const sizes = [200_000, 10, 300_000, 20_000, 5, 1 << 20, GATHER_BYTES_MIN];
    const parts = sizes.map((size, index) => pattern(size, index));
    for (const part of parts) writer.binary(part, false);
    expect(pipe.writes.length).toBeGreaterThan(0);
    await setImmediate();
    await setImmediate();
    await pipe.confirm();
    expect(sameBytes(pipe.carried(), Buffer.concat(parts))).toBe(true);
    expect(Math.max(...pipe.writes.map(({ length }) => length))).toBeLessThanOrEqual(BATCH_BYTES_MAX + 10);
  });

  test("does not keep what it was given", async () => {
    const { pipe, writer } = open();
    const chunk = pattern(50_000, 1);
    writer.binary(chunk, false);
    chunk.fill(0);
    await setImmediate();
    await setImmediate();
    expect(sameBytes(pipe.carried(), pattern(50_000, 1))).toBe(true);
  });

  test("holds short bytes back when more comes, and sends short bytes behind long ones at once", () => {
    const { pipe, writer } = open();
    writer.binary(pattern(9, 1), true);
    expect(pipe.writes.length).toBe(0);
    writer.binary(pattern(40_000, 2), false);
    expect(pipe.writes.length).toBe(0);
    writer.binary(pattern(20, 3), false);
    expect(pipe.writes.length).toBe(1);
    const wanted = Buffer.concat([pattern(9, 1), pattern(40_000, 2), pattern(20, 3)]);
    expect(sameBytes(pipe.carried(), wanted)).toBe(true);
  });

  test("a control frame leaves behind what was gathered", async () => {
    const { pipe, writer } = open();
    writer.binary(pattern(40_000, 1), false);
    writer.frame(Opcode.close, new Uint8Array(0));
    await pipe.confirm();
    expect(pipe.writes.map((write) => write[0]!)).toEqual([0x82, 0x88]);
  });

  test("uses a batch again, but only once it has left", async () => {
    const { pipe, writer } = open();
    const turn = async (seed: number): Promise<void> => {
      writer.binary(pattern(BATCH_BYTES_MAX, seed), false);
      await setImmediate();
    };
    await turn(1);
    await turn(2);
    await pipe.confirm();
    await turn(3);
    await pipe.confirm();
    const [first, second, third] = pipe.memory;
    expect(first === second).toBe(false);
    expect(third === first || third === second).toBe(true);
    const wanted = [1, 2, 3].map((seed) => pattern(BATCH_BYTES_MAX, seed));
    expect(sameBytes(pipe.carried(), Buffer.concat(wanted))).toBe(true);
  });

  test("masks at random with masks that differ, or with zeros", async () => {
    for (const masking of ["random", "zero"] as const) {
      const { pipe, writer } = open(masking);
      const parts = [pattern(10, 1), pattern(60_000, 2), pattern(11, 3)];
      for (const part of parts) {
        writer.binary(part, false);
        await setImmediate();
        await setImmediate();
      }
      await pipe.confirm();
      expect(sameBytes(pipe.carried(true), Buffer.concat(parts))).toBe(true);
      const masks = [pipe.writes[0]!.subarray(2, 6), pipe.writes[2]!.subarray(2, 6)];
      expect(masks[0]!.equals(masks[1]!)).toBe(masking === "zero");
    }
  });

  test("stop() loses what was gathered and sends nothing more", async () => {
    const { pipe, writer } = open();
    writer.binary(pattern(40_000, 1), false);
    writer.stop();
    writer.binary(pattern(40_000, 1), false);
    writer.frame(Opcode.ping, new Uint8Array(0));
    await setImmediate();
    await setImmediate();
    expect(pipe.writes.length).toBe(0);
    expect(writer.waitingBytes).toBe(0);
  });
});
