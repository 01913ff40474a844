/**
 * An agent that was taken over, against its gateway: streams past its limit, windows that are absurd, reports without
 * end, and any frames at all. It loses its streams or its session; nobody else notices.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { FrameType, REPORT_BYTES_MAX, writeUint32 } from "../../lib/wire/frame.ts";
import { encodeFields } from "../../lib/wire/head.ts";
import { WINDOW_BYTES_MAX } from "../../lib/wire/hello.ts";
import { decodeFarewell, encodeOpen, StreamKind, type StreamKindName } from "../../lib/wire/open.ts";
import { claims, GatewayRig, type ScriptedAgent } from "../support/gateway_rig.ts";
import { pattern, settle, until } from "../support/session_pair.ts";
import { attack } from "../support/under_attack.ts";

const NO_FIELDS = encodeFields([]);

describe("streams", () => {
  test("past the limit are refused, whatever their kind, and what came with them is counted and let go", async () => {
    const target = await attack("gateway", { streamsMax: 50 });
    let most = 0;
    target.side.serve = () => void (most = Math.max(most, target.side.session.streamsOpen));
    const kinds = Object.keys(StreamKind) as StreamKindName[];
    for (let i = 0; i < 5000; i++) {
      const kind = kinds[i % kinds.length]!;
      target.peer.open(2 + 2 * i, false, { kind, service: "x", head: NO_FIELDS, body: new Uint8Array(100) });
    }
    target.peer.send();
    const resets = () => target.peer.seen(FrameType.reset);
    await until(() => resets().length === 4950, "the refusals");
    expect(new Set(resets().map(({ payload }) => decodeFarewell(payload).code))).toEqual(
      new Set(["refused"]),
    );
    expect([most, target.side.opens.length, target.side.session.heldBytes]).toEqual([50, 50, 0]);
    await target.lives();
  });

  test("of one that may open none cost it a reset each, and nothing is kept", async () => {
    const target = await attack("gateway", { streamsMax: 0 });
    for (let i = 0; i < 2000; i++) {
      target.peer.open(2 + 2 * i, i % 2 === 0, { kind: "egress", service: "", body: new Uint8Array(50) });
    }
    target.peer.send();
    await until(() => target.peer.seen(FrameType.reset).length === 2000, "the refusals");
    expect([target.side.opens.length, target.side.session.streamsOpen]).toEqual([0, 0]);
    await target.lives();
  });

  test("that are opened and reset without end never pile up, and are not answered", async () => {
    const target = await attack("gateway", { streamsMax: 10 });
    const cancelled = Uint8Array.of(0, 0, 0, 6);
    for (let i = 0; i < 20_000; i++) {
      target.peer.open(2 + 2 * i, false, { kind: "tcp", service: "x", head: NO_FIELDS });
      target.peer.add(FrameType.reset, 0, 2 + 2 * i, cancelled);
    }
    target.peer.send();
    await until(() => target.side.opens.length === 20_000, "all of them");
    expect(target.side.session.streamsOpen).toBe(0);
    // Its own resets are no reason to send it anything.
    expect(target.peer.seen(FrameType.reset)).toEqual([]);
    await target.lives();
  });

  test.each([
    ["an id of the gateway's", [1]],
    ["an id twice", [2, 2]],
    ["an id below the last", [6, 4]],
    ["the session's id", [0]],
    ["an id over the largest", [0x8000_0000]],
  ])("with %s end the session", async (_name, ids) => {
    const target = await attack("gateway", { streamsMax: 10 });
    for (const id of ids) target.peer.open(id, false, { kind: "tcp" });
    target.peer.send();
    await target.endsWith("protocol");
  });

  test("with no service are read for egress alone", async () => {
    const target = await attack("gateway", { streamsMax: 10 });
    target.peer.open(2, false, { kind: "egress", service: "" }).send();
    await until(() => target.side.opens.length === 1, "the stream");
    target.peer.open(4, false, { kind: "tcp", service: "" }).send();
    await target.endsWith("protocol");
  });

  test("of an unknown kind are refused, and their ids are used up", async () => {
    const target = await attack("gateway", { streamsMax: 10 });
    const open = encodeOpen({ kind: "tcp", service: "x", windowBytes: 1, head: NO_FIELDS });
    open[0] = 0x7e;
    target.peer.add(FrameType.open, 0, 2, open).send();
    await until(() => target.peer.seen(FrameType.reset).length === 1, "the refusal");
    expect(target.side.opens).toEqual([]);
    target.peer.open(2, false, { kind: "tcp" }).send();
    await target.endsWith("protocol");
  });
});

describe("windows", () => {
  test("of a stream that is as wide as can be let out no more than the session's credit", async () => {
    const target = await attack("gateway", { streamsMax: 10 }, { sessionWindowBytes: 10_000 });
    target.side.serve = (stream) => {
      stream.sendHead(NO_FIELDS);
      stream.write(pattern(1 << 20));
    };
    target.peer.open(2, true, { kind: "tcp", head: NO_FIELDS, windowBytes: WINDOW_BYTES_MAX }).send();
    const sent = (): number =>
      target.peer.seen(FrameType.data).reduce((sum, { payload }) => sum + payload.length, 0);
    await until(() => sent() === 10_000, "what the session allows");
    await settle();
    expect([sent(), target.side.streams[0]!.queuedBytes]).toEqual([10_000, (1 << 20) - 10_000]);
    target.side.streams[0]!.reset("cancelled");
    await target.lives();
  });

  test("over the largest, in OPEN or by credit on top, end the session", async () => {
    const wide = await attack("gateway", { streamsMax: 10 });
    const open = encodeOpen({ kind: "tcp", service: "x", windowBytes: 1, head: NO_FIELDS });
    writeUint32(open, 1, WINDOW_BYTES_MAX + 1);
    wide.peer.add(FrameType.open, 0, 2, open).send();
    await wide.endsWith("protocol");
    const grown = await attack("gateway", { streamsMax: 10 });
    grown.peer.open(2, false, { kind: "tcp", windowBytes: WINDOW_BYTES_MAX }).credit(2, 1).send();
    await grown.endsWith("flowControl");
  });

  test("of nothing hold back what is written, and nobody else", async () => {
    const target = await attack("gateway", { streamsMax: 10 });
    target.side.serve = (stream, open) => {
      stream.sendHead(NO_FIELDS);
      stream.write(pattern(100));
      if (open.windowBytes > 0) stream.end();
    };
    target.peer.open(2, true, { kind: "tcp", windowBytes: 0 }).open(4, true, {
      kind: "tcp",
      windowBytes: 100,
    });
    target.peer.send();
    await until(() => target.peer.seen(FrameType.data).length === 1, "the other stream");
    expect(target.peer.seen(FrameType.data)[0]!.streamId).toBe(4);
    expect(target.side.streams[0]!.queuedBytes).toBe(100);
    target.side.streams[0]!.reset("cancelled");
    await target.lives();
  });

  test("of the gateway are not for more than they say: a body past them ends the session", async () => {
    const target = await attack("gateway", { streamsMax: 10 });
    target.side.stallsAll = true;
    target.peer.open(2, false, { kind: "tcp", head: NO_FIELDS });
    for (let i = 0; i < 9; i++) target.peer.add(FrameType.data, 0, 2, new Uint8Array(32 * 1024));
    target.peer.send();
    await target.endsWith("flowControl");
  });
});

describe("reports", () => {
  test("without end are read one by one, and none is kept but by who is told", async () => {
    let reports = 0;
    const target = await attack("gateway", { onReport: () => void reports++ });
    const small = encodeFields(["wall", "whole", "listeners", "0"]);
    const large = encodeFields(["n", "x".repeat(REPORT_BYTES_MAX - 7)]);
    for (let i = 0; i < 3000; i++) target.peer.add(FrameType.report, 0, 0, i % 100 ? small : large);
    target.peer.send();
    await until(() => reports === 3000, "all reports");
    expect(target.peer.seen(FrameType.goAway)).toEqual([]);
    await target.lives();
  });

  test("between the frames of a stream leave it as it is", async () => {
    const target = await attack("gateway", { streamsMax: 10 });
    target.peer.open(2, false, { kind: "tcp", body: pattern(10) });
    target.peer.add(FrameType.report, 0xff, 2, encodeFields(["a", "b"]));
    target.peer.add(FrameType.data, 1, 2, pattern(10, 10)).send();
    await until(() => target.side.sinks[0]?.ended === true, "the end of the body");
    expect([target.side.sinks[0]!.bytes, target.side.sinks[0]!.sound]).toEqual([20, true]);
    await target.lives();
  });
});

/** One frame of an attacker, as numbers that a shrinker can make smaller. */
interface AnyFrame {
  type: number;
  flags: number;
  id: number;
  size: number;
}

const anyFrame: fc.Arbitrary<AnyFrame> = fc.record({
  type: fc.constantFrom(
    ...[FrameType.open, FrameType.open, FrameType.data, FrameType.data, FrameType.end, FrameType.reset],
    ...[FrameType.credit, FrameType.report, FrameType.ping, FrameType.head],
  ),
  flags: fc.constantFrom(0, 0, 1),
  id: fc.integer({ min: 0, max: 9 }),
  size: fc.constantFrom(0, 1, 4, 8, 1000, 70_000),
});

/** What an attacker that keeps to the protocol must know: its last id, and the streams that it has not ended. */
interface Kept {
  next: number;
  readonly open: Set<number>;
}

const REPORT = encodeFields(["wall", "whole", "listeners", "0"]);

function openAny(agent: ScriptedAgent, { flags, id, size }: AnyFrame, kept: Kept): void {
  const kinds = ["tcp", "tcp", "tcp", "egress", "http"] as const;
  const kind = kinds[id % kinds.length]!;
  const service = ["db", "web", "nobody", "no name"][id % 4]!;
  const head = encodeFields(kind === "egress" ? ["host", "127.0.0.1", "port", "1"] : []);
  const body = new Uint8Array(Math.min(size, 60_000));
  const open = encodeOpen({ kind, service, windowBytes: size * 10, head, body });
  agent.peer.frame(FrameType.open, flags, kept.next, open);
  if (flags === 0) kept.open.add(kept.next);
  kept.next += 2;
}

/** Sends a frame that is nearly right: what is wrong with it is for the gateway to see. */
function sendWild({ peer }: ScriptedAgent, { type, flags, id, size }: AnyFrame): void {
  const payload = new Uint8Array(size);
  if (type === FrameType.credit && size === 4) writeUint32(payload, 0, 1000 * id);
  if (type === FrameType.reset && size >= 4) writeUint32(payload, 0, id * 3);
  peer.frame(type, flags, 2 * id, type === FrameType.report && size === 8 ? REPORT : payload);
}

/** Sends a frame that the protocol allows, on a stream that was opened and not ended. */
function sendTame({ peer }: ScriptedAgent, { type, flags, id, size }: AnyFrame, kept: Kept): void {
  const stream = [...kept.open][id % Math.max(1, kept.open.size)];
  if (type === FrameType.report) return void peer.frame(type, 0, 0, REPORT);
  if (type === FrameType.ping) return void peer.frame(type, 0, 0, new Uint8Array(8).fill(id));
  if (stream === undefined || type === FrameType.head) return;
  if (type === FrameType.credit) return void peer.credit(stream, size);
  if (type === FrameType.reset) peer.frame(type, 0, stream, Uint8Array.of(0, 0, 0, id * 3));
  if (type === FrameType.end) peer.frame(type, 0, stream);
  // Small enough to stay within the window of a stream, however many of them there are.
  if (type === FrameType.data) peer.frame(type, flags, stream, new Uint8Array(Math.min(size, 3_000)));
  if (type !== FrameType.data || flags === 1) kept.open.delete(stream);
}

test("any frames in any order cost an agent its streams or its session, and hold nothing", async () => {
  const counts = { wild: 0, tame: 0, ended: 0 };
  await fc.assert(
    fc.asyncProperty(
      fc.array(anyFrame, { minLength: 5, maxLength: 60 }),
      fc.nat(3),
      fc.boolean(),
      async (frames, mood, isWild) => {
        counts[isWild ? "wild" : "tame"]++;
        const rig = new GatewayRig();
        const db = await rig.agent({ tcp: ["db"] });
        await rig.agent({ services: ["web"] });
        // The one that is called answers, refuses, ends or says nothing.
        db.peer.onFrame = ({ type, id }) => {
          if (type !== FrameType.open || mood === 0) return;
          if (mood === 1) db.reset(id, "targetRefused");
          else db.connected(id, "hello", mood === 3);
        };
        const evil = await rig.agent({
          token: claims({ name: "evil", serve: [], reach: ["*"], egress: true }),
        });
        const kept: Kept = { next: 2, open: new Set() };
        for (const frame of frames) {
          if (evil.end !== undefined) break;
          if (frame.type === FrameType.open) openAny(evil, frame, kept);
          else if (isWild) sendWild(evil, frame);
          else sendTame(evil, frame, kept);
          if (frame.id === 9) await new Promise((resolve) => setImmediate(resolve));
        }
        await settle();
        if (isWild && evil.end !== undefined) counts.ended++;
        // Who keeps to the protocol keeps its session, whatever it asks for.
        if (!isWild) expect(evil.end).toBeUndefined();
        expect([rig.faults, db.end]).toEqual([[], undefined]);
        // Checks that nothing is held, and that no session had a fault.
        await rig.close();
      },
    ),
    { numRuns: 80 },
  );
  expect(counts.wild + counts.tame).toBeGreaterThanOrEqual(80);
  expect([counts.wild > 10, counts.tame > 10, counts.ended > 0]).toEqual([true, true, true]);
});
