/**
 * Credit past 2^31 - 1: it must not wrap, and it ends the session.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { WINDOW_BYTES_MAX } from "../../lib/wire/hello.ts";
import { attack } from "../support/under_attack.ts";

test.each([
  ["the session", 0, [WINDOW_BYTES_MAX]],
  ["the session, in one frame", 0, [0xffff_ffff]],
  ["the session, in many", 0, Array(40).fill(0x0400_0000)],
  ["a stream", 1, [WINDOW_BYTES_MAX]],
  ["a stream, in many", 1, Array(40).fill(0x0400_0000)],
])("credit for %s", async (_name, id, credits) => {
  const target = await attack("agent");
  target.peer.open(1, false);
  for (const credit of credits) target.peer.credit(id, credit);
  target.peer.send();
  expect(await target.peer.goAwayCode()).toBe("flowControl");
  await target.endsWith("flowControl");
});

test("credit up to the limit, and none at all, pass", async () => {
  const target = await attack("agent");
  target.peer.open(1, false).credit(0, WINDOW_BYTES_MAX - (1 << 24)).credit(1, WINDOW_BYTES_MAX - (1 << 18));
  for (let i = 0; i < 1000; i++) target.peer.credit(i % 2, 0);
  target.peer.send();
  await target.lives();
});

test("a HELLO with such a window ends the session", async () => {
  for (const hello of [{ sessionWindowBytes: 0x8000_0000 }, { streamWindowBytes: 0xffff_ffff }]) {
    const target = await attack("gateway", {}, hello);
    await target.endsWith("protocol");
  }
});
