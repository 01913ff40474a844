/**
 * Streams that an agent opens, the limits of both sides, reports, and the last drain of a stream.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import type { Stream } from "../../lib/mux/stream.ts";
import { FLAG_END, FrameType, REPORT_BYTES_MAX } from "../../lib/wire/frame.ts";
import { decodeFields, encodeFields } from "../../lib/wire/head.ts";
import { decodeFarewell, decodeOpen, encodeHead } from "../../lib/wire/open.ts";
import {
  endPair,
  pattern,
  readyPair,
  settle,
  type Side,
  startAgainstRaw,
  TestSink,
  until,
} from "../support/session_pair.ts";

const CONNECTED = encodeFields([]);

/** Opens a raw stream from either side. */
function openRaw(side: Side, service = "db", sink = new TestSink()): { stream: Stream; sink: TestSink } {
  const stream = side.session.openStream("tcp", service, encodeFields([]), false, sink);
  if (stream === undefined) throw new Error("The session opens no stream");
  sink.stream = stream;
  return { stream, sink };
}

describe("an agent", () => {
  test("opens even ids, with its own kinds, while the gateway opens odd ones", async () => {
    const { side, peer } = await startAgainstRaw("agent");
    const sink = new TestSink();
    side.session.openStream("tcp", "db", encodeFields(["a", "b"]), false, sink);
    side.session.openStream("egress", "", encodeFields(["host", "x", "port", "1"]), true, sink);
    peer.open(1).open(3).send();
    await until(() => side.opens.length === 2 && peer.seen(FrameType.open).length === 2, "streams of both");
    const opens = peer.seen(FrameType.open).map(({ streamId, flags, payload }) => {
      const { kind, service, head } = decodeOpen(payload);
      return [streamId, flags, kind, service, decodeFields(head)];
    });
    expect(opens).toEqual([
      [2, 0, "tcp", "db", ["a", "b"]],
      [4, FLAG_END, "egress", "", ["host", "x", "port", "1"]],
    ]);
    expect(side.session.streamsOpen).toBe(4);
    side.session.close("none", "");
  });

  test("carries bytes both ways on what it opened, and the gateway on the same link", async () => {
    const pair = await readyPair({ gateway: { streamsMax: 10 } });
    const { gateway, agent } = pair;
    for (const side of [gateway, agent]) {
      side.serve = (stream) => {
        stream.sendHead(CONNECTED);
        stream.write(pattern(300_000));
        stream.end();
      };
    }
    const called = Array.from({ length: 5 }, () => openRaw(agent));
    const visited = Array.from({ length: 5 }, () => openRaw(gateway));
    for (const { stream } of [...called, ...visited]) {
      stream.write(pattern(100_000));
      stream.end();
    }
    const all = [...called, ...visited].map(({ sink }) => sink);
    await until(() => all.every((sink) => sink.ended), "all answers");
    await until(() => [...gateway.sinks, ...agent.sinks].every((sink) => sink.ended), "all bodies");
    expect(all.every((sink) => sink.sound && sink.bytes === 300_000 && sink.heads.length === 1)).toBe(true);
    const served = [...gateway.sinks, ...agent.sinks];
    expect(served.every((sink) => sink.sound && sink.bytes === 100_000)).toBe(true);
    expect([gateway.sinks.length, agent.sinks.length]).toEqual([5, 5]);
    await settle();
    expect([gateway.session.streamsOpen, agent.session.streamsOpen]).toEqual([0, 0]);
    expect([gateway.session.heldBytes, agent.session.heldBytes]).toEqual([0, 0]);
    await endPair(pair);
  });

  test("opens as many as the gateway's HELLO says, and again when one is over", async () => {
    const pair = await readyPair({ gateway: { streamsMax: 3 } });
    const { gateway, agent } = pair;
    expect([agent.session.ownStreamsMax, gateway.session.ownStreamsMax]).toEqual([3, 1000]);
    const { stream } = openRaw(agent);
    openRaw(agent);
    openRaw(agent);
    expect(agent.session.open).toBe(false);
    expect(agent.session.openStream("tcp", "db", CONNECTED, false, new TestSink())).toBeUndefined();
    await until(() => gateway.streams.length === 3, "three streams");
    stream.reset("cancelled");
    expect(agent.session.open).toBe(true);
    openRaw(agent);
    await until(() => gateway.streams.length === 4, "a fourth stream");
    await endPair(pair);
    expect(agent.session.ownStreamsMax).toBeUndefined();
  });

  test("opens none where it may not", async () => {
    const pair = await readyPair();
    expect([pair.agent.session.open, pair.agent.session.ownStreamsMax]).toEqual([false, 0]);
    expect(pair.agent.session.openStream("egress", "", CONNECTED, false, new TestSink())).toBeUndefined();
    await settle();
    expect(pair.gateway.opens).toEqual([]);
    await endPair(pair);
  });

  test("knows no limit before the gateway's HELLO", async () => {
    const { side, peer } = await startAgainstRaw("agent", {}, null);
    expect([side.session.ownStreamsMax, side.session.open]).toEqual([undefined, false]);
    peer.hello({ streamsMax: 7 }).send();
    await until(() => side.hello !== undefined, "HELLO");
    expect([side.session.ownStreamsMax, side.session.open]).toEqual([7, true]);
    side.session.close("none", "");
  });

  test("opens nothing more once the gateway leaves, and what it opened goes on", async () => {
    const pair = await readyPair({ gateway: { streamsMax: 10 } });
    const { gateway, agent } = pair;
    gateway.serve = (stream) => void stream.sendHead(CONNECTED);
    const { stream, sink } = openRaw(agent);
    const drained = gateway.session.drain(60_000, "stopping");
    await until(() => agent.goAways.length === 1, "GOAWAY");
    expect(agent.session.open).toBe(false);
    expect(agent.session.openStream("tcp", "db", CONNECTED, false, new TestSink())).toBeUndefined();
    stream.write(pattern(1000));
    await until(() => gateway.sinks[0]!.bytes === 1000 && sink.heads.length === 1, "the stream to go on");
    gateway.streams[0]!.end();
    stream.end();
    await drained;
    expect(gateway.end!.code).toBe("draining");
  });
});

describe("openStreamsMax", () => {
  test("bounds what this side opens, also where the peer allows more", async () => {
    const pair = await readyPair({ gateway: { openStreamsMax: 2 } });
    const { gateway } = pair;
    const { stream } = openRaw(gateway);
    openRaw(gateway);
    expect([gateway.session.open, gateway.session.ownStreamsMax]).toEqual([false, 2]);
    stream.reset("cancelled");
    expect(gateway.session.open).toBe(true);
    await endPair(pair);
  });

  test("allows no more than the peer does", async () => {
    const pair = await readyPair({ gateway: { openStreamsMax: 5 }, agent: { streamsMax: 1 } });
    openRaw(pair.gateway);
    expect(pair.gateway.session.open).toBe(false);
    await endPair(pair);
  });
});

describe("a report", () => {
  const WALL = ["wall", "broken", "listeners", "2", "exposed", "a", "exposed", "b"];

  test("reaches the other side as it is, each one", async () => {
    const reports: string[][] = [];
    const pair = await readyPair({ gateway: { onReport: (fields) => reports.push(fields) } });
    pair.agent.session.report(WALL);
    pair.agent.session.report([]);
    pair.agent.session.report(["unknown", "\u00ff\0\n"]);
    await until(() => reports.length === 3, "three reports");
    expect(reports).toEqual([WALL, [], ["unknown", "\u00ff\0\n"]]);
    await endPair(pair);
    pair.agent.session.report(WALL);
    expect(reports).toHaveLength(3);
  });

  test("is dropped where nobody listens", async () => {
    const pair = await readyPair();
    pair.agent.session.report(WALL);
    pair.gateway.session.report(WALL);
    await settle();
    expect([pair.gateway.end, pair.agent.end]).toEqual([undefined, undefined]);
    await endPair(pair);
  });

  test("may be as long as its limit, and not a byte longer", async () => {
    const reports: string[][] = [];
    const onReport = (fields: string[]): void => void reports.push(fields);
    // A count, a name of one byte and its length, a value and its length.
    const longest = "x".repeat(REPORT_BYTES_MAX - 2 - 3 - 2);
    expect(encodeFields(["n", longest]).length).toBe(REPORT_BYTES_MAX);
    const pair = await readyPair({ gateway: { onReport } });
    pair.agent.session.report(["n", longest]);
    await until(() => reports.length === 1, "the report");
    expect(reports[0]![1]!.length).toBe(longest.length);
    expect(() => pair.agent.session.report(["n", `${longest}x`])).toThrow("within its limit");
    await endPair(pair);
  });

  test.each([
    ["over its limit", encodeFields(["n", "x".repeat(REPORT_BYTES_MAX)])],
    ["empty", new Uint8Array(0)],
    ["cut short", encodeFields(WALL).slice(0, -1)],
    ["with something behind it", Uint8Array.of(...encodeFields(WALL), 0)],
    ["of more fields than there are", Uint8Array.of(0xff, 0xff)],
  ])("%s ends the session", async (_name, payload) => {
    const reports: string[][] = [];
    const { side, peer } = await startAgainstRaw("gateway", { onReport: (fields) => reports.push(fields) });
    peer.add(FrameType.report, 0, 0, payload).send();
    expect(await peer.goAwayCode()).toBe("protocol");
    expect([side.end!.code, reports.length]).toEqual(["protocol", 0]);
  });

  test("before HELLO ends the session, and on any stream it is one all the same", async () => {
    const early = await startAgainstRaw("gateway", {}, null);
    early.peer.add(FrameType.report, 0, 0, encodeFields(WALL)).hello().send();
    expect(await early.peer.goAwayCode()).toBe("protocol");
    const reports: string[][] = [];
    const { side, peer } = await startAgainstRaw("gateway", { onReport: (fields) => reports.push(fields) });
    peer.add(FrameType.report, 0xff, 77, encodeFields(WALL)).send();
    await until(() => reports.length === 1, "the report");
    expect([reports[0], side.end]).toEqual([WALL, undefined]);
    side.session.close("none", "");
  });

  test("that its owner cannot bear ends the session as a fault, and not the process", async () => {
    const { side, peer } = await startAgainstRaw("gateway", {
      onReport: () => {
        throw new TypeError("a wrong turn");
      },
    });
    peer.add(FrameType.report, 0, 0, encodeFields(WALL)).send();
    await until(() => side.end !== undefined, "the end");
    expect(side.end).toMatchObject({ code: "internal", remote: false });
    expect(String(side.end!.fault)).toContain("a wrong turn");
  });
});

describe("the last drain", () => {
  class LastSink extends TestSink {
    lastDrains = 0;
    onLastDrain(): void {
      this.lastDrains++;
    }
  }

  /** A stream of a gateway to an agent that granted `windowBytes` of credit. */
  async function opened(
    windowBytes: number,
  ): Promise<Awaited<ReturnType<typeof startAgainstRaw>> & { stream: Stream; sink: LastSink }> {
    const raw = await startAgainstRaw("gateway", {}, { streamWindowBytes: windowBytes });
    const sink = new LastSink();
    const { stream } = openRaw(raw.side, "db", sink);
    return { ...raw, stream, sink };
  }

  test("is told once, when what waited at the end has left, and then no other drain is", async () => {
    const { side, peer, stream, sink } = await opened(100);
    expect(stream.write(pattern(250))).toBe(false);
    stream.end();
    await settle();
    expect([sink.drains, sink.lastDrains, stream.queuedBytes]).toEqual([0, 0, 150]);
    peer.credit(1, 100).send();
    await until(() => stream.queuedBytes === 50, "a part to leave");
    expect(sink.lastDrains).toBe(0);
    peer.credit(1, 50).send();
    await until(() => stream.queuedBytes === 0, "the rest to leave");
    peer.credit(1, 1000).credit(0, 1000).send();
    await settle();
    expect([sink.drains, sink.lastDrains, sink.resets]).toEqual([0, 1, 0]);
    const last = peer.frames.filter(({ streamId }) => streamId === 1).at(-1)!;
    expect([last.type, last.flags]).toEqual([FrameType.data, FLAG_END]);
    side.session.close("none", "");
  });

  test("comes with trailers behind the bytes too", async () => {
    const { side, peer, stream, sink } = await opened(100);
    stream.write(pattern(150));
    stream.end(["a", "b"]);
    peer.credit(1, 50).send();
    await until(() => peer.seen(FrameType.end).length === 1, "END");
    peer.credit(1, 50).send();
    await settle();
    expect([sink.lastDrains, peer.seen(FrameType.end).length]).toEqual([1, 1]);
    side.session.close("none", "");
  });

  test("is not told where nothing waited, or what waited had left before the end", async () => {
    const { side, peer, stream, sink } = await opened(100);
    expect(stream.write(pattern(100))).toBe(true);
    const other = openRaw(side, "db", new LastSink());
    other.stream.write(pattern(150));
    peer.credit(3, 50).send();
    await until(() => other.sink.drains === 1, "the drain");
    stream.end();
    other.stream.end();
    await settle();
    expect([sink.drains, sink.lastDrains]).toEqual([0, 0]);
    expect([other.sink.drains, (other.sink as LastSink).lastDrains]).toEqual([1, 0]);
    side.session.close("none", "");
  });

  test("is not told of bytes that never left", async () => {
    const { side, peer, stream, sink } = await opened(10);
    stream.write(pattern(20));
    stream.end();
    peer.add(FrameType.reset, 0, 1, Uint8Array.of(0, 0, 0, 6)).send();
    await until(() => sink.resets === 1, "the reset");
    peer.credit(1, 100).send();
    await settle();
    expect([sink.lastDrains, sink.late, side.end]).toEqual([0, 0, undefined]);
    side.session.close("none", "");
  });

  test("is told also when the other side has ended, and the stream is over behind it", async () => {
    const { side, peer, stream, sink } = await opened(10);
    stream.write(pattern(20));
    stream.end();
    peer.add(FrameType.head, FLAG_END, 1, encodeHead(CONNECTED)).send();
    await until(() => sink.ended, "the other side's end");
    expect([stream.closed, side.session.streamsOpen]).toEqual([false, 1]);
    peer.credit(1, 10).send();
    await until(() => side.session.streamsOpen === 0, "the end of the stream");
    expect([sink.lastDrains, stream.closed]).toEqual([1, true]);
    side.session.close("none", "");
  });
});

test("a gateway that allows none refuses what an agent opens all the same", async () => {
  const { side, peer } = await startAgainstRaw("gateway");
  peer.open(2, false, { kind: "tcp" }).open(4, true, { kind: "egress", service: "" }).send();
  await until(() => peer.seen(FrameType.reset).length === 2, "both resets");
  const codes = peer.seen(FrameType.reset).map(({ payload }) => decodeFarewell(payload).code);
  expect([codes, side.opens]).toEqual([["refused", "refused"], []]);
  side.session.close("none", "");
});

test("streams that one side opened take nothing of what the other may open", async () => {
  for (
    const [limits, opener, other] of [[{ streamsMax: 100, openStreamsMax: 5 }, "agent", "gateway"], [
      { streamsMax: 5 },
      "gateway",
      "agent",
    ]] as const
  ) {
    const pair = await readyPair({ gateway: limits });
    for (let i = 0; i < 5; i++) openRaw(pair[opener]);
    await until(() => pair[other].streams.length === 5, "the streams");
    const stream = pair[other].session.openStream("tcp", "db", CONNECTED, false, new TestSink());
    expect(stream).toBeDefined();
    await endPair(pair);
  }
});
