/**
 * Flow control of whole sessions: windows that grow and shrink, turns, stalled readers, and what memory they may take.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { describe, expect, test } from "bun:test";
import type { Link, LinkHandlers } from "../../lib/link/link.ts";
import { MemoryBudget } from "../../lib/mux/budget.ts";
import { VIEW_SHARE_MAX } from "../../lib/mux/incoming.ts";
import {
  HELD_PIECE_BYTES,
  Receiver,
  STREAM_WINDOW_BYTES,
  STREAM_WINDOW_BYTES_MIN,
} from "../../lib/mux/receiver.ts";
import { Session } from "../../lib/mux/session.ts";
import { Stream, type StreamHost } from "../../lib/mux/stream.ts";
import { encodeHello } from "../../lib/wire/hello.ts";
import { concat, naiveEncode } from "../support/naive_codec.ts";
import { DATA_BYTES_MAX, FrameType, readUint32 } from "../../lib/wire/frame.ts";
import {
  endPair,
  pattern,
  type RawPeer,
  readyPair,
  RESPONSE,
  settle,
  Side,
  sideOptions,
  startAgainstRaw,
  TestSink,
  until,
} from "../support/session_pair.ts";

const AT_ONCE = { stalledMs: 0, scanMs: 1 };
const NEVER = { stalledMs: Infinity };

/** Keeps a stream of the agent busy with single chunks for as long as its peer reads. */
function feed(stream: Stream, sink: TestSink, chunkBytes: number): void {
  const go = (): void => {
    while (stream.writable && stream.write(new Uint8Array(chunkBytes)));
  };
  sink.onDrained = go;
  stream.sendHead(RESPONSE);
  go();
}

/** A gateway with streams to a raw agent, each of which has sent `bytes` that nobody took. */
async function stalledStreams(
  count: number,
  bytes: number,
  budget: MemoryBudget,
  end = false,
): Promise<{ side: Side; peer: RawPeer; sinks: TestSink[] }> {
  const { side, peer } = await startAgainstRaw("gateway", { budget });
  const sinks: TestSink[] = [];
  for (let i = 0; i < count; i++) {
    const { stream, sink } = side.open();
    sink.stalled = true;
    sinks.push(sink);
    peer.head(stream.id, false);
    peer.add(FrameType.data, end ? 1 : 0, stream.id, new Uint8Array(bytes));
  }
  peer.send();
  await until(() => sinks.every((sink) => sink.bytes === bytes || sink.resets > 0), "the bytes");
  return { side, peer, sinks };
}

describe("a stream's window", () => {
  test("grows while its reader is quick, and is never over the session's share", async () => {
    const pair = await readyPair({ link: { latencyMs: 20 }, gateway: { sessionWindowBytes: 32 << 20 } });
    pair.agent.serve = (stream, _open, sink) => feed(stream, sink, 60_000);
    const { stream, sink } = pair.gateway.open();
    const firstBytes = stream.receiveWindow.windowBytes;
    // 20 MB/s at 40 ms are more than the 256 KiB to start with.
    expect(firstBytes).toBeGreaterThan(STREAM_WINDOW_BYTES);
    await until(() => stream.receiveWindow.windowBytes === 4 << 20, "the window to grow");
    expect(sink.bytes).toBeGreaterThan(2 * firstBytes);
    await endPair(pair);
  });

  test("shrinks when memory is short, and the stream goes on", async () => {
    const budget = new MemoryBudget(1 << 20, false, NEVER);
    const pair = await readyPair({ gateway: { budget } });
    pair.agent.serve = (stream, _open, sink) => feed(stream, sink, 30_000);
    const quick = pair.gateway.open();
    await until(() => quick.sink.bytes > 500_000, "the quick stream to run");
    for (let i = 0; i < 3; i++) pair.gateway.open().sink.stalled = true;
    await until(() => budget.pressure >= 0.5, "the pressure");
    await until(
      () => quick.stream.receiveWindow.windowBytes === STREAM_WINDOW_BYTES_MIN,
      "the window to shrink",
    );
    const before = quick.sink.bytes;
    await until(() => quick.sink.bytes > before + (1 << 20), "the quick stream to go on");
    expect(pair.gateway.open().stream.receiveWindow.windowBytes).toBe(STREAM_WINDOW_BYTES_MIN);
    await endPair(pair);
    expect(budget.heldBytes).toBe(0);
  });

  test("grown from the start counts as grown, and no longer when its stream is over", () => {
    const host = {
      rttMs: 1000,
      stalest: () => undefined,
      sender: { credit: () => {} },
    };
    const budget = new MemoryBudget(64 << 20, false);
    const receiver = new Receiver(host, 32 << 20, budget);
    const streams = [];
    let grownBytes = 0;
    for (let id = 1; id < 200; id += 2) {
      const windowBytes = receiver.openWindowBytes();
      const stream = new Stream({ budget } as StreamHost, id, "web", 0, windowBytes);
      receiver.opened(stream);
      streams.push(stream);
      grownBytes += windowBytes - STREAM_WINDOW_BYTES;
      expect(Number.isInteger(windowBytes)).toBe(true);
    }
    // Three quarters of the session's window.
    expect(grownBytes).toBe(24 << 20);
    for (const stream of streams) receiver.closed(stream);
    expect(receiver.openWindowBytes()).toBe(4 << 20);
    receiver.stop();
  });
});

describe("turns", () => {
  test("let every stream send, though each writes on whenever it may", async () => {
    const { side, peer } = await startAgainstRaw("agent");
    const count = 8;
    side.serve = (stream, _open, sink) => feed(stream, sink, 10_000);
    for (let i = 0; i < count; i++) peer.open(1 + 2 * i, true, { windowBytes: 1 << 30 });
    peer.send();
    const sent = new Map<number, number>();
    let seen = 0;
    await until(() => {
      for (const { type, streamId, payload } of peer.frames.slice(seen)) {
        if (type === FrameType.data) sent.set(streamId, (sent.get(streamId) ?? 0) + payload.length);
      }
      seen = peer.frames.length;
      return [...sent.values()].reduce((all, bytes) => all + bytes, 0) >= 12 << 20;
    }, "12 MiB of the session's 16");
    const bytes = [...sent.values()];
    expect(bytes).toHaveLength(count);
    // The first one filled the link before the others were there; from then on all get the same.
    expect(Math.max(...bytes) - Math.min(...bytes)).toBeLessThanOrEqual((1 << 20) + 4 * DATA_BYTES_MAX);
    expect(Math.min(...bytes)).toBeGreaterThan(1 << 20);
    side.session.close("none", "");
  });

  test("pass over a stream without credit", async () => {
    const { side, peer } = await startAgainstRaw("agent");
    side.serve = (stream, _open, sink) => feed(stream, sink, 10_000);
    peer.open(1, true, { windowBytes: 5 }).open(3, true, { windowBytes: 1 << 20 }).send();
    const bytesOf = (id: number): number =>
      peer.seen(FrameType.data).filter(({ streamId }) => streamId === id)
        .reduce((sum, { payload }) => sum + payload.length, 0);
    await until(() => bytesOf(3) === 1 << 20, "the stream with credit");
    expect(bytesOf(1)).toBe(5);
    side.session.close("none", "");
  });

  test("go on over a link that takes all at once and so owes no drain event", async () => {
    let [turnBytes, sentBytes] = [0, 0];
    let handlers: LinkHandlers | undefined;
    const link: Link = {
      peer: "fake",
      get bufferedBytes() {
        return turnBytes;
      },
      start: (given) => void (handlers = given),
      send: (chunk) => {
        turnBytes += chunk.length;
        sentBytes += chunk.length;
        queueMicrotask(() => turnBytes = 0);
      },
      close: () => {},
      terminate: () => {},
    };
    const side = new Side();
    side.session = new Session(link, sideOptions(side));
    side.session.start();
    handlers!.onMessage(concat([
      naiveEncode({
        ...{ type: FrameType.hello, flags: 0, streamId: 0 },
        payload: encodeHello({
          ...{ versionMin: 1, versionMax: 1, streamWindowBytes: 8 << 20, sessionWindowBytes: 8 << 20 },
          ...{ streamsMax: 1, fields: [] },
        }),
      }),
    ]));
    const { stream, sink } = side.open(false);
    expect(stream.write(new Uint8Array(3 << 20))).toBe(false);
    await until(() => sink.drains > 0, "the rest to leave");
    expect(sentBytes).toBeGreaterThan(3 << 20);
    side.session.close("none", "");
  });

  test("stop at the session's credit and go on with it", async () => {
    const { side, peer } = await startAgainstRaw("agent", {}, { sessionWindowBytes: 100_000 });
    side.serve = (stream, _open, sink) => feed(stream, sink, 10_000);
    peer.open(1).open(3).send();
    const bytes = (): number =>
      peer.seen(FrameType.data).reduce((sum, { payload }) => sum + payload.length, 0);
    await until(() => bytes() === 100_000, "the session's window");
    await settle();
    expect(bytes()).toBe(100_000);
    peer.credit(0, 50_000).send();
    await until(() => bytes() === 150_000, "the session's credit");
    side.session.close("none", "");
  });
});

describe("a stalled reader", () => {
  test("holds its window at most and slows nobody", async () => {
    const pair = await readyPair();
    pair.agent.serve = (stream, _open, sink) => feed(stream, sink, 20_000);
    const stalled = pair.gateway.open();
    stalled.sink.stalled = true;
    await until(() => stalled.sink.bytes === stalled.stream.receiveWindow.windowBytes, "the window to fill");
    const others = [pair.gateway.open().sink, pair.gateway.open().sink];
    await until(() => others.every((sink) => sink.bytes > 5 << 20), "5 MiB on each of the others");
    expect(stalled.sink.bytes).toBe(stalled.stream.receiveWindow.windowBytes);
    expect(pair.gateway.session.heldBytes).toBe(stalled.sink.bytes);
    stalled.sink.resume();
    const before = stalled.sink.bytes;
    await until(() => stalled.sink.bytes > before, "the reader to go on");
    await endPair(pair);
  });

  test("loses its stream when stalled readers fill the session, and the others go on", async () => {
    const budget = new MemoryBudget(64 << 20, true, AT_ONCE);
    const pair = await readyPair({ gateway: { budget } });
    pair.agent.serve = (stream, _open, sink) => feed(stream, sink, 20_000);
    const stalled = Array.from({ length: 12 }, () => {
      const { sink } = pair.gateway.open();
      sink.stalled = true;
      return sink;
    });
    await until(() => stalled.some((sink) => sink.resets > 0), "a stream to be shed");
    expect(stalled.find((sink) => sink.resets > 0)!.error).toMatchObject({
      code: "overloaded",
      remote: false,
    });
    const { sink } = pair.gateway.open();
    await until(() => sink.bytes > 5 << 20, "5 MiB on a new stream");
    expect(pair.gateway.session.heldBytes).toBeLessThanOrEqual(2 << 20);
    expect(pair.agent.sinks.some(({ error }) => error?.code === "overloaded")).toBe(true);
    await endPair(pair);
    expect(budget.heldBytes).toBe(0);
  });

  test("at the other end counts what waits to be sent there, and loses its stream when that fills the memory", async () => {
    const budget = new MemoryBudget(400_000, true, NEVER);
    const { side, peer } = await startAgainstRaw("agent", { budget });
    const sinks: TestSink[] = [];
    side.serve = (stream, _open, sink) => {
      sinks.push(sink);
      stream.sendHead(RESPONSE);
      // One read of a socket more than there is credit for.
      expect(stream.write(new Uint8Array(150_000))).toBe(false);
    };
    // No credit at all: everything waits.
    for (let i = 0; i < 4; i++) peer.open(1 + 2 * i, true, { windowBytes: 0 });
    peer.send();
    await until(() => sinks.length === 4, "four streams");
    expect(sinks.map((sink) => sink.resets)).toEqual([1, 1, 0, 0]);
    expect([budget.heldBytes, budget.shedTotal]).toEqual([300_000, 2]);
    peer.credit(5, 100_000).send();
    await until(() => budget.heldBytes === 200_000, "what has credit to leave");
    side.session.close("none", "over");
    expect(budget.heldBytes).toBe(0);
  });

  test("of an answer that has come whole is shed too", async () => {
    const budget = new MemoryBudget(64 << 20, true, AT_ONCE);
    const { side, peer, sinks } = await stalledStreams(16, 130_000, budget, true);
    expect(side.session.streamsOpen).toBe(0);
    await until(() => sinks.some((sink) => sink.resets > 0), "a stream to be shed");
    await settle();
    expect(side.session.heldBytes).toBeLessThan(0.75 * (2 << 20));
    expect(side.session.heldBytes).toBe(sinks.reduce((sum, sink) => sum + (sink.resets ? 0 : sink.bytes), 0));
    // The stream was over: its sender hears nothing of it.
    expect(peer.seen(FrameType.reset)).toHaveLength(0);
    for (const sink of sinks) if (sink.resets === 0) sink.resume();
    expect([side.session.heldBytes, budget.heldBytes]).toEqual([0, 0]);
    side.session.close("none", "");
  });

  test("of a session that ended still counts, and can still be shed", async () => {
    const budget = new MemoryBudget(3 << 20, true, NEVER);
    const { side, sinks } = await stalledStreams(10, 130_000, budget, true);
    side.session.close("none", "over");
    expect([sinks[0]!.resets, budget.heldBytes]).toEqual([0, 1_300_000]);
    const other = await stalledStreams(15, 130_000, budget);
    expect(budget.heldBytes).toBeLessThanOrEqual(3 << 20);
    expect([...sinks, ...other.sinks].filter((sink) => sink.resets > 0).length).toBeGreaterThan(0);
    expect(sinks[0]!.error!.code).toBe("overloaded");
    for (const sink of [...sinks, ...other.sinks]) if (sink.resets === 0) sink.resume();
    other.side.session.close("none", "over");
    expect(budget.heldBytes).toBe(0);
  });

  test("under a hard budget is told of nothing after its reset, though its own bytes caused it", async () => {
    const budget = new MemoryBudget(100_000, true, NEVER);
    const { side, sinks } = await stalledStreams(1, 120_000, budget);
    await settle();
    expect([sinks[0]!.resets, sinks[0]!.late, sinks[0]!.bytes]).toEqual([1, 0, 0]);
    expect([budget.heldBytes, side.session.heldBytes, side.end]).toEqual([0, 0, undefined]);
    side.session.close("none", "");
  });

  test("of one session is shed for another, and a sink that breaks then ends its own session only", async () => {
    const budget = new MemoryBudget(400_000, true, NEVER);
    const first = await stalledStreams(1, 130_000, budget);
    first.sinks[0]!.onReset = () => {
      throw new Error("a fault");
    };
    const second = await stalledStreams(3, 100_000, budget);
    expect(String(first.side.end!.fault)).toBe("Error: a fault");
    expect([second.side.end, budget.heldBytes]).toEqual([undefined, 300_000]);
    second.side.session.close("none", "");
  });
});

describe("memory", () => {
  test("of a piece that waits is counted, however small it is", async () => {
    const budget = new MemoryBudget(1 << 20, true, NEVER);
    const { side, peer } = await startAgainstRaw("gateway", { budget });
    const { stream, sink } = side.open();
    sink.stalled = true;
    peer.head(stream.id, false);
    for (let i = 0; i < 1000; i++) peer.add(FrameType.data, 0, stream.id, Uint8Array.of(i));
    peer.send();
    await until(() => sink.bytes === 1000, "the bytes");
    expect(budget.heldBytes).toBe(1000 + 999 * HELD_PIECE_BYTES);
    expect(side.session.heldBytes).toBe(1000);
    stream.consumed(500);
    expect(budget.heldBytes).toBe(500 + Math.ceil(999 * HELD_PIECE_BYTES / 2));
    stream.consumed(500);
    expect(budget.heldBytes).toBe(0);
    side.session.close("none", "");
  });

  test("of a long, steady stream does not pile up in the budget", async () => {
    const budget = new MemoryBudget(64 << 20, true, NEVER);
    const { side, peer } = await startAgainstRaw("gateway", { budget });
    const { stream, sink } = side.open();
    sink.stalled = true;
    peer.head(stream.id, false);
    for (let i = 0; i < 500; i++) {
      peer.add(FrameType.data, 0, stream.id, new Uint8Array(100)).send();
      await until(() => sink.bytes === (i + 1) * 100, "a piece");
      // The reader is always one piece behind.
      if (i > 0) stream.consumed(100);
    }
    expect(budget.heldBytes).toBeLessThanOrEqual(100 + HELD_PIECE_BYTES);
    stream.consumed(100);
    expect(budget.heldBytes).toBe(0);
    side.session.close("none", "");
  });

  test("behind a small piece of a big message is not kept with it", async () => {
    const { side, peer } = await startAgainstRaw("gateway");
    const stalled = side.open();
    const quick = side.open();
    stalled.sink.stalled = true;
    peer.head(stalled.stream.id, false).head(quick.stream.id, false);
    for (let i = 0; i < 20; i++) {
      // One message: ten bytes for a reader that stalls among 120 KB for one that does not.
      for (let j = 0; j < 10; j++) peer.add(FrameType.data, 0, quick.stream.id, new Uint8Array(12_000));
      peer.add(FrameType.data, 0, stalled.stream.id, pattern(10, i * 10)).send();
      await until(() => quick.sink.bytes === (i + 1) * 120_000, "the big pieces");
    }
    await until(() => stalled.sink.bytes === 200, "the small pieces");
    expect(stalled.sink.sound).toBe(true);
    const buffers = new Set(stalled.sink.held.map(({ buffer }) => buffer));
    const pinnedBytes = [...buffers].reduce((sum, buffer) => sum + buffer.byteLength, 0);
    expect(stalled.sink.held).toHaveLength(20);
    expect(pinnedBytes).toBeLessThanOrEqual(VIEW_SHARE_MAX * 200);
    side.session.close("none", "");
  });

  test("of the body behind a head is bounded in the same way, and an empty one keeps nothing", async () => {
    const { side, peer } = await startAgainstRaw("gateway");
    const bodies: Uint8Array[] = [];
    for (const body of [pattern(10), pattern(0)]) {
      const { stream, sink } = side.open();
      sink.onChunk = (chunk) => bodies.push(chunk);
      for (let i = 0; i < 50; i++) peer.add(0x41, 0, 0, new Uint8Array(1000));
      peer.head(stream.id, true, body).send();
      await until(() => sink.ended, "the answer");
    }
    expect(bodies.map(({ length }) => length)).toEqual([10, 0]);
    for (const { length, buffer } of bodies) {
      expect(buffer.byteLength).toBeLessThanOrEqual(VIEW_SHARE_MAX * length);
    }
    side.session.close("none", "");
  });

  test("of large pieces is passed on without a copy", async () => {
    const { side, peer } = await startAgainstRaw("gateway");
    const { stream, sink } = side.open();
    const message = Buffer.alloc(9 + DATA_BYTES_MAX);
    message.set([0x01, 0x00, 0x00, FrameType.data, 0, 0, 0, 0, stream.id]);
    let buffer: ArrayBufferLike | undefined;
    sink.onChunk = (chunk) => {
      if (chunk.length > 0) buffer = chunk.buffer;
    };
    peer.head(stream.id, false).send();
    peer.link.send(message);
    await until(() => buffer !== undefined, "the piece");
    // The piece is a view of the whole message as it came.
    expect(buffer?.byteLength).toBe(message.byteLength);
    side.session.close("none", "");
  });
});

test("credit for a stream that was reset returns to the session", async () => {
  const { side, peer } = await startAgainstRaw("gateway");
  const { stream } = side.open();
  stream.reset("cancelled");
  peer.head(stream.id, false);
  for (let i = 0; i < 40; i++) peer.add(FrameType.data, 0, stream.id, new Uint8Array(50_000)).send();
  const granted = (): number =>
    peer.seen(FrameType.credit).filter(({ streamId }) => streamId === 0)
      .reduce((sum, { payload }) => sum + readUint32(payload, 0), 0);
  await until(() => granted() > 1_400_000, "session credit");
  expect(side.session.heldBytes).toBe(0);
  expect(granted() + side.session.creditGrantedBytes).toBeGreaterThanOrEqual(2 << 20);
  side.session.close("none", "");
});
