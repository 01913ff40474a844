/**
 * Streams without end: no more are open than HELLO said, and the rest is refused.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { FrameType } from "../../lib/wire/frame.ts";
import { decodeFarewell } from "../../lib/wire/open.ts";
import { until } from "../support/session_pair.ts";
import { attack } from "../support/under_attack.ts";

test("an agent serves as many streams as it said, and refuses the rest", async () => {
  const target = await attack("agent", { streamsMax: 50 });
  let most = 0;
  target.side.serve = () => void (most = Math.max(most, target.side.session.streamsOpen));
  for (let i = 0; i < 5000; i++) target.peer.open(1 + 2 * i, false, { body: new Uint8Array(10) });
  target.peer.send();
  const resets = () => target.peer.seen(FrameType.reset);
  await until(() => resets().length === 4950, "the refusals");
  expect(new Set(resets().map(({ payload }) => decodeFarewell(payload).code))).toEqual(new Set(["refused"]));
  expect([most, target.side.session.streamsOpen, target.side.opens.length]).toEqual([50, 50, 50]);
  await target.lives();
});

test("a gateway serves none", async () => {
  const target = await attack("gateway");
  for (let i = 0; i < 500; i++) target.peer.open(2 + 2 * i, false);
  target.peer.send();
  await until(() => target.peer.seen(FrameType.reset).length === 500, "the refusals");
  expect([target.side.opens.length, target.side.session.streamsOpen]).toEqual([0, 0]);
  await target.lives();
});

test.each([
  ["the same id twice", [1, 1]],
  ["an id below the last", [5, 3]],
  ["an id that is the agent's", [2]],
  ["the session's id", [0]],
  ["an id over the largest", [0x8000_0001]],
])("%s ends the session", async (_name, ids) => {
  const target = await attack("agent");
  for (const id of ids) target.peer.open(id, false);
  target.peer.send();
  await target.endsWith("protocol");
});
