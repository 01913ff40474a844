/**
 * Streams opened and reset at once, over and over (CVE-2023-44487): none stays, and the limit holds at every moment.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { FrameType } from "../../lib/wire/frame.ts";
import { encodeFarewell } from "../../lib/wire/open.ts";
import { settle, until } from "../support/session_pair.ts";
import { attack } from "../support/under_attack.ts";

const CANCELLED = encodeFarewell("cancelled", "");

test("10,000 streams that are opened and reset leave nothing", async () => {
  const target = await attack("agent", { streamsMax: 20 });
  let most = 0;
  target.side.serve = () => void (most = Math.max(most, target.side.session.streamsOpen));
  for (let i = 0; i < 10_000; i++) {
    const id = 1 + 2 * i;
    target.peer.open(id, false, { body: new Uint8Array(3) }).add(FrameType.reset, 0, id, CANCELLED);
    if (i % 1000 === 0) target.peer.send();
  }
  target.peer.send();
  await until(() => target.side.sinks.length === 10_000, "the streams");
  await settle();
  expect([most, target.side.session.streamsOpen, target.side.session.heldBytes]).toEqual([1, 0, 0]);
  expect(target.side.sinks.every(({ resets, late }) => resets === 1 && late === 0)).toBe(true);
  // A reset is not answered.
  expect(target.peer.seen(FrameType.reset)).toHaveLength(0);
  await target.lives();
});

test("resets of streams that are over are dropped, of streams that never were end the session", async () => {
  const target = await attack("agent");
  target.peer.open(1, false);
  for (let i = 0; i < 1000; i++) target.peer.add(FrameType.reset, 0, 1, CANCELLED);
  target.peer.send();
  await until(() => target.side.sinks[0]?.resets === 1, "the reset");
  await settle();
  expect([target.side.sinks[0]!.resets, target.side.end]).toEqual([1, undefined]);
  target.peer.add(FrameType.reset, 0, 3, CANCELLED).send();
  await target.endsWith("protocol");
});

test("requests that make the other side reset cost no more than the answers", async () => {
  const target = await attack("agent", { streamsMax: 5 });
  target.side.serve = (stream) => stream.reset("unknownService");
  for (let i = 0; i < 5000; i++) target.peer.open(1 + 2 * i, false);
  target.peer.send();
  await until(() => target.peer.seen(FrameType.reset).length === 5000, "the resets");
  expect([target.side.session.streamsOpen, target.links[0].bufferedBytes]).toEqual([0, 0]);
  await target.lives();
});
