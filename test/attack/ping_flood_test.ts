/**
 * Pings without end: each is answered, and what the answers take is bounded (see control_backlog for who does not read).
 *
 * @module
 */
import { expect, test } from "bun:test";
import { FrameType } from "../../lib/wire/frame.ts";
import { pattern, until } from "../support/session_pair.ts";
import { attack } from "../support/under_attack.ts";

test("50,000 pings are answered in order, and the answers do not pile up", async () => {
  const target = await attack("gateway");
  let most = 0;
  for (let i = 0; i < 50; i++) {
    for (let j = 0; j < 1000; j++) target.peer.add(FrameType.ping, 0, 0, pattern(8, i * 1000 + j));
    target.peer.send();
    await until(() => target.peer.seen(FrameType.pong).length === (i + 1) * 1000, "the answers");
    most = Math.max(most, target.links[0].bufferedBytes);
  }
  const pongs = target.peer.seen(FrameType.pong);
  expect(pongs.every(({ payload }, i) => payload[0] === pattern(1, i)[0])).toBe(true);
  expect(most).toBeLessThanOrEqual(17 * 1000);
  await target.lives();
});

test("answers to pings that were never sent change nothing", async () => {
  const target = await attack("gateway", { keepalive: { intervalMs: 3_600_000 } });
  for (let i = 0; i < 10_000; i++) target.peer.add(FrameType.pong, 0, 0, pattern(i % 20, i));
  target.peer.send();
  await until(() => target.links[1].bufferedBytes === 0, "the bytes to leave");
  expect(target.peer.seen(FrameType.ping).length).toBeLessThanOrEqual(2);
  await target.lives();
});
