/**
 * A second HELLO, which could raise every limit.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { attack } from "../support/under_attack.ts";

test.each(["gateway", "agent"] as const)("ends the session of a %s", async (role) => {
  const target = await attack(role, {}, { streamsMax: 1 });
  target.peer.hello({ streamsMax: 1_000_000, sessionWindowBytes: 0x7fff_ffff }).send();
  expect(await target.peer.goAwayCode()).toBe("protocol");
  await target.endsWith("protocol");
  expect(target.side.hello!.streamsMax).toBe(1);
});

test("ends it also in the message of the first", async () => {
  const target = await attack("gateway", {}, null);
  target.peer.hello().hello().send();
  await target.endsWith("protocol");
});
