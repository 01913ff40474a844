/**
 * Tests of the relay between the streams of two sessions: what one agent sends is what the other gets, credit stays
 * with whoever is slow, and a reset of either side is one of the other.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Stream } from "../../lib/mux/stream.ts";
import { relay, type RelayFacts } from "../../lib/tcp/relay.ts";
import { FLAG_END, FrameType } from "../../lib/wire/frame.ts";
import { decodeFields, encodeFields } from "../../lib/wire/head.ts";
import { decodeFarewell, encodeHead, encodeOpen } from "../../lib/wire/open.ts";
import {
  endPair,
  pattern,
  type RawPeer,
  readyPair,
  type SessionPair,
  settle,
  startAgainstRaw,
  TestSink,
  until,
} from "../support/session_pair.ts";

const CONNECTED = encodeFields([]);
const CALLED = encodeFields(["caller", "box"]);
const WINDOW_BYTES = 256 * 1024;
const CHUNK_BYTES = 32 * 1024;

/** One end of the whole line: writes the pattern, and reads it. */
class End {
  readonly sink = new TestSink();
  stream!: Stream;
  sentBytes = 0;
  ended = false;
  wasReset = false;

  send(bytes: number): void {
    if (!this.stream.writable) return;
    const chunk = pattern(bytes, this.sentBytes);
    this.sentBytes += bytes;
    this.stream.write(chunk);
    chunk.fill(0xee);
  }

  end(): void {
    if (!this.stream.writable) return;
    this.ended = true;
    this.stream.end();
  }

  reset(): void {
    if (this.stream.closed) return;
    this.wasReset = true;
    this.stream.reset("cancelled", "the test");
  }

  /** Whether a sender that heeds what it was told would write now. */
  get mayWrite(): boolean {
    return this.stream.writable && this.stream.queuedBytes === 0;
  }
}

/** caller ═ gateway ═ target: a pair of sessions on either side of the relay. */
interface Line {
  /** Its gateway side has the stream of the caller. */
  readonly calling: SessionPair;
  /** Its gateway side opens the stream to the target. */
  readonly serving: SessionPair;
  readonly caller: End;
  readonly target: End;
  readonly facts: RelayFacts[];
  /** What was told to the target in OPEN. */
  readonly head: () => string[] | undefined;
}

interface LineOptions {
  readonly chunkBytes?: number;
  /** Whether the target says at once that it stands. @default true */
  readonly stands?: boolean;
}

async function startLine({ chunkBytes, stands = true }: LineOptions = {}): Promise<Line> {
  const link = chunkBytes === undefined ? {} : { link: { chunkBytes } };
  const [caller, target] = [new End(), new End()];
  const facts: RelayFacts[] = [];
  let head: string[] | undefined;
  const serving = await readyPair({
    ...link,
    agent: {
      onOpen: (stream, open) => {
        head = decodeFields(open.head);
        target.stream = target.sink.stream = stream;
        stream.attach(target.sink);
        if (open.body.length > 0) target.sink.onData(open.body, stream.remoteEnded);
        else if (stream.remoteEnded) target.sink.ended = true;
        if (stands) stream.sendHead(CONNECTED);
      },
    },
  });
  const calling = await readyPair({
    ...link,
    gateway: {
      streamsMax: 10,
      onOpen: (stream, open) => {
        const { session } = serving.gateway;
        const onDone = (each: RelayFacts): void => void facts.push(each);
        relay({ caller: stream, body: open.body, session, service: "db", head: CALLED, onDone });
      },
    },
  });
  caller.stream = calling.agent.session.openStream("tcp", "db", CONNECTED, false, caller.sink)!;
  caller.sink.stream = caller.stream;
  await until(() => target.stream !== undefined, "the stream to reach the target");
  if (stands) await until(() => caller.sink.heads.length > 0, "the word that the target stands");
  return { calling, serving, caller, target, facts, head: () => head };
}

function expectWhole(...pairs: readonly SessionPair[]): void {
  for (const { gateway, agent } of pairs) {
    for (const [near, far] of [[gateway, agent], [agent, gateway]] as const) {
      expect(near.end).toBeUndefined();
      expect(near.session.streamsOpen).toBe(0);
      expect(near.session.heldBytes).toBe(0);
      expect(near.session.budget.heldBytes).toBe(0);
      expect(near.session.sender.window.creditBytes).toBe(far.session.creditGrantedBytes);
    }
  }
}

async function finish({ calling, serving }: Line): Promise<void> {
  await settle();
  expectWhole(calling, serving);
  await endPair(calling);
  await endPair(serving);
}

describe("relay()", () => {
  test("carries bytes, heads and each end by itself", async () => {
    const line = await startLine();
    const { caller, target, facts } = line;
    expect(line.head()).toEqual(["caller", "box"]);
    caller.send(100_000);
    await until(() => target.sink.bytes === 100_000, "the bytes of the caller");
    caller.end();
    await until(() => target.sink.ended, "the end of the caller");
    expect(facts).toEqual([]);
    target.send(5_000);
    target.end();
    await until(() => facts.length > 0 && caller.sink.ended, "the end of the target");
    expect([caller.sink.bytes, caller.sink.sound, target.sink.sound]).toEqual([5_000, true, true]);
    expect([caller.sink.heads.length, caller.sink.heads[0]!.length]).toEqual([1, CONNECTED.length]);
    expect(facts[0]).toMatchObject({
      by: "closed",
      connected: true,
      readBytes: 100_000,
      writtenBytes: 5_000,
    });
    expect(facts[0]!.code).toBeUndefined();
    await finish(line);
  });

  test("a target that is slow holds back the caller: a window of each session at most", async () => {
    const line = await startLine();
    const { caller, target, facts, calling } = line;
    target.sink.stalled = true;
    for (let sent = 0; sent < 64 && caller.mayWrite; sent++) {
      caller.send(CHUNK_BYTES);
      await settle(1);
    }
    // One window at the target, one at the relay that is not given back, and what the caller could not send.
    const atTarget = target.sink.unconsumedBytes;
    expect(atTarget).toBe(WINDOW_BYTES);
    const atRelay = calling.gateway.session.heldBytes;
    expect(atRelay).toBeGreaterThan(0);
    expect(atRelay).toBeLessThanOrEqual(WINDOW_BYTES);
    expect(caller.sentBytes).toBeLessThanOrEqual(atTarget + atRelay + CHUNK_BYTES);
    expect(caller.stream.queuedBytes).toBeGreaterThan(0);
    caller.end();
    target.sink.resume();
    await until(() => target.sink.ended, "the end of the caller");
    expect([target.sink.bytes, target.sink.sound]).toEqual([caller.sentBytes, true]);
    target.end();
    await until(() => facts.length > 0, "the relay to be over");
    await finish(line);
  });

  test("an end that comes while bytes wait comes behind them, and all credit returns", async () => {
    const line = await startLine();
    const { caller, target, facts, calling } = line;
    target.sink.stalled = true;
    caller.send(WINDOW_BYTES);
    await until(() => target.sink.bytes === WINDOW_BYTES, "the window of the target to be full");
    caller.send(1_000);
    caller.end();
    target.end();
    await until(() => caller.sink.ended, "the end of the target");
    await settle();
    // The thousand bytes wait at the relay, and so it is not over.
    expect(facts).toEqual([]);
    expect(calling.gateway.session.heldBytes).toBe(1_000);
    expect(target.sink.ended).toBe(false);
    target.sink.resume();
    await until(() => target.sink.ended && facts.length > 0, "the end of the caller");
    expect([target.sink.bytes, target.sink.sound]).toEqual([WINDOW_BYTES + 1_000, true]);
    expect(facts[0]).toMatchObject({ by: "closed", readBytes: WINDOW_BYTES + 1_000 });
    await finish(line);
  });

  test("a reset while bytes wait behind both ends takes both sides down", async () => {
    const line = await startLine();
    const { caller, target, facts } = line;
    target.sink.stalled = true;
    caller.send(WINDOW_BYTES);
    await until(() => target.sink.bytes === WINDOW_BYTES, "the window of the target to be full");
    caller.send(1_000);
    caller.end();
    target.end();
    await until(() => caller.sink.ended, "the end of the target");
    await settle();
    target.reset();
    await until(() => facts.length > 0, "the relay to be over");
    expect(facts[0]).toMatchObject({ by: "target", code: "cancelled" });
    await finish(line);
  });

  for (const [who, by] of [["caller", "caller"], ["target", "target"]] as const) {
    test(`a reset of the ${who} reaches the other with its code and its words`, async () => {
      const line = await startLine();
      const { caller, target, facts } = line;
      caller.send(10);
      target.send(10);
      await until(() => target.sink.bytes + caller.sink.bytes === 20, "the bytes");
      (who === "caller" ? caller : target).reset();
      const other = who === "caller" ? target : caller;
      await until(() => other.sink.resets > 0, "the reset");
      expect([other.sink.error?.code, other.sink.error?.message]).toEqual(["cancelled", "the test"]);
      expect(other.sink.ended).toBe(false);
      expect(facts).toHaveLength(1);
      expect(facts[0]).toMatchObject({ by, code: "cancelled", connected: true });
      await finish(line);
    });
  }

  test("what the target answers instead of standing is passed on", async () => {
    const line = await startLine({ stands: false });
    line.target.stream.reset("targetRefused");
    await until(() => line.caller.sink.resets > 0, "the reset");
    expect(line.caller.sink.error?.code).toBe("targetRefused");
    expect(line.facts[0]).toMatchObject({ by: "target", code: "targetRefused", connected: false });
    await finish(line);
  });

  test("a lost session of the target cuts the caller off, and nobody's end is made up", async () => {
    const line = await startLine();
    const { caller, target, facts, serving } = line;
    target.sink.stalled = true;
    caller.send(WINDOW_BYTES);
    await settle();
    caller.send(5_000);
    await settle();
    serving.agent.session.close("none", "gone");
    await until(() => caller.sink.resets > 0, "the reset");
    expect([caller.sink.error?.code, caller.sink.ended]).toEqual(["targetReset", false]);
    expect(facts).toHaveLength(1);
    expect(facts[0]).toMatchObject({ by: "target", code: "none" });
    await settle();
    expectWhole(line.calling);
    await endPair(line.calling);
    expect(serving.gateway.session.budget.heldBytes).toBe(0);
  });

  test("a lost session of the caller cuts the target off", async () => {
    const line = await startLine();
    const { caller, target, facts, calling } = line;
    caller.send(5_000);
    await settle();
    calling.agent.session.close("none", "gone");
    await until(() => target.sink.resets > 0, "the reset");
    expect(target.sink.ended).toBe(false);
    expect(facts[0]).toMatchObject({ by: "caller", code: "none" });
    await settle();
    expectWhole(line.serving);
    await endPair(line.serving);
    expect(calling.gateway.session.budget.heldBytes).toBe(0);
  });

  test("a session that takes no stream leaves the caller as it is", async () => {
    const line = await startLine();
    line.serving.agent.session.goAway("leaving");
    await until(() => line.serving.gateway.goAways.length > 0, "GOAWAY");
    const pair = await readyPair({ gateway: { streamsMax: 1 } });
    const caller = new End();
    caller.stream = pair.agent.session.openStream("tcp", "db", CONNECTED, false, caller.sink)!;
    await until(() => pair.gateway.streams.length > 0, "the stream");
    // That pair's own sink is attached already: a relay that touched the stream would fail on it.
    const took = relay({
      ...{ caller: pair.gateway.streams[0]!, body: new Uint8Array(0), session: line.serving.gateway.session },
      ...{ service: "db", head: CALLED, onDone: () => {} },
    });
    expect(took).toBeUndefined();
    await endPair(pair);
    line.caller.reset();
    await until(() => line.facts.length > 0, "the relay to be over");
    await endPair(line.calling);
    await endPair(line.serving);
  });
});

/** A relay between a caller and a target that are both written frame by frame. */
async function startRaw(
  openFlags: number,
  body: Uint8Array,
): Promise<{
  caller: RawPeer;
  target: RawPeer;
  facts: RelayFacts[];
  sides: { end: unknown }[];
  heldBytes: () => number;
}> {
  const serving = await startAgainstRaw("gateway");
  const facts: RelayFacts[] = [];
  const calling = await startAgainstRaw("gateway", {
    streamsMax: 10,
    onOpen: (stream, open) => {
      const { session } = serving.side;
      const onDone = (each: RelayFacts): void => void facts.push(each);
      relay({ caller: stream, body: open.body, session, service: "db", head: CALLED, onDone });
    },
  });
  const open = { kind: "tcp" as const, service: "db", windowBytes: WINDOW_BYTES, head: CONNECTED, body };
  calling.peer.add(FrameType.open, openFlags, 2, encodeOpen(open)).send();
  await until(() => serving.peer.seen(FrameType.open).length > 0, "OPEN at the target");
  const heldBytes = (): number =>
    calling.side.session.heldBytes + serving.side.session.heldBytes +
    calling.side.session.budget.heldBytes + serving.side.session.budget.heldBytes;
  return {
    ...{ caller: calling.peer, target: serving.peer, facts, heldBytes },
    sides: [calling.side, serving.side],
  };
}

function resetCode(peer: RawPeer): string | undefined {
  const [frame] = peer.seen(FrameType.reset);
  return frame && decodeFarewell(frame.payload).code;
}

describe("relay(), with peers that do not play fair", () => {
  const EARLY: readonly (readonly [string, number, number, number])[] = [
    ["nothing and no end", 0, 0, 0],
    ["an end and no body", 0, FLAG_END, 1],
    ["a body", 7, 0, 0],
    ["a body and its end", 7, FLAG_END, 1],
  ];
  test.each(EARLY.map((row) => [...row]))(
    "an OPEN with %s is passed on as it is",
    async (_name, bytes, flags, ends) => {
      const { target, caller, facts, heldBytes } = await startRaw(flags, pattern(bytes));
      const opened = target.seen(FrameType.open)[0]!;
      target.add(FrameType.head, 0, 1, encodeHead(CONNECTED, new Uint8Array(0))).send();
      await until(() => caller.seen(FrameType.head).length > 0, "HEAD at the caller");
      await settle();
      const data = target.seen(FrameType.data);
      expect(data.reduce((sum, { payload }) => sum + payload.length, 0)).toBe(bytes);
      const endsSeen = [opened, ...data, ...target.seen(FrameType.end)]
        .filter(({ type, flags: each }) => type === FrameType.end || (each & FLAG_END) !== 0);
      expect(endsSeen).toHaveLength(ends);
      target.add(FrameType.end, 0, 1).send();
      if (ends === 0) caller.add(FrameType.end, 0, 2).send();
      await until(() => facts.length > 0, "the relay to be over");
      expect(facts[0]).toMatchObject({ by: "closed", readBytes: bytes });
      expect(heldBytes()).toBe(0);
    },
  );

  test("a target that sends before it stands is cut off, and its session lives", async () => {
    const { target, caller, facts, sides, heldBytes } = await startRaw(0, new Uint8Array(0));
    // The caller has a window of 256 KiB: what is over it waits here, in front of a head.
    for (let sent = 0; sent < 5; sent++) target.add(FrameType.data, 0, 1, pattern(60_000));
    target.add(FrameType.head, 0, 1, encodeHead(CONNECTED, new Uint8Array(0))).send();
    await until(() => facts.length > 0, "the relay to be over");
    await settle();
    expect(sides.map(({ end }) => end)).toEqual([undefined, undefined]);
    expect([resetCode(caller), resetCode(target)]).toEqual(["badResponse", "badResponse"]);
    expect(caller.seen(FrameType.data)).toHaveLength(0);
    expect(facts).toHaveLength(1);
    expect(facts[0]).toMatchObject({ by: "target", code: "badResponse", connected: false });
    expect(heldBytes()).toBe(0);
  });

  test("a target that ends before it stands is cut off", async () => {
    const { target, caller, facts, sides } = await startRaw(0, new Uint8Array(0));
    target.add(FrameType.end, 0, 1).send();
    await until(() => facts.length > 0, "the relay to be over");
    await settle();
    expect([resetCode(caller), resetCode(target)]).toEqual(["badResponse", "badResponse"]);
    expect(caller.seen(FrameType.end)).toHaveLength(0);
    expect(facts[0]).toMatchObject({ by: "target", code: "badResponse" });
    expect(sides.map(({ end }) => end)).toEqual([undefined, undefined]);
  });

  test("a second head of the target is dropped, its bytes are not", async () => {
    const { target, caller, facts } = await startRaw(0, new Uint8Array(0));
    target.add(FrameType.head, 0, 1, encodeHead(CONNECTED, pattern(3)));
    target.add(FrameType.head, 0, 1, encodeHead(encodeFields(["a", "b"]), pattern(4, 3))).send();
    target.add(FrameType.end, 0, 1).send();
    caller.add(FrameType.end, 0, 2).send();
    await until(() => facts.length > 0, "the relay to be over");
    await settle();
    expect(caller.seen(FrameType.head)).toHaveLength(1);
    expect(facts[0]).toMatchObject({ by: "closed", writtenBytes: 7 });
  });
});

type Step =
  | { readonly kind: "send"; readonly side: 0 | 1; readonly bytes: number }
  | { readonly kind: "end" | "stall" | "resume" | "reset"; readonly side: 0 | 1 }
  | { readonly kind: "turn"; readonly turns: number };

const side = fc.constantFrom(0 as const, 1 as const);
const calm: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      ...{ kind: fc.constant("send" as const), side },
      bytes: fc.oneof(fc.integer({ min: 1, max: 300 }), fc.constantFrom(16_384, 65_537, 262_144)),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom("stall" as const, "resume" as const), side }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("end" as const), side }) },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant("turn" as const), turns: fc.integer({ min: 1, max: 4 }) }),
  },
);

async function act(step: Step, ends: readonly End[]): Promise<void> {
  if (step.kind === "turn") {
    for (let turn = 0; turn < step.turns; turn++) await new Promise((resolve) => setImmediate(resolve));
    return;
  }
  const end = ends[step.side]!;
  if (step.kind === "send") return end.mayWrite ? end.send(step.bytes) : undefined;
  if (step.kind === "end") return end.end();
  if (step.kind === "stall") return void (end.sink.stalled = true);
  if (step.kind === "resume") return end.sink.resume();
  end.reset();
}

describe("relay(), any order of events", () => {
  test("loses, doubles and reorders nothing, holds no byte at the end, and ends", async () => {
    let cases = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(calm, { maxLength: 60 }),
        fc.constantFrom(undefined, 5_000),
        async (plan, chunkBytes) => {
          cases++;
          const line = await startLine(chunkBytes === undefined ? {} : { chunkBytes });
          const ends = [line.caller, line.target];
          for (const step of plan) await act(step, ends);
          for (const end of ends) end.sink.resume();
          for (const end of ends) {
            if (end.ended) continue;
            end.end();
          }
          await until(
            () => line.facts.length > 0 && ends.every(({ sink }) => sink.ended),
            "the relay to be over",
          );
          expect(line.facts).toHaveLength(1);
          expect(line.facts[0]).toMatchObject({
            ...{ by: "closed", readBytes: line.caller.sentBytes, writtenBytes: line.target.sentBytes },
          });
          for (const [at, end] of ends.entries()) {
            const other = ends[1 - at]!;
            expect([end.sink.bytes, end.sink.sound, end.sink.resets, end.sink.late])
              .toEqual([other.sentBytes, true, 0, 0]);
          }
          await finish(line);
        },
      ),
      { numRuns: 40 },
    );
    expect(cases).toBe(40);
  });

  test("with resets, never shows a part as a whole, holds no byte at the end, and ends", async () => {
    const wild = fc.oneof(
      { weight: 10, arbitrary: calm },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant("reset" as const), side }) },
    );
    let cases = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(wild, { minLength: 5, maxLength: 60 }), side, async (plan, breaker) => {
        cases++;
        const line = await startLine();
        const ends = [line.caller, line.target];
        for (const step of plan) await act(step, ends);
        await settle(4);
        // Whoever is left over is ended by this, unless both ends were orderly and only bytes wait.
        ends[breaker]!.reset();
        await settle(4);
        for (const end of ends) end.sink.resume();
        await until(() => line.facts.length > 0, "the relay to be over");
        await settle();
        expect(line.facts).toHaveLength(1);
        for (const [at, end] of ends.entries()) {
          const other = ends[1 - at]!;
          expect([end.sink.sound, end.sink.late]).toEqual([true, 0]);
          expect(end.sink.bytes).toBeLessThanOrEqual(other.sentBytes);
          if (end.sink.ended) expect([other.ended, end.sink.bytes]).toEqual([true, other.sentBytes]);
        }
        if (line.facts[0]!.by === "closed") {
          // One that broke off just as all was over did not wait to see the other's end.
          expect(ends.map(({ sink, wasReset }) => sink.ended || wasReset)).toEqual([true, true]);
        }
        await finish(line);
      }),
      { numRuns: 40 },
    );
    expect(cases).toBe(40);
  });
});
