/**
 * Visits of the sample: the same for the same seed, every operation soon and twice, and nobody's real address.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { seeded } from "../../lib/sample/random.ts";
import { hostileVisit, OPERATION_NAMES, ORDER, type Visit, visits } from "../../lib/sample/visits.ts";

function take(seed: number, count: number): Visit[] {
  const source = visits(seeded(seed));
  return Array.from({ length: count }, () => source.next().value);
}

test("the same seed gives the same visits, another one others", () => {
  expect(take(7, 200)).toEqual(take(7, 200));
  expect(JSON.stringify(take(7, 200)) === JSON.stringify(take(8, 200))).toBe(false);
});

test("every operation comes twice before chance begins", () => {
  const first = take(7, 2 * OPERATION_NAMES.length).map(({ operation }) => operation);
  expect(OPERATION_NAMES.length).toBeGreaterThan(5);
  expect(first).toEqual([...OPERATION_NAMES, ...OPERATION_NAMES]);
  expect(OPERATION_NAMES).toContain(ORDER);
});

test("after that all go on coming, from many addresses that are kept for documentation", () => {
  const later = take(7, 3_000).slice(2 * OPERATION_NAMES.length);
  expect([...new Set(later.map(({ operation }) => operation))].sort()).toEqual([...OPERATION_NAMES].sort());
  const addresses = new Set(later.map(({ address }) => address));
  expect(addresses.size).toBeGreaterThan(100);
  for (const prefix of ["192.0.2.", "198.51.100.", "203.0.113."]) {
    const ofNetwork = [...addresses].filter((address) => address.startsWith(prefix));
    expect(ofNetwork.length).toBeGreaterThan(20);
    const numbers = ofNetwork.map((address) => Number(address.slice(prefix.length)));
    expect(numbers.filter((number) => !(number >= 1 && number <= 254))).toEqual([]);
    for (const address of ofNetwork) addresses.delete(address);
  }
  expect([...addresses]).toEqual([]);
});

test("some ask for what is not there, most do not", () => {
  const ids = take(7, 3_000).map(({ path }) => Number(/^\/catalogue\/(\d+)$/.exec(path)?.[1] ?? 0))
    .filter((id) => id > 0);
  const strange = ids.filter((id) => id > 9_000);
  expect(strange.length).toBeGreaterThan(0);
  expect(strange.length).toBeLessThan(ids.length / 10);
});

test("what a stranger asks for is no path of an ordinary visit", () => {
  const random = seeded(1);
  const hostile = new Set(Array.from({ length: 50 }, () => hostileVisit(random).path));
  expect(hostile.size).toBeGreaterThan(1);
  expect(take(7, 3_000).filter(({ path }) => hostile.has(path))).toEqual([]);
});
