/**
 * GOAWAY again and again: told once, and nothing is kept.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { FrameType } from "../../lib/wire/frame.ts";
import { encodeFarewell } from "../../lib/wire/open.ts";
import { until } from "../support/session_pair.ts";
import { attack } from "../support/under_attack.ts";

test("20,000 times is told once, and what is open goes on", async () => {
  const target = await attack("gateway");
  const { stream, sink } = target.side.open();
  for (let i = 0; i < 20_000; i++) {
    target.peer.add(FrameType.goAway, 0, 0, encodeFarewell("draining", `no ${i}`));
  }
  target.peer.head(stream.id).send();
  await until(() => sink.ended, "the answer behind them");
  expect([target.side.goAways, sink.resets]).toEqual([["no 0"], 0]);
  expect(target.side.session.open).toBe(false);
  await target.lives();
});

test("a peer that opens streams after its own GOAWAY is served like any other", async () => {
  const target = await attack("agent", { streamsMax: 10 });
  target.peer.add(FrameType.goAway, 0, 0, encodeFarewell("draining", ""));
  for (let id = 1; id < 100; id += 2) target.peer.open(id, false);
  target.peer.send();
  await until(() => target.peer.seen(FrameType.reset).length === 40, "the refusals");
  expect(target.side.session.streamsOpen).toBe(10);
  await target.lives();
});

test("what comes behind a final GOAWAY is not looked at", async () => {
  const target = await attack("agent");
  target.peer.add(FrameType.goAway, 0, 0, encodeFarewell("none", "bye")).open(1).open(1).send();
  await target.endsWith("none");
  expect(target.side.opens).toHaveLength(0);
});
