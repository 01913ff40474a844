/**
 * Tests of the splice of a socket and a stream, with a socket that does as the test says: bytes, ends, resets and
 * credit, each way, and any order of them.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Splice, type SpliceFacts, type SpliceOptions } from "../../lib/tcp/splice.ts";
import { encodeFields } from "../../lib/wire/head.ts";
import type { Stream } from "../../lib/mux/stream.ts";
import {
  endPair,
  pattern,
  readyPair,
  type SessionPair,
  settle,
  TestSink,
  until,
} from "../support/session_pair.ts";
import { FakeSocket } from "./fake_socket.ts";

const HEAD = encodeFields([]);
/** A stream's window to start with. */
const WINDOW_BYTES = 256 * 1024;
const CHUNK_BYTES = 32 * 1024;

/** A splice at the agent's side of a pair; the gateway's side is a plain sink. */
interface Rig {
  readonly pair: SessionPair;
  readonly socket: FakeSocket;
  readonly splice: Splice;
  readonly facts: SpliceFacts[];
  /** The other side of the stream. */
  readonly far: { stream: Stream; sink: TestSink };
}

interface RigOptions extends Partial<SpliceOptions> {
  /** @default true */
  readonly joins?: boolean;
  readonly chunkBytes?: number;
}

async function startRig(options: RigOptions = {}): Promise<Rig> {
  const { joins = true, chunkBytes, ...spliceOptions } = options;
  const pair = await readyPair({
    ...(chunkBytes === undefined ? {} : { link: { chunkBytes } }),
    agent: {
      onOpen: (stream) => {
        splice.begin(stream);
        stream.attach(splice);
        if (joins) splice.join(socket.asSocket);
        opened = true;
      },
    },
  });
  const facts: SpliceFacts[] = [];
  const splice = new Splice({
    ...{ idleTimeoutMs: 0, brokenCode: "targetReset", onDone: (each) => facts.push(each) },
    ...spliceOptions,
  });
  const socket = new FakeSocket();
  let opened = false;
  const sink = new TestSink();
  const stream = pair.gateway.session.openStream("tcp", "db", HEAD, false, sink)!;
  sink.stream = stream;
  await until(() => opened, "the stream to be accepted");
  return { pair, socket, splice, facts, far: { stream, sink } };
}

/** Nothing is held anywhere, no stream is left, and what one side may send is what the other granted. */
function expectWhole({ gateway, agent }: SessionPair): void {
  for (const [near, far] of [[gateway, agent], [agent, gateway]] as const) {
    expect(near.end).toBeUndefined();
    expect(near.session.streamsOpen).toBe(0);
    expect(near.session.heldBytes).toBe(0);
    expect(near.session.budget.heldBytes).toBe(0);
    expect(near.session.sender.window.creditBytes).toBe(far.session.creditGrantedBytes);
  }
}

async function finish(rig: Rig): Promise<void> {
  await settle();
  expectWhole(rig.pair);
  await endPair(rig.pair);
}

describe("Splice", () => {
  test("carries bytes both ways, and each end by itself", async () => {
    const rig = await startRig();
    const { socket, far, facts } = rig;
    socket.feed(1_000);
    far.stream.write(pattern(2_000));
    socket.feedEnd();
    await until(() => far.sink.ended, "the end of the socket");
    expect([far.sink.bytes, far.sink.sound]).toEqual([1_000, true]);
    expect(facts).toEqual([]);
    far.stream.write(pattern(3_000, 2_000));
    far.stream.end();
    await until(() => facts.length > 0, "the splice to be over");
    expect([socket.takenBytes, socket.sound, socket.ended, socket.resets]).toEqual([5_000, true, true, 0]);
    expect(facts[0]).toMatchObject({ by: "closed", code: undefined, readBytes: 1_000, writtenBytes: 5_000 });
    expect([far.sink.resets, far.sink.trailers?.length ?? 0]).toEqual([0, 0]);
    await finish(rig);
  });

  test("goes on to read the socket when the stream has ended", async () => {
    const rig = await startRig();
    const { socket, far, facts } = rig;
    far.stream.end();
    await until(() => socket.ended, "the end at the socket");
    expect(facts).toEqual([]);
    socket.feed(70_000);
    socket.feedEnd();
    await until(() => far.sink.ended && facts.length > 0, "the other end");
    expect([far.sink.bytes, far.sink.sound]).toEqual([70_000, true]);
    await finish(rig);
  });

  test("a reset of the stream resets the socket, once", async () => {
    const rig = await startRig();
    const { socket, far, facts } = rig;
    far.stream.reset("cancelled", "the caller left");
    await until(() => facts.length > 0, "the splice to be over");
    expect([socket.resets, socket.ended]).toEqual([1, false]);
    expect(facts[0]).toMatchObject({ by: "stream", code: "cancelled", detail: "the caller left" });
    await finish(rig);
    expect(facts).toHaveLength(1);
  });

  test("a socket that breaks resets the stream with the given code", async () => {
    const rig = await startRig();
    const { socket, far, facts } = rig;
    socket.feed(10);
    socket.break("ECONNRESET");
    await until(() => far.sink.resets > 0, "the reset");
    expect([far.sink.error?.code, far.sink.bytes, far.sink.ended]).toEqual(["targetReset", 10, false]);
    expect(facts).toHaveLength(1);
    expect(facts[0]).toMatchObject({ by: "socket", code: "targetReset", detail: "ECONNRESET" });
    await finish(rig);
  });

  test("a socket that closes without an end is cut off, not whole", async () => {
    const rig = await startRig();
    rig.socket.reset();
    await until(() => rig.far.sink.resets > 0, "the reset");
    expect([rig.far.sink.error?.code, rig.far.sink.ended]).toEqual(["targetReset", false]);
    expect(rig.facts[0]).toMatchObject({ by: "socket", detail: "The connection was cut off" });
    await finish(rig);
  });

  test("a socket that breaks when both sides have ended, with bytes not taken, is no orderly end", async () => {
    const rig = await startRig();
    const { socket, far, facts } = rig;
    socket.stalled = true;
    far.stream.write(pattern(5_000));
    far.stream.end();
    socket.feedEnd();
    await until(() => far.sink.ended && socket.ended, "both ends");
    expect(rig.pair.agent.session.heldBytes).toBe(5_000);
    socket.break();
    await until(() => facts.length > 0, "the splice to be over");
    expect(facts[0]!.by).toBe("socket");
    await finish(rig);
  });

  test("credit goes back when the socket has taken the bytes, and not before", async () => {
    const rig = await startRig();
    const { socket, far, facts, pair } = rig;
    socket.stalled = true;
    const sentBytes = WINDOW_BYTES * 3;
    for (let at = 0; at < sentBytes; at += CHUNK_BYTES) far.stream.write(pattern(CHUNK_BYTES, at));
    await until(() => socket.waitingBytes === WINDOW_BYTES, "the window to be full");
    await settle();
    expect(socket.waitingBytes).toBe(WINDOW_BYTES);
    expect(pair.agent.session.heldBytes).toBe(WINDOW_BYTES);
    expect(far.stream.queuedBytes).toBe(sentBytes - WINDOW_BYTES);
    socket.take();
    await until(() => socket.takenBytes === sentBytes, "all bytes");
    expect(pair.agent.session.heldBytes).toBe(0);
    expect(socket.sound).toBe(true);
    far.stream.end();
    socket.feedEnd();
    await until(() => facts.length > 0, "the splice to be over");
    expect(facts[0]).toMatchObject({ by: "closed", writtenBytes: sentBytes });
    await finish(rig);
  });

  test("the socket waits while the stream has no credit, and is read on when it has", async () => {
    const rig = await startRig();
    const { socket, far } = rig;
    far.sink.stalled = true;
    while (socket.reads && socket.fedBytes < WINDOW_BYTES * 4) {
      socket.feed(CHUNK_BYTES + 1);
      await settle(1);
    }
    expect(socket.paused).toBe(true);
    const heldAtSender = socket.fedBytes - far.sink.bytes;
    // What was read beyond the credit is one chunk at most.
    expect(heldAtSender).toBeLessThanOrEqual(CHUNK_BYTES + 1);
    far.sink.resume();
    await until(() => !socket.paused, "the socket to be read");
    expect(far.sink.bytes).toBe(socket.fedBytes);
    socket.feedEnd();
    far.stream.end();
    await until(() => rig.facts.length > 0, "the splice to be over");
    expect(far.sink.sound).toBe(true);
    await finish(rig);
  });

  test("what comes before there is a socket waits, unacknowledged, and goes first", async () => {
    const rig = await startRig({ joins: false });
    const { socket, splice, far, facts, pair } = rig;
    far.stream.write(pattern(4_000));
    far.stream.write(pattern(1_000, 4_000));
    far.stream.end();
    await settle();
    expect(pair.agent.session.heldBytes).toBe(5_000);
    splice.join(socket.asSocket);
    expect([socket.takenBytes, socket.sound, socket.ended]).toEqual([5_000, true, true]);
    expect(pair.agent.session.heldBytes).toBe(0);
    socket.feedEnd();
    await until(() => facts.length > 0, "the splice to be over");
    expect(facts[0]!.by).toBe("closed");
    await finish(rig);
  });

  test("no more than a window waits for a socket that never comes, and a stop gives it back", async () => {
    const rig = await startRig({ joins: false });
    const { splice, far, facts, pair } = rig;
    for (let at = 0; at < WINDOW_BYTES * 2; at += CHUNK_BYTES) far.stream.write(pattern(CHUNK_BYTES, at));
    await until(() => pair.agent.session.heldBytes === WINDOW_BYTES, "the window to be full");
    await settle();
    expect(pair.agent.session.heldBytes).toBe(WINDOW_BYTES);
    splice.stop("targetTimeout", "no answer");
    await until(() => far.sink.resets > 0, "the reset");
    expect([far.sink.error?.code, far.sink.error?.message]).toEqual(["targetTimeout", "no answer"]);
    expect(facts).toHaveLength(1);
    expect(facts[0]).toMatchObject({ by: "stopped", code: "targetTimeout", detail: "no answer" });
    await finish(rig);
  });

  test("a socket that comes after the end is reset and never read", async () => {
    const rig = await startRig({ joins: false });
    rig.splice.stop("cancelled", "");
    rig.splice.join(rig.socket.asSocket);
    expect([rig.socket.resets, rig.socket.started]).toEqual([1, 0]);
    await finish(rig);
    expect(rig.facts).toHaveLength(1);
  });

  test("a socket that was gone before it was joined ends the stream", async () => {
    const rig = await startRig({ joins: false });
    rig.socket.break("EPIPE");
    await settle();
    rig.splice.join(rig.socket.asSocket);
    await until(() => rig.far.sink.resets > 0, "the reset");
    expect(rig.facts).toHaveLength(1);
    expect(rig.facts[0]).toMatchObject({ by: "socket", detail: "EPIPE" });
    await finish(rig);
  });

  test("bytes that go first are read before those of the socket", async () => {
    const rig = await startRig({ joins: false });
    const { socket, splice, far } = rig;
    splice.join(socket.asSocket, pattern(300));
    socket.fedBytes = 300;
    socket.feed(700);
    socket.feedEnd();
    far.stream.end();
    await until(() => rig.facts.length > 0 && far.sink.ended, "the splice to be over");
    expect([far.sink.bytes, far.sink.sound, rig.facts[0]!.readBytes]).toEqual([1_000, true, 1_000]);
    await finish(rig);
  });

  test("stop resets both sides, with its code", async () => {
    const rig = await startRig();
    rig.splice.stop("cancelled", "the gateway is stopping");
    expect(rig.socket.resets).toBe(1);
    expect(rig.splice.done).toBe(true);
    await until(() => rig.far.sink.resets > 0, "the reset");
    expect(rig.far.sink.error?.code).toBe("cancelled");
    rig.splice.stop("internal", "again");
    await finish(rig);
    expect(rig.facts).toHaveLength(1);
  });

  test("a session that is lost resets the socket", async () => {
    const rig = await startRig();
    rig.pair.agent.session.close("none", "over");
    await until(() => rig.facts.length > 0, "the splice to be over");
    expect(rig.facts[0]).toMatchObject({ by: "stream", code: "none" });
    expect(rig.socket.resets).toBe(1);
    await endPair(rig.pair);
  });

  test("take keeps back what must not go on, and cuts the connection off when it refuses", async () => {
    const rig = await startRig({ take: (chunk) => chunk[0] === 0x21 ? undefined : chunk.subarray(0, 3) });
    const { socket, far, facts } = rig;
    const seen: number[] = [];
    far.sink.onChunk = (chunk) => seen.push(...chunk);
    socket.feedRaw(new Uint8Array([1, 2, 3, 4, 5]));
    socket.feedRaw(new Uint8Array([6]));
    await until(() => seen.length === 4, "what may go on");
    expect(seen).toEqual([1, 2, 3, 6]);
    socket.feedRaw(new Uint8Array([0x21]));
    await until(() => far.sink.resets > 0, "the reset");
    expect([seen.length, far.sink.error?.code, socket.resets]).toEqual([4, "badRequest", 1]);
    expect(facts).toHaveLength(1);
    expect(facts[0]).toMatchObject({ by: "socket", code: "badRequest", readBytes: 4 });
    await finish(rig);
  });

  test("tells once that the other side stands, and joins with what came along", async () => {
    const pair = await readyPair({
      agent: {
        onOpen: (stream) => {
          stream.attach(new TestSink());
          stream.sendHead(HEAD, pattern(50));
          stream.sendHead(HEAD);
          stream.write(pattern(50, 50));
          stream.end();
        },
      },
    });
    const socket = new FakeSocket();
    const facts: SpliceFacts[] = [];
    let connected = 0;
    const splice: Splice = new Splice({
      ...{ idleTimeoutMs: 0, brokenCode: "cancelled", onDone: (each: SpliceFacts) => facts.push(each) },
      onConnected: () => {
        connected++;
        splice.join(socket.asSocket);
      },
    });
    splice.begin(pair.gateway.session.openStream("tcp", "db", HEAD, false, splice)!);
    await until(() => socket.ended, "the end");
    expect([connected, socket.takenBytes, socket.sound]).toEqual([1, 100, true]);
    socket.feedEnd();
    await until(() => facts.length > 0, "the splice to be over");
    expect(facts[0]).toMatchObject({ by: "closed", connected: true });
    await settle();
    expectWhole(pair);
    await endPair(pair);
  });

  test("a splice in which nothing moves is ended, and the other side told", async () => {
    const rig = await startRig({ idleTimeoutMs: 20 });
    await until(() => rig.facts.length > 0, "the idle timeout");
    expect(rig.facts[0]).toMatchObject({ by: "idle", code: "cancelled" });
    await until(() => rig.far.sink.resets > 0, "the reset");
    expect(rig.socket.resets).toBe(1);
    await finish(rig);
  });

  test("the idle timeout is never shorter than it says", async () => {
    // What moves just before a look of the timer must not count as half of the time.
    const idleTimeoutMs = 200;
    const rig = await startRig({ idleTimeoutMs });
    const { socket, facts } = rig;
    const until1 = performance.now() + idleTimeoutMs * 0.45;
    let lastMs = 0;
    while (performance.now() < until1) {
      socket.feed(1);
      lastMs = performance.now();
      await settle(1);
    }
    await until(() => facts.length > 0, "the idle timeout");
    expect(performance.now() - lastMs).toBeGreaterThanOrEqual(idleTimeoutMs - 5);
    await finish(rig);
  });

  test("no timer ends a splice without a limit", async () => {
    const rig = await startRig({ idleTimeoutMs: 0 });
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect(rig.facts).toEqual([]);
    rig.splice.stop("none", "");
    await finish(rig);
  });
});

/** One step of either end of a connection, by the same words on both sides. */
type Step =
  | { readonly kind: "feed"; readonly side: 0 | 1; readonly bytes: number }
  | { readonly kind: "end" | "stall" | "take" | "break" | "stop"; readonly side: 0 | 1 }
  | { readonly kind: "turn"; readonly turns: number };

const side = fc.constantFrom(0 as const, 1 as const);
const feed = fc.record({
  kind: fc.constant("feed" as const),
  side,
  bytes: fc.oneof(fc.integer({ min: 1, max: 300 }), fc.constantFrom(16_384, 65_536, 200_000)),
});
const calm = fc.oneof(
  { weight: 6, arbitrary: feed },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constantFrom("stall" as const, "take" as const), side }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("end" as const), side }) },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant("turn" as const), turns: fc.integer({ min: 1, max: 3 }) }),
  },
);
const wild = fc.oneof(
  { weight: 8, arbitrary: calm },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom("break" as const, "stop" as const), side }) },
);

/** A splice on both sides of one stream, each with a socket. The opener's joins at once. */
async function startBoth(chunkBytes: number | undefined): Promise<{
  pair: SessionPair;
  sockets: [FakeSocket, FakeSocket];
  splices: [Splice, Splice];
  facts: SpliceFacts[][];
}> {
  const facts: SpliceFacts[][] = [[], []];
  const splices = [0, 1].map((at) =>
    new Splice({ idleTimeoutMs: 0, brokenCode: "targetReset", onDone: (each) => facts[at]!.push(each) })
  ) as [Splice, Splice];
  const sockets: [FakeSocket, FakeSocket] = [new FakeSocket(), new FakeSocket()];
  let accepted = false;
  const pair = await readyPair({
    ...(chunkBytes === undefined ? {} : { link: { chunkBytes } }),
    agent: {
      onOpen: (stream) => {
        splices[1].begin(stream);
        stream.attach(splices[1]);
        stream.sendHead(HEAD);
        splices[1].join(sockets[1].asSocket);
        accepted = true;
      },
    },
  });
  splices[0].begin(pair.gateway.session.openStream("tcp", "db", HEAD, false, splices[0])!);
  splices[0].join(sockets[0].asSocket);
  await until(() => accepted, "the stream to be accepted");
  return { pair, sockets, splices, facts };
}

/** Does what is possible of a step. */
async function take(step: Step, sockets: readonly FakeSocket[], splices: readonly Splice[]): Promise<void> {
  if (step.kind === "turn") return await turns(step.turns);
  const socket = sockets[step.side]!;
  if (step.kind === "feed") return socket.reads ? socket.feed(step.bytes) : undefined;
  if (step.kind === "end") return socket.reads ? socket.feedEnd() : undefined;
  if (step.kind === "stall") return void (socket.stalled = true);
  if (step.kind === "take") return socket.take();
  if (step.kind === "break") return socket.break();
  splices[step.side]!.stop("cancelled", "the test");
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
}

describe("Splice, any order of events", () => {
  const chunkBytes = fc.constantFrom(undefined, 7, 4_096);

  test("loses, doubles and reorders nothing, holds no byte at the end, and ends", async () => {
    let cases = 0;
    const steps = fc.array(calm, { maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(steps, chunkBytes, async (plan, pieces) => {
        cases++;
        // Cut into few bytes, large chunks take long and show nothing more.
        const sized = pieces === 7
          ? plan.map((step) => step.kind === "feed" ? { ...step, bytes: step.bytes % 300 + 1 } : step)
          : plan;
        const { pair, sockets, splices, facts } = await startBoth(pieces);
        for (const step of sized) await take(step, sockets, splices);
        for (const socket of sockets) {
          expect(socket.waitingBytes).toBeLessThanOrEqual(4 << 20);
          socket.take();
        }
        for (const socket of sockets) {
          if (socket.fedEnd) continue;
          await until(() => socket.reads, "the socket to be read");
          socket.feedEnd();
        }
        await until(() => facts.every((each) => each.length > 0), "both splices to be over");
        await settle();
        expect(facts.flat().map(({ by }) => by)).toEqual(["closed", "closed"]);
        for (const [at, socket] of sockets.entries()) {
          const other = sockets[1 - at]!;
          expect([socket.sound, socket.takenBytes]).toEqual([true, other.fedBytes]);
          expect([socket.resets, socket.lateWrites]).toEqual([0, 0]);
          expect(facts[at]![0]).toMatchObject({ readBytes: socket.fedBytes, writtenBytes: other.fedBytes });
        }
        expectWhole(pair);
        await endPair(pair);
      }),
      { numRuns: 40 },
    );
    expect(cases).toBe(40);
  });

  test("with resets, never shows a part as a whole, holds no byte at the end, and ends", async () => {
    let cases = 0;
    const steps = fc.array(wild, { minLength: 5, maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(steps, side, async (plan, breaker) => {
        cases++;
        const { pair, sockets, splices, facts } = await startBoth(undefined);
        for (const step of plan) await take(step, sockets, splices);
        for (const socket of sockets) socket.take();
        await settle();
        // Whatever state it was left in, one break ends all of it.
        sockets[breaker].break();
        await until(() => facts.every((each) => each.length > 0), "both splices to be over");
        await settle();
        expect(facts.map((each) => each.length)).toEqual([1, 1]);
        for (const [at, socket] of sockets.entries()) {
          const other = sockets[1 - at]!;
          expect([socket.sound, socket.lateWrites]).toEqual([true, 0]);
          expect(socket.takenBytes).toBeLessThanOrEqual(other.fedBytes);
          if (facts[at]![0]!.by === "closed") expect(socket.takenBytes).toBe(other.fedBytes);
          // An end is shown only where the other side had ended, and with all of its bytes.
          const showsEnd = socket.ended && socket.resets === 0 && !socket.broken;
          if (showsEnd) expect([other.fedEnd, socket.takenBytes]).toEqual([true, other.fedBytes]);
        }
        expectWhole(pair);
        await endPair(pair);
      }),
      { numRuns: 40 },
    );
    expect(cases).toBe(40);
  });
});
