/**
 * A frame that says it is longer than any may be: refused at its ninth byte, before memory is set aside for it.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { FRAME_PAYLOAD_BYTES_MAX, FrameType } from "../../lib/wire/frame.ts";
import { attack } from "../support/under_attack.ts";

test.each([FRAME_PAYLOAD_BYTES_MAX + 1, 0xff_ffff])(
  "a frame of %d bytes ends the session",
  async (length) => {
    const target = await attack("agent");
    target.peer.link.send(Uint8Array.of(length >>> 16, length >>> 8, length, FrameType.data, 0, 0, 0, 0, 1));
    expect(await target.peer.goAwayCode()).toBe("frameTooLong");
    await target.endsWith("frameTooLong");
  },
);

test("also before HELLO, and in the place of HELLO", async () => {
  const target = await attack("gateway", {}, null);
  target.peer.link.send(Uint8Array.of(0xff, 0xff, 0xff, FrameType.hello, 0, 0, 0, 0, 0));
  await target.endsWith("frameTooLong");
});

test("the longest frame that may be passes", async () => {
  const target = await attack("agent");
  target.peer.add(0x41, 0, 0, new Uint8Array(FRAME_PAYLOAD_BYTES_MAX)).send();
  await target.lives();
});
