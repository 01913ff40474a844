/**
 * Credit and data for streams that never were: an id must not be believed before it is opened.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { FrameType } from "../../lib/wire/frame.ts";
import { attack } from "../support/under_attack.ts";

const TYPES = [FrameType.credit, FrameType.data, FrameType.end, FrameType.reset];

test.each(
  [
    ["agent", 1],
    ["agent", 2],
    ["agent", 0x7fff_ffff],
    ["agent", 0xffff_ffff],
    ["gateway", 1],
    ["gateway", 2],
  ] as const,
)("at %s, for stream %d, ends the session", async (role, id) => {
  let cases = 0;
  for (const type of TYPES) {
    const target = await attack(role);
    const payload = new Uint8Array(type === FrameType.end ? 0 : 4);
    target.peer.add(type, 0, id, payload).send();
    expect(await target.peer.goAwayCode()).toBe("protocol");
    await target.endsWith("protocol");
    cases++;
  }
  expect(cases).toBe(4);
});

test("for a stream that is over is dropped", async () => {
  const target = await attack("agent");
  target.side.serve = (stream) => stream.reset("cancelled");
  target.peer.open(1, false);
  for (let i = 0; i < 1000; i++) target.peer.credit(1, 0x7fff_ffff);
  target.peer.send();
  await target.lives();
});
