/**
 * Body without credit: in the stream's window, in the session's, and behind heads.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { STREAM_WINDOW_BYTES } from "../../lib/mux/receiver.ts";
import { FrameType } from "../../lib/wire/frame.ts";
import { until } from "../support/session_pair.ts";
import { attack } from "../support/under_attack.ts";

const SESSION_BYTES = 300_000;

test("a byte over the stream's window ends the session", async () => {
  const target = await attack("agent");
  target.side.serve = (_stream, _open, sink) => void (sink.stalled = true);
  target.peer.open(1, false).send();
  for (let sent = 0; sent < STREAM_WINDOW_BYTES; sent += 65_536) {
    target.peer.add(FrameType.data, 0, 1, new Uint8Array(65_536)).send();
  }
  await until(() => target.side.sinks[0]?.bytes === STREAM_WINDOW_BYTES, "the whole window");
  expect(target.side.end).toBeUndefined();
  target.peer.add(FrameType.data, 0, 1, new Uint8Array(1)).send();
  expect(await target.peer.goAwayCode()).toBe("flowControl");
  await target.endsWith("flowControl");
  expect(target.side.sinks[0]!.bytes).toBe(STREAM_WINDOW_BYTES);
});

test("a byte over the session's window ends the session, with streams that have credit", async () => {
  const target = await attack("agent", { sessionWindowBytes: SESSION_BYTES });
  let most = 0;
  target.side.serve = (_stream, _open, sink) => {
    sink.stalled = true;
    sink.onChunk = () => void (most = Math.max(most, target.side.session.heldBytes));
  };
  for (let id = 1; id < 41; id += 2) {
    target.peer.open(id, false).add(FrameType.data, 0, id, new Uint8Array(50_000));
  }
  target.peer.send();
  await target.endsWith("flowControl");
  expect(most).toBeLessThanOrEqual(SESSION_BYTES);
});

test("bytes in OPEN count, in both windows", async () => {
  const target = await attack("agent", { sessionWindowBytes: 99_999 });
  target.peer.open(1, false, { body: new Uint8Array(100_000) }).send();
  await target.endsWith("flowControl");
  expect(target.side.opens).toHaveLength(0);
});

test("streams are refused before their first bytes fill the session", async () => {
  const target = await attack("agent", { sessionWindowBytes: SESSION_BYTES });
  target.side.stallsAll = true;
  for (let id = 1; id < 9; id += 2) target.peer.open(id, false, { body: new Uint8Array(100_000) }).send();
  await until(() => target.peer.seen(FrameType.reset).length === 2, "the refusals");
  expect([target.side.opens.length, target.side.session.heldBytes]).toEqual([2, 200_000]);
  await target.lives();
});

test("bytes in HEAD count, and those of streams that are over", async () => {
  for (const over of [false, true]) {
    const target = await attack("gateway", { sessionWindowBytes: SESSION_BYTES });
    const ids: number[] = [];
    for (let i = 0; i < 5; i++) {
      const { stream, sink } = target.side.open();
      sink.stalled = true;
      ids.push(stream.id);
    }
    if (over) target.side.session.close("none", "");
    for (const id of ids) target.peer.head(id, false, new Uint8Array(100_000));
    target.peer.send();
    if (over) await target.endsWith("none");
    else await target.endsWith("flowControl");
  }
});

test("a stream that was reset gives its sender nothing over the session's window", async () => {
  const target = await attack("agent", { sessionWindowBytes: SESSION_BYTES });
  target.side.serve = (stream) => stream.reset("cancelled");
  target.peer.open(1, false);
  // Dropped bytes give session credit back at once, so only what is in one go over the window is too much.
  for (let i = 0; i < 20; i++) target.peer.add(FrameType.data, 0, 1, new Uint8Array(50_000));
  target.peer.send();
  await until(() => target.links[1].bufferedBytes === 0, "the bytes to leave");
  expect(target.side.session.heldBytes).toBe(0);
  await target.lives();
});
