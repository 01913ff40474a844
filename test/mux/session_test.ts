/**
 * Two sessions on one link: streams, both ways, on every kind of path.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import { memoryLinkPair } from "../../lib/link/memory.ts";
import { Session } from "../../lib/mux/session.ts";
import { DATA_BYTES_MAX, FrameType } from "../../lib/wire/frame.ts";
import { readHex } from "../support/hex_frames.ts";
import { concat } from "../support/naive_codec.ts";
import {
  endPair,
  type PairOptions,
  pattern,
  readyPair,
  REQUEST,
  RESPONSE,
  settle,
  Side,
  sideOptions,
  startAgainstRaw,
  TestSink,
  until,
} from "../support/session_pair.ts";
import { encodeRequestHead, encodeResponseHead } from "../../lib/wire/head.ts";

/** Writes all of a body at the pace that the stream allows. */
function pour(sink: TestSink, totalBytes: number, chunkBytes: number, trailers: string[] = []): void {
  const stream = sink.stream!;
  let at = 0;
  const go = (): void => {
    while (at < totalBytes) {
      const chunk = pattern(Math.min(chunkBytes, totalBytes - at), at);
      at += chunk.length;
      if (!stream.write(chunk)) return void (sink.onDrained = go);
    }
    stream.end(trailers);
  };
  go();
}

const PATHS: [string, PairOptions][] = [
  ["at once", {}],
  ["with delay", { link: { latencyMs: 3 } }],
  ["in single bytes", { link: { chunkBytes: 1 } }],
  ["in pieces of 1000 bytes", { link: { chunkBytes: 1000 } }],
  ["over a link that is full at 4 KiB", { link: { bufferedBytesHigh: 4096 } }],
];

for (const [path, options] of PATHS) {
  describe(`a session ${path}`, () => {
    test.each([[0, 1], [1, 1], [70_000, 999], [600_000, 100_000]])(
      "carries %d bytes each way in pieces of %d, at the same time",
      async (totalBytes, chunkBytes) => {
        const pair = await readyPair(options);
        pair.agent.serve = (stream, _open, sink) => {
          stream.sendHead(RESPONSE);
          pour(sink, totalBytes, chunkBytes, ["x-sum", "1"]);
        };
        const { sink } = pair.gateway.open(false);
        pour(sink, totalBytes, chunkBytes);
        await until(() => sink.ended && pair.agent.sinks[0]?.ended === true, "both bodies to end");
        const served = pair.agent.sinks[0]!;
        expect([sink.bytes, sink.sound, served.bytes, served.sound]).toEqual([
          totalBytes,
          true,
          totalBytes,
          true,
        ]);
        expect(sink.heads.map((head) => [...head])).toEqual([[...RESPONSE]]);
        expect(sink.trailers).toEqual(["x-sum", "1"]);
        await settle();
        expect([pair.gateway.session.streamsOpen, pair.agent.session.streamsOpen]).toEqual([0, 0]);
        expect([pair.gateway.session.heldBytes, pair.agent.session.heldBytes]).toEqual([0, 0]);
        await endPair(pair);
        expect([sink.resets, served.resets]).toEqual([0, 0]);
      },
    );

    test("carries 200 streams at once", async () => {
      const pair = await readyPair(options);
      pair.agent.serve = (stream, _open, sink) => {
        stream.sendHead(RESPONSE);
        pour(sink, 3000, 700);
      };
      const sinks = Array.from({ length: 200 }, () => pair.gateway.open().sink);
      expect(pair.gateway.session.streamsOpen).toBe(200);
      await until(() => sinks.every((sink) => sink.ended), "all answers");
      expect(sinks.every((sink) => sink.sound && sink.bytes === 3000)).toBe(true);
      expect(pair.agent.sinks).toHaveLength(200);
      await endPair(pair);
    });
  });
}

describe("a stream", () => {
  test("takes a whole answer with its head in one frame", async () => {
    const { side, peer } = await startAgainstRaw("agent");
    side.serve = (stream) => void stream.sendHead(RESPONSE, pattern(100), true);
    peer.open(1).send();
    await until(() => peer.seen(FrameType.head).length > 0, "the answer");
    await settle();
    expect(peer.frames.filter(({ streamId }) => streamId === 1).map(({ type, flags }) => [type, flags]))
      .toEqual([
        [FrameType.head, 1],
      ]);
    expect(side.session.streamsOpen).toBe(0);
    side.session.close("none", "");
  });

  test("sends what does not fit behind its head as data, in order and in frames that take turns", async () => {
    const { side, peer } = await startAgainstRaw("agent");
    side.serve = (stream) => void stream.sendHead(RESPONSE, pattern(200_000), true);
    peer.open(1, true, { windowBytes: 1 << 20 }).send();
    await until(() =>
      peer.frames.some(({ streamId, flags }) => streamId === 1 && flags === 1) ||
      peer.seen(FrameType.end).length > 0, "the end");
    const data = peer.seen(FrameType.data);
    expect(Math.max(...data.map(({ payload }) => payload.length))).toBeLessThanOrEqual(DATA_BYTES_MAX);
    expect([...concat(data.map(({ payload }) => payload))]).toEqual([...pattern(200_000)]);
    expect(peer.frames.findIndex(({ type }) => type === FrameType.head)).toBeLessThan(
      peer.frames.findIndex(({ type }) => type === FrameType.data),
    );
    side.session.close("none", "");
  });

  test("spends exactly its credit, and ends behind the last of it", async () => {
    const { side, peer } = await startAgainstRaw("agent");
    let whole: boolean | undefined;
    side.serve = (stream) => {
      whole = stream.sendHead(RESPONSE, pattern(1000), false);
      stream.end(["a", "b"]);
    };
    peer.open(1, true, { windowBytes: 300 }).send();
    const bytes = (): number =>
      peer.seen(FrameType.data).reduce((sum, { payload }) => sum + payload.length, 0);
    await until(() => bytes() === 300, "300 bytes");
    await settle();
    expect([whole, bytes(), side.session.streamsOpen]).toEqual([false, 300, 1]);
    peer.credit(1, 699).send();
    await until(() => bytes() === 999, "999 bytes");
    expect(peer.seen(FrameType.end)).toHaveLength(0);
    peer.credit(1, 0).credit(1, 500).send();
    await until(() => peer.seen(FrameType.end).length > 0, "the end");
    expect(bytes()).toBe(1000);
    await settle();
    expect(peer.seen(FrameType.end)).toHaveLength(1);
    expect(side.session.streamsOpen).toBe(0);
    side.session.close("none", "");
  });

  test("that ends while bytes wait ends with the last of them, once", async () => {
    const { side, peer } = await startAgainstRaw("agent");
    side.serve = (stream) => void stream.sendHead(RESPONSE, pattern(1000), true);
    peer.open(1, true, { windowBytes: 300 }).send();
    await until(() => peer.seen(FrameType.data).length === 1, "the first bytes");
    expect(side.session.streamsOpen).toBe(1);
    peer.credit(1, 5000).send();
    await until(() => peer.seen(FrameType.data).length === 2, "the last bytes");
    await settle();
    expect(peer.seen(FrameType.data).map(({ flags, payload }) => [flags, payload.length])).toEqual([
      [0, 300],
      [1, 700],
    ]);
    expect([peer.seen(FrameType.end).length, side.session.streamsOpen]).toEqual([0, 0]);
    side.session.close("none", "");
  });

  test("ends one way and goes on the other, from either side", async () => {
    for (const first of ["gateway", "agent"] as const) {
      const pair = await readyPair();
      pair.agent.serve = (stream) => void stream.sendHead(RESPONSE);
      const { stream, sink } = pair.gateway.open(false);
      await until(() => sink.heads.length > 0, "the head");
      const sides = {
        gateway: { stream, sink },
        agent: { stream: pair.agent.streams[0]!, sink: pair.agent.sinks[0]! },
      };
      const second = first === "gateway" ? "agent" : "gateway";
      sides[first].stream.end();
      await until(() => sides[second].sink.ended, "the first end");
      expect([sides[first].stream.writable, sides[second].stream.writable]).toEqual([false, true]);
      sides[second].stream.write(pattern(5000));
      await until(() => sides[first].sink.bytes === 5000, "data after the other's end");
      expect(pair.gateway.session.streamsOpen).toBe(1);
      sides[second].stream.end();
      await until(() => pair.gateway.session.streamsOpen + pair.agent.session.streamsOpen === 0, "the close");
      expect(sides[first].sink.ended).toBe(true);
      await endPair(pair);
      expect([sink.resets, sides.agent.sink.resets]).toEqual([0, 0]);
    }
  });

  test("ignores writes and a second end after its end, and every call after a reset", async () => {
    const pair = await readyPair();
    const { stream, sink } = pair.gateway.open(false);
    stream.end();
    stream.end(["late", "1"]);
    expect(stream.write(pattern(10))).toBe(true);
    await until(() => pair.agent.sinks[0]?.ended === true, "the end");
    await settle();
    expect([pair.agent.sinks[0]!.bytes, pair.agent.sinks[0]!.trailers]).toEqual([0, []]);
    stream.reset("cancelled");
    stream.reset("internal");
    stream.end();
    stream.consumed(100);
    expect(stream.sendHead(RESPONSE)).toBe(true);
    await until(() => pair.agent.sinks[0]!.resets > 0, "the reset");
    await settle();
    expect([sink.resets, pair.agent.sinks[0]!.resets, pair.agent.sinks[0]!.error!.code]).toEqual([
      0,
      1,
      "cancelled",
    ]);
    await endPair(pair);
    expect(pair.agent.sinks[0]!.resets).toBe(1);
  });

  test("tells the code of a reset to the other side, from either side", async () => {
    for (const code of ["targetRefused", "badRequest", "unknownService"] as const) {
      const pair = await readyPair();
      pair.agent.serve = (stream) => stream.reset(code, "because");
      const { sink } = pair.gateway.open();
      await until(() => sink.resets > 0, "the reset");
      expect([sink.error!.code, sink.error!.message, sink.error!.remote]).toEqual([code, "because", true]);
      expect(pair.gateway.session.streamsOpen + pair.agent.session.streamsOpen).toBe(0);
      await endPair(pair);
    }
  });

  test("with trailers that no frame can carry is cut off, and the session lives", async () => {
    const pair = await readyPair();
    const tooMany = Array(2002).fill("x");
    const atOnce = pair.gateway.open(false);
    atOnce.stream.end(tooMany);
    const queued = pair.gateway.open(false);
    queued.stream.write(pattern(1 << 20));
    queued.stream.end(["a", "x".repeat(70_000)]);
    await until(() => pair.agent.sinks.filter(({ resets }) => resets === 1).length === 2, "both resets");
    for (const { sink } of [atOnce, queued]) {
      expect([sink.resets, sink.error!.code, sink.error!.remote]).toEqual([1, "badRequest", false]);
    }
    expect(pair.gateway.end).toBeUndefined();
    await endPair(pair);
  });

  test("gives the bytes of its body back to the session when it is reset, on both sides", async () => {
    const pair = await readyPair();
    const start = pair.agent.session.creditGrantedBytes;
    const agentServe = (sink: TestSink): void => void (sink.stalled = true);
    pair.agent.serve = (_stream, _open, sink) => agentServe(sink);
    for (let i = 0; i < 30; i++) {
      const { stream } = pair.gateway.open(false);
      stream.write(pattern(200_000));
      await until(() => (pair.agent.sinks[i]?.bytes ?? 0) > 100_000, "the body to stall");
      stream.write(pattern(1000));
      if (i % 2 === 0) stream.reset("cancelled");
      else pair.agent.streams[i]!.reset("cancelled");
      await until(() => pair.agent.session.streamsOpen === 0, "the reset");
      await settle(2);
    }
    expect(pair.agent.session.heldBytes).toBe(0);
    // What was granted is at most a quarter from the whole window: credit is not returned for less.
    expect(pair.agent.session.creditGrantedBytes).toBeGreaterThanOrEqual(start * 0.75);
    await endPair(pair);
  });
});

describe("a session", () => {
  test("sends the bytes of the example of SPEC.md, both ways", async () => {
    const links = memoryLinkPair();
    const bytes: Uint8Array[][] = [[], []];
    for (const i of [0, 1] as const) {
      const send = links[i].send.bind(links[i]);
      links[i].send = (chunk) => {
        bytes[i]!.push(chunk.slice());
        send(chunk);
      };
    }
    const [gateway, agent] = [new Side(), new Side()];
    gateway.session = new Session(links[0], sideOptions(gateway));
    const fields = ["services", "web", "hostname", "box", "version", "0.1.0", "runtime", "bun"];
    agent.session = new Session(
      links[1],
      sideOptions(agent, { role: "agent", streamsMax: 4096, helloFields: fields }),
    );
    agent.serve = (stream) => {
      const head = encodeResponseHead({ status: 200, reason: "OK", fields: ["Content-Length", "6"] });
      stream.sendHead(head, new TextEncoder().encode("hello\n"), true);
    };
    gateway.session.start();
    agent.session.start();
    await until(() => gateway.session.rttMs > 0 && agent.session.rttMs > 0, "the pings");
    const head = encodeRequestHead({ method: "GET", target: "/hi", fields: ["Host", "web.example.com"] });
    const sink = new TestSink();
    sink.stream = gateway.session.openStream("http", "web", head, true, sink)!;
    await until(() => sink.ended, "the answer");
    expect([...concat(bytes[0]!)]).toEqual([...readHex("exchange-gateway")]);
    expect([...concat(bytes[1]!)]).toEqual([...readHex("exchange-agent")]);
    await endPair({ gateway, agent, links });
  });

  test("cut after any number of bytes ends both sides once and every stream with them", async () => {
    const exchange = async (cutAfterBytes: number): Promise<number> => {
      const links = memoryLinkPair({ cutAfterBytes });
      const [gateway, agent] = [new Side(), new Side()];
      gateway.session = new Session(links[0], sideOptions(gateway));
      agent.session = new Session(links[1], sideOptions(agent, { role: "agent", streamsMax: 10 }));
      agent.serve = (stream) => void stream.sendHead(RESPONSE, pattern(20), true);
      let sink: TestSink | undefined;
      const budgets = [gateway.session, agent.session];
      gateway.session.start();
      agent.session.start();
      await until(() => gateway.session.open || gateway.end !== undefined, "HELLO or the cut");
      if (gateway.session.open) sink = gateway.open().sink;
      await until(() => gateway.end !== undefined || sink?.ended === true, "the answer or the cut");
      if (gateway.end === undefined) gateway.session.close("none", "");
      await until(() => gateway.end !== undefined && agent.end !== undefined, "both ends");
      expect([gateway.ends, agent.ends]).toEqual([1, 1]);
      if (sink) {
        // An answer is whole or it is cut off: never both, never neither, never shorter.
        expect([sink.ended, sink.resets, sink.late]).toEqual(sink.ended ? [true, 0, 0] : [false, 1, 0]);
        if (sink.ended) expect(sink.bytes).toBe(20);
      }
      for (const served of agent.sinks) expect(served.late).toBe(0);
      for (const session of budgets) expect([session.heldBytes, session.streamsOpen]).toEqual([0, 0]);
      return sink?.ended ? 1 : 0;
    };
    let [cases, whole] = [0, 0];
    for (let bytes = 0; bytes <= 250; bytes++) {
      whole += await exchange(bytes);
      cases++;
    }
    expect(cases).toBe(251);
    expect(whole).toBeGreaterThan(0);
    expect(whole).toBeLessThan(cases);
  });

  test("whose link stalls loses nothing and holds no more than the link's bound", async () => {
    const pair = await readyPair({
      agent: { sessionWindowBytes: 8 << 20 },
      gateway: { sessionWindowBytes: 8 << 20 },
    });
    pair.links[0].stall();
    const sinks = Array.from({ length: 20 }, () => pair.gateway.open(false).sink);
    for (const sink of sinks) pour(sink, 250_000, 50_000);
    await settle();
    expect(pair.links[0].bufferedBytes).toBeLessThanOrEqual((1 << 20) + 128 * 1024);
    expect(pair.agent.sinks).toHaveLength(0);
    pair.links[0].resume();
    await until(
      () => pair.agent.sinks.length === 20 && pair.agent.sinks.every(({ ended }) => ended),
      "the bodies",
    );
    expect(pair.agent.sinks.every((sink) => sink.sound && sink.bytes === 250_000)).toBe(true);
    await endPair(pair);
  });

  test("opens no more than the peer's limit, its own limit, or a full link allow", async () => {
    const pair = await readyPair({ agent: { streamsMax: 3 } });
    const opened = Array.from({ length: 3 }, () => pair.gateway.open(false));
    expect(pair.gateway.session.open).toBe(false);
    expect(pair.gateway.session.openStream("http", "web", REQUEST, true, new TestSink())).toBeUndefined();
    opened[0]!.stream.reset("cancelled");
    expect(pair.gateway.session.open).toBe(true);
    await endPair(pair);

    const own = await readyPair({ gateway: { openStreamsMax: 2 } });
    own.gateway.open(false);
    own.gateway.open(false);
    expect(own.gateway.session.open).toBe(false);
    await endPair(own);

    const full = await readyPair({ agent: { streamsMax: 100_000 } });
    full.links[0].stall();
    const head = encodeRequestHead({ method: "GET", target: "/", fields: ["a", "x".repeat(60_000)] });
    let count = 0;
    while (full.gateway.session.openStream("http", "web", head, true, new TestSink())) {
      if (++count % 10 === 0) await settle(1);
      expect(count).toBeLessThan(100);
    }
    expect(full.links[0].bufferedBytes).toBeLessThanOrEqual(3 << 20);
    expect(full.gateway.end).toBeUndefined();
    full.links[0].resume();
    await until(() => full.gateway.session.open, "room again");
    await endPair(full);
  });

  test("lets an agent open nothing at a gateway", async () => {
    const pair = await readyPair();
    expect(pair.agent.session.open).toBe(false);
    await endPair(pair);
  });

  test("leaves nothing behind: no byte in the budget, no timer, one end", async () => {
    const pair = await readyPair();
    pair.agent.serve = (_stream, _open, sink) => void (sink.stalled = true);
    const { stream } = pair.gateway.open(false);
    stream.write(pattern(100_000));
    await until(() => (pair.agent.sinks[0]?.unconsumedBytes ?? 0) > 0, "held bytes");
    await endPair(pair);
    pair.gateway.session.close("internal", "again");
    expect([pair.gateway.ends, pair.agent.ends]).toEqual([1, 1]);
    expect(pair.agent.end!.remote).toBe(true);
    expect(pair.agent.session.heldBytes).toBe(0);
    pair.agent.sinks[0]!.resume();
    expect(pair.gateway.session.openStream("http", "web", REQUEST, true, new TestSink())).toBeUndefined();
  });
});
