/**
 * Frames whose parts claim more than there is, or whose length is not that of their type.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { FrameType } from "../../lib/wire/frame.ts";
import { until } from "../support/session_pair.ts";
import { attack } from "../support/under_attack.ts";

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);

const LIES: [string, number, number, Uint8Array][] = [
  ["OPEN of no bytes", FrameType.open, 3, bytes()],
  ["OPEN whose service is longer than the frame", FrameType.open, 3, bytes(1, 0, 0, 0, 0, 63, 97, 0, 0)],
  ["OPEN whose head is longer than the frame", FrameType.open, 3, bytes(1, 0, 0, 0, 0, 1, 97, 0xff, 0xff)],
  ["OPEN whose window is over the limit", FrameType.open, 3, bytes(1, 0x80, 0, 0, 0, 1, 97, 0, 0)],
  ["END whose trailers are cut", FrameType.end, 1, bytes(0, 1, 0, 5, 97)],
  ["END whose trailers count is a lie", FrameType.end, 1, bytes(0xff, 0xff)],
  ["RESET of no bytes", FrameType.reset, 1, bytes()],
  ["RESET with a long text", FrameType.reset, 1, new Uint8Array(600)],
  ["CREDIT of three bytes", FrameType.credit, 1, bytes(0, 0, 1)],
  ["CREDIT of five bytes", FrameType.credit, 0, bytes(0, 0, 0, 0, 1)],
  ["PING of seven bytes", FrameType.ping, 0, new Uint8Array(7)],
  ["PING of 64 KiB", FrameType.ping, 0, new Uint8Array(65_536)],
  ["GOAWAY of three bytes", FrameType.goAway, 0, bytes(0, 0, 1)],
];

test.each(LIES)("%s ends the session", async (_name, type, id, payload) => {
  const target = await attack("agent");
  target.peer.open(1, false).add(type, 0, id, payload).send();
  expect(await target.peer.goAwayCode()).toBe("protocol");
  await target.endsWith("protocol");
  expect(target.side.opens).toHaveLength(1);
});

test("a frame that never comes whole is kept within one frame, and the session waits", async () => {
  const target = await attack("agent");
  target.peer.link.send(bytes(0x02, 0x00, 0x00, FrameType.data, 0, 0, 0, 0, 1, 1, 2, 3));
  // What comes next is read as the rest of that frame: nothing of it is understood, or answered.
  for (let i = 0; i < 100; i++) target.peer.add(FrameType.ping, 0, 0, new Uint8Array(8)).send();
  await until(() => target.links[1].bufferedBytes === 0, "the bytes to leave");
  expect(target.peer.seen(FrameType.pong)).toHaveLength(0);
  expect([target.side.opens.length, target.side.session.heldBytes]).toEqual([0, 0]);
  await target.lives();
});
