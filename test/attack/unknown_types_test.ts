/**
 * Types that this version does not know: dropped where that is allowed, the end elsewhere.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { FrameType, IGNORABLE_TYPE_MAX, IGNORABLE_TYPE_MIN } from "../../lib/wire/frame.ts";
import { pattern, until } from "../support/session_pair.ts";
import { attack } from "../support/under_attack.ts";

test("every ignorable type is dropped, whatever its flags, stream and payload", async () => {
  const target = await attack("agent");
  for (let type: number = IGNORABLE_TYPE_MIN; type <= IGNORABLE_TYPE_MAX; type++) {
    // The one that is known: what it holds is looked at.
    if (type === FrameType.report) continue;
    target.peer.add(type, type, 0xffff_ffff, pattern(type * 100)).add(type, 0xff, 1);
  }
  target.peer.open(1, false).send();
  await until(() => target.side.opens.length === 1, "the stream behind them");
  expect(target.side.session.heldBytes).toBe(0);
  await target.lives();
});

test("every other ends the session", async () => {
  const known: number[] = Object.values(FrameType);
  const types = Array.from({ length: 256 }, (_, type) => type).filter((type) =>
    !known.includes(type) && (type < IGNORABLE_TYPE_MIN || type > IGNORABLE_TYPE_MAX)
  );
  expect(types).toHaveLength(256 - 64 - 10);
  // The edges and a few between: each takes two sessions.
  const chosen = types.filter((type) => [0x0a, 0x3f, 0x80, 0xff].includes(type) || type % 37 === 0);
  expect(chosen.length).toBeGreaterThanOrEqual(7);
  for (const type of chosen) {
    const target = await attack("agent");
    target.peer.add(type, 0, 0).send();
    await target.endsWith("protocol");
  }
});
