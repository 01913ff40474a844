/**
 * The store in memory: the contract, and its bound.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { EVENTS_MAX, MemoryStore } from "../../lib/store/memory_store.ts";
import { eventAt, flowAt, runStoreContract } from "../contract/store.ts";

runStoreContract("memory", () => new MemoryStore());

test("MemoryStore keeps the newest EVENTS_MAX events and flows", () => {
  const store = new MemoryStore();
  for (let seq = 1; seq <= EVENTS_MAX + 10; seq++) {
    store.putEvents([eventAt(seq)]);
    store.addFlows([flowAt(0, { port: seq })]);
  }
  expect(store.event(eventAt(10).id)).toBeUndefined();
  expect(store.event(eventAt(11).id)?.seq).toBe(11);
  expect(store.flows(0, 2 * EVENTS_MAX)).toHaveLength(EVENTS_MAX);
  expect(store.lastSeq()).toBe(EVENTS_MAX + 10);
});
