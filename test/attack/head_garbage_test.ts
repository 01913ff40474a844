/**
 * Heads that are garbage, out of place, or too many.
 *
 * @module
 */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { FrameType } from "../../lib/wire/frame.ts";
import { decodeRequestHead } from "../../lib/wire/head.ts";
import { encodeHead } from "../../lib/wire/open.ts";
import { settle, until } from "../support/session_pair.ts";
import { attack } from "../support/under_attack.ts";

test("a head that does not decode ends the session, wherever the sink decodes it", async () => {
  const target = await attack("agent");
  target.side.serve = (_stream, open) => void decodeRequestHead(open.head);
  target.peer.open(1, true, { head: Uint8Array.of(9, 1, 2) }).send();
  expect(await target.peer.goAwayCode()).toBe("protocol");
  await target.endsWith("protocol");
});

test("random frames behind HELLO end the session or do not, and never worse", async () => {
  const bytes = fc.array(fc.oneof(fc.constant(0), fc.nat(10), fc.nat(255)), { minLength: 9, maxLength: 200 });
  const samples = fc.sample(bytes, { numRuns: 40, seed: 7 });
  for (const [i, sample] of samples.entries()) {
    const target = await attack(i % 2 === 0 ? "agent" : "gateway");
    target.peer.open(i % 2 === 0 ? 1 : 2, false).send();
    target.peer.link.send(Uint8Array.from(sample));
    await until(() => target.links[1].bufferedBytes === 0, "the bytes to leave");
    await settle();
    if (target.side.end === undefined) await target.lives();
    else await target.endsWith(target.side.end.code);
  }
  expect(samples).toHaveLength(40);
});

test.each(
  [
    ["on a stream that the sender opened", "agent", 1],
    ["on a stream that was never opened", "gateway", 3],
    ["on the session", "gateway", 0],
  ] as const,
)("HEAD %s ends the session", async (_name, role, id) => {
  const target = await attack(role);
  if (role === "agent") target.peer.open(1, false);
  else target.side.open();
  target.peer.add(FrameType.head, 0, id, encodeHead(new Uint8Array(0))).send();
  await target.endsWith("protocol");
});

test("heads without end hold nothing: each goes to its sink, which may stop it", async () => {
  const target = await attack("gateway");
  const { stream, sink } = target.side.open();
  for (let i = 0; i < 2000; i++) target.peer.head(stream.id, false);
  target.peer.send();
  await until(() => sink.heads.length === 2000, "the heads");
  expect([target.side.session.heldBytes, target.budget.heldBytes]).toEqual([0, 0]);
  await target.lives();
});
