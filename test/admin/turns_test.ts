/**
 * Tests of turns: one piece at a time with others in between, operators first, and no more waiting than may.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { ApiFault } from "../../lib/admin/fault.ts";
import { Turns, TURNS_WAITING_MAX } from "../../lib/admin/turns.ts";
import { within } from "../support/raw_http.ts";

test("a piece gives what it returns and throws, and a promise is not waited for", async () => {
  const turns = new Turns();
  expect(await turns.take("viewer", () => 7)).toBe(7);
  expect(await turns.take("viewer", () => Promise.resolve("late"))).toBe("late");
  await expect(turns.take("viewer", () => {
    throw new ApiFault(404, "Nothing is there");
  })).rejects.toThrow("Nothing is there");
  // One that never settles keeps nobody from a turn.
  void turns.take("viewer", () => new Promise(() => {}));
  expect(await within(turns.take("viewer", () => "next"), () => "stuck")).toBe("next");
});

test("others have the loop between two pieces, for as long as a piece took", async () => {
  let nowMs = 0;
  const turns = new Turns(() => nowMs);
  const seen: string[] = [];
  const piece = (tookMs: number) =>
    turns.take("viewer", () => {
      nowMs += tookMs;
      seen.push("piece");
      // What is asked for within a piece comes after it, in another turn of the loop.
      setTimeout(() => seen.push("visitor"), 0);
    });
  await Promise.all([piece(20), piece(20), piece(20)]);
  expect(seen).toEqual(["piece", "visitor", "piece", "visitor", "piece"]);
});

test("operators come before viewers, each in order", async () => {
  const turns = new Turns();
  const seen: string[] = [];
  const take = (role: "viewer" | "operator", name: string) => turns.take(role, () => void seen.push(name));
  const all = [take("viewer", "v1"), take("viewer", "v2"), take("operator", "o1"), take("operator", "o2")];
  await Promise.all(all);
  expect(seen).toEqual(["v1", "o1", "o2", "v2"]);
});

test("a flood of viewers is refused past the bound, and keeps no operator out", async () => {
  const turns = new Turns();
  const asked = Array.from(
    { length: TURNS_WAITING_MAX + 50 },
    () => turns.take("viewer", () => 200).catch((error) => error instanceof ApiFault ? error.status : 0),
  );
  expect(turns.waiting).toBe(TURNS_WAITING_MAX);
  expect(await turns.take("operator", () => turns.waiting)).toBeGreaterThan(TURNS_WAITING_MAX - 10);
  const answers = await Promise.all(asked);
  // The first one did not have to wait.
  expect(answers.filter((status) => status === 503)).toHaveLength(49);
  expect(answers.filter((status) => status === 200)).toHaveLength(TURNS_WAITING_MAX + 1);
  expect(turns.waiting).toBe(0);
});
