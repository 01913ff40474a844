/**
 * Body, heads and ends after the end: they must not become part of anything.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { FLAG_END, FrameType } from "../../lib/wire/frame.ts";
import { encodeHead } from "../../lib/wire/open.ts";
import { RESPONSE, settle } from "../support/session_pair.ts";
import { attack } from "../support/under_attack.ts";

const ENDS: [string, number, number][] = [
  ["OPEN", FrameType.open, FLAG_END],
  ["DATA", FrameType.data, FLAG_END],
  ["END", FrameType.end, 0],
];

for (const [name, type, flags] of ENDS) {
  test.each([
    ["data", FrameType.data, 0],
    ["empty data", FrameType.data, -1],
    ["an end", FrameType.end, -1],
  ])(`after the end in ${name}, %s ends the session`, async (_what, next, bytes) => {
    const target = await attack("agent");
    target.peer.open(1, type === FrameType.open);
    if (type !== FrameType.open) target.peer.add(type, flags, 1);
    target.peer.add(next, 0, 1, new Uint8Array(bytes + 1)).send();
    await target.endsWith("protocol");
    expect(target.side.sinks[0]!.bytes).toBe(0);
  });
}

test("a head after the end of the answer ends the session", async () => {
  const target = await attack("gateway");
  const { stream, sink } = target.side.open(false);
  target.peer.head(stream.id, true).add(FrameType.head, 0, stream.id, encodeHead(RESPONSE)).send();
  await target.endsWith("protocol");
  expect(sink.heads).toHaveLength(1);
});

test("on a stream that is over on both sides all of it is dropped", async () => {
  const target = await attack("gateway");
  const { stream, sink } = target.side.open();
  target.peer.head(stream.id, true);
  for (let i = 0; i < 100; i++) {
    target.peer.add(FrameType.data, 0, stream.id, new Uint8Array(1000)).add(FrameType.end, 0, stream.id);
    target.peer.head(stream.id, true).credit(stream.id, 0x7fff_ffff);
  }
  target.peer.send();
  await settle();
  expect([sink.bytes, sink.heads.length, sink.resets, target.side.session.heldBytes]).toEqual([0, 1, 0, 0]);
  await target.lives();
});
