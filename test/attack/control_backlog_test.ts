/**
 * A peer that makes this side answer and never reads the answers: they are bounded, and then the session ends.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { LINK_BUFFERED_BYTES_HIGH } from "../../lib/link/link.ts";
import { CONTROL_BACKLOG_BYTES_MAX } from "../../lib/mux/sender.ts";
import { BATCH_BYTES_MAX } from "../../lib/wire/codec.ts";
import { FrameType } from "../../lib/wire/frame.ts";
import { pattern, RESPONSE, settle, until } from "../support/session_pair.ts";
import { attack, type UnderAttack } from "../support/under_attack.ts";

/** Sends until the session ends, and gives the most that was queued in its link. */
async function flood(target: UnderAttack, fill: () => void): Promise<number> {
  target.links[0].stall();
  let most = 0;
  for (let i = 0; target.side.end === undefined; i++) {
    if (i > 2000) throw new Error("The session lives on");
    fill();
    target.peer.send();
    await settle(1);
    most = Math.max(most, target.links[0].bufferedBytes);
  }
  return most;
}

// One batch may pass the mark before it is looked at, and one message of the peer may ask for that much.
const BOUND_BYTES = CONTROL_BACKLOG_BYTES_MAX + (1 << 20) + BATCH_BYTES_MAX;

test("pings", async () => {
  const target = await attack("gateway");
  const most = await flood(target, () => {
    for (let i = 0; i < 2000; i++) target.peer.add(FrameType.ping, 0, 0, pattern(8));
  });
  expect(most).toBeLessThanOrEqual(BOUND_BYTES);
  expect(most).toBeGreaterThan(1 << 20);
  await target.endsWith("overloaded");
});

test("streams that are refused", async () => {
  const target = await attack("agent", { streamsMax: 0 });
  let id = -1;
  const most = await flood(target, () => {
    for (let i = 0; i < 2000; i++) target.peer.open(id += 2, false);
  });
  expect(most).toBeLessThanOrEqual(BOUND_BYTES);
  await target.endsWith("overloaded");
});

test("answers with a body stop at the link's own mark and end nothing", async () => {
  const target = await attack("agent");
  target.links[0].stall();
  target.side.serve = (stream) => {
    stream.sendHead(RESPONSE);
    stream.write(pattern(1 << 20));
  };
  for (let id = 1; id < 41; id += 2) target.peer.open(id, true, { windowBytes: 1 << 20 });
  target.peer.send();
  await until(() => target.side.streams.length === 20, "the streams");
  await settle();
  expect(target.links[0].bufferedBytes).toBeLessThanOrEqual(LINK_BUFFERED_BYTES_HIGH + BATCH_BYTES_MAX);
  expect(target.side.end).toBeUndefined();
  target.links[0].resume();
  await target.lives();
});
