/**
 * Whoever may only look asks for what is not there, many times at once, to hold the gateway up.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { LOOKS_PER_TURN_MAX } from "../../lib/admin/event_pages.ts";
import { EVENTS_MAX } from "../../lib/store/memory_store.ts";
import type { EventQuery } from "../../lib/store/store.ts";
import { apiRig } from "../admin/api_rig.ts";
import { eventOf } from "../admin/fake_firewall.ts";

const SEARCHES = 12;

test("searches that find nothing look at a bounded part at a time, with other work in between", async () => {
  const rig = await apiRig();
  const { store } = rig.firewall;
  store.putEvents(Array.from({ length: EVENTS_MAX }, (_, i) => eventOf(i + 1)));
  const looks: (number | undefined)[] = [];
  const inOneTurn: number[] = [];
  const query = store.events.bind(store);
  store.events = (asked: EventQuery) => {
    looks.push(asked.looksMax);
    inOneTurn[inOneTurn.length - 1]! += 1;
    return query(asked);
  };
  let isOver = false;
  const visitor = (): void => {
    inOneTurn.push(0);
    if (!isOver) setTimeout(visitor, 0);
  };
  visitor();
  const answers = await Promise.all(
    Array.from({ length: SEARCHES }, () => rig.ask("/api/v1/events?image=none", { token: rig.viewer })),
  );
  isOver = true;
  for (const answer of answers) {
    expect(answer.status).toBe(200);
    expect((await answer.json()).items).toEqual([]);
  }
  expect(looks.length).toBeGreaterThanOrEqual(SEARCHES * EVENTS_MAX / LOOKS_PER_TURN_MAX);
  expect(looks.every((count) => count !== undefined && count <= LOOKS_PER_TURN_MAX)).toBe(true);
  // A timer of 0 ms is no exact measure of a turn: two pieces may fall between two of its calls, never all of them.
  expect(Math.max(...inOneTurn)).toBeLessThanOrEqual(4);
  rig.close();
});

test("an export is read in pieces as well, and ends when its token is revoked", async () => {
  const rig = await apiRig();
  const { store } = rig.firewall;
  store.putEvents(Array.from({ length: 2_000 }, (_, i) => eventOf(i + 1)));
  let cuts = 0;
  const answer = await rig.app.fetch(
    new Request("http://x/api/v1/events.ndjson", { headers: { authorization: `Bearer ${rig.viewer}` } }),
    { outgoing: { destroy: () => cuts += 1 } },
  );
  const reader = answer.body!.getReader();
  await reader.read();
  rig.revoked.add(rig.viewerId);
  let bytes = 0;
  for (let part = await reader.read(); !part.done; part = await reader.read()) bytes += part.value.length;
  expect(cuts).toBe(1);
  expect(bytes).toBeLessThan(2_000 * 100);
  rig.close();
});
