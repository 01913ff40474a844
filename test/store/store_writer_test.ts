/**
 * The queue in front of the store: nothing throws, nothing waits, all that is lost is counted.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import { eventId } from "../../lib/events/event_log.ts";
import type { NetwallEvent } from "../../lib/events/event.ts";
import { EVENTS_QUEUED_MAX, QUEUED_BYTES_MAX } from "../../lib/store/event_queue.ts";
import { MemoryStore } from "../../lib/store/memory_store.ts";
import { type Retention, StoreError } from "../../lib/store/store.ts";
import {
  RECORDS_QUEUED_MAX,
  SEQ_GAP,
  STATES_QUEUED_MAX,
  StoreWriter,
  type StoreWriterOptions,
  TURN_ROWS_MAX,
} from "../../lib/store/store_writer.ts";
import { edgeAt, eventAt, flowAt } from "../contract/store.ts";

/** A store that fails as it is told, and remembers how it was called. */
class FaultyStore extends MemoryStore {
  fault: StoreError | undefined;
  readonly batches: number[] = [];
  attempts = 0;
  readonly pruned: Retention[] = [];
  onPrune: (() => void) | undefined;

  override putEvents(events: readonly NetwallEvent[]): void {
    this.#try();
    if (events.some(({ message }) => message === "poison")) throw new TypeError("Cannot bind");
    super.putEvents(events);
    this.batches.push(events.length);
  }
  override putState(name: string, text: string): void {
    this.#try();
    super.putState(name, text);
  }
  override putEdges(edges: Parameters<MemoryStore["putEdges"]>[0]): void {
    this.#try();
    super.putEdges(edges);
  }
  override addFlows(flows: Parameters<MemoryStore["addFlows"]>[0]): void {
    this.#try();
    super.addFlows(flows);
  }
  override prune(retention: Retention): number {
    this.pruned.push(retention);
    this.onPrune?.();
    return this.pruned.length < 4 ? 1 : 0;
  }
  #try(): void {
    this.attempts++;
    if (this.fault !== undefined) throw this.fault;
  }
}

interface Rig {
  readonly store: FaultyStore;
  readonly writer: StoreWriter;
  readonly heard: string[];
  readonly committed: number[];
  /** Settles when the word is heard. */
  until(word: string): Promise<void>;
}

function rigOf(options: Partial<StoreWriterOptions> = {}, store = new FaultyStore()): Rig {
  const heard: string[] = [];
  const committed: number[] = [];
  const waiting: { word: string; resolve: () => void }[] = [];
  const hear = (word: string): void => {
    heard.push(word);
    for (const each of waiting) if (each.word === word) each.resolve();
  };
  const writer = new StoreWriter(store, {
    onFault: ({ code }) => hear(`fault ${code}`),
    onHealed: () => hear("healed"),
    onCommitted: (seq) => {
      committed.push(seq);
      hear("committed");
    },
    ...options,
  });
  const until = (word: string): Promise<void> =>
    heard.includes(word) ? Promise.resolve() : new Promise((resolve) => waiting.push({ word, resolve }));
  return { store, writer, heard, committed, until };
}

function newEvent(writer: StoreWriter, changes: Partial<NetwallEvent> = {}): NetwallEvent {
  const seq = writer.nextSeq();
  return eventAt(seq, { id: eventId(seq), ...changes });
}

describe("StoreWriter", () => {
  test("writes by itself, soon, and says up to which seq", async () => {
    const { store, writer, committed, until } = rigOf();
    const event = newEvent(writer);
    writer.event(event);
    writer.edge(edgeAt("a", 1));
    expect(store.attempts).toBe(0);
    await until("committed");
    expect(committed).toEqual([event.seq]);
    expect(store.event(event.id)).toEqual(event);
    writer.close();
    expect(store.edges()).toHaveLength(1);
  });

  test("writes at most TURN_ROWS_MAX rows at a time, whatever waits, in the order of seq", async () => {
    const { store, writer, committed, until } = rigOf();
    for (let count = 0; count < 1_000; count++) {
      writer.event(newEvent(writer, { verdict: count % 3 === 0 ? "dropped" : "forwarded" }));
    }
    await until("committed");
    writer.flush();
    expect(store.batches.reduce((sum, size) => sum + size)).toBe(1_000);
    expect(Math.max(...store.batches)).toBeLessThanOrEqual(TURN_ROWS_MAX);
    expect(committed).toEqual(committed.toSorted((a, b) => a - b));
    expect(committed.at(-1)).toBe(1_000);
    writer.close();
  });

  test("flush() writes everything now; of one thing only the newest state", () => {
    const { store, writer } = rigOf();
    const event = newEvent(writer);
    writer.event(event);
    const changed = { ...event, seq: writer.nextSeq(), count: 2 };
    writer.event(changed);
    writer.edge(edgeAt("a", 1));
    writer.edge(edgeAt("a", 5, 9));
    writer.flow(flowAt(0, { count: 2 }));
    writer.flow(flowAt(0, { count: 3 }));
    writer.state("model", "one");
    writer.state("model", "two");
    expect(writer.waiting).toBe(4);
    writer.flush();
    expect(writer.waiting).toBe(0);
    expect(store.events({ limit: 9 }).items).toEqual([changed]);
    expect(store.edges()).toEqual([edgeAt("a", 5, 9)]);
    expect(store.flows(0, 9)).toEqual([flowAt(0, { count: 5 })]);
    expect(store.state("model")).toBe("two");
    writer.close();
  });

  test("numbers go on beyond all that an earlier process can have given out", () => {
    const store = new FaultyStore();
    const first = rigOf({}, store).writer;
    expect(first.nextSeq()).toBe(1);
    first.event(newEvent(first));
    first.close();
    const second = rigOf({}, store).writer;
    expect(second.nextSeq()).toBe(2 + SEQ_GAP + 1);
    expect(eventId(2 + SEQ_GAP) > eventId(2)).toBe(true);
    second.close();
  });

  test("a fault is told once and the end of it once; what waited is written then", async () => {
    const { store, writer, heard, until } = rigOf();
    store.fault = new StoreError("Cannot write: the disk is full", "full");
    const events = [newEvent(writer), newEvent(writer)];
    for (const event of events) writer.event(event);
    writer.flush();
    writer.flush();
    expect(heard).toEqual(["fault full"]);
    expect(writer.fault?.code).toBe("full");
    // Each event that comes must not try a broken store again: only the clock and flush() do.
    const { attempts } = store;
    for (let count = 0; count < 1_000; count++) writer.event(newEvent(writer));
    expect(store.attempts).toBe(attempts);
    store.fault = undefined;
    await until("healed");
    writer.flush();
    expect(heard.filter((word) => word !== "committed")).toEqual(["fault full", "healed"]);
    expect(writer.fault).toBeUndefined();
    expect(store.events({ limit: 1_000 }).items).toHaveLength(1_000);
    expect(store.event(events[0]!.id)).toBeDefined();
    expect(writer.unrecorded).toEqual({ events: 0, edges: 0, flows: 0, states: 0 });
    writer.close();
  });

  test("while nothing can be written the queues are bounded and what is lost is counted", () => {
    const { store, writer } = rigOf();
    store.fault = new StoreError("Cannot write", "io");
    const extra = 100;
    for (let count = 0; count < EVENTS_QUEUED_MAX + extra; count++) writer.event(newEvent(writer));
    for (let count = 0; count < RECORDS_QUEUED_MAX + extra; count++) {
      writer.edge(edgeAt(`e${count}`, 1));
      writer.flow(flowAt(0, { port: count }));
    }
    for (let count = 0; count < STATES_QUEUED_MAX + extra; count++) writer.state(`s${count}`, "");
    expect(writer.waiting).toBe(EVENTS_QUEUED_MAX + 2 * RECORDS_QUEUED_MAX + STATES_QUEUED_MAX);
    expect(writer.unrecorded).toEqual({ events: extra, edges: extra, flows: extra, states: extra });
    writer.close();
    expect(writer.unrecorded.events).toBe(EVENTS_QUEUED_MAX + extra);
    expect(writer.unrecorded.states).toBe(STATES_QUEUED_MAX + extra);
  });

  test("events full of long texts are bounded by their memory", () => {
    const { store, writer } = rigOf();
    store.fault = new StoreError("Cannot write", "io");
    const text = "x".repeat(1_024);
    const http = { method: "GET", host: text, path: text, route: text, userAgent: text, requestId: "r" };
    for (let count = 0; count < EVENTS_QUEUED_MAX; count++) {
      writer.event(newEvent(writer, { http, message: text }));
    }
    expect(writer.waiting).toBeLessThanOrEqual(QUEUED_BYTES_MAX / (5 * 2 * 1_024));
    expect(writer.waiting).toBeGreaterThan(1_000);
    expect(writer.waiting + writer.unrecorded.events).toBe(EVENTS_QUEUED_MAX);
    writer.close();
  });

  test("when room is short, what was denied is kept before what was allowed, the newest of each", () => {
    const { store, writer } = rigOf({ eventsQueuedMax: 10 });
    store.fault = new StoreError("Cannot write", "full");
    const put = (verdict: NetwallEvent["verdict"], count: number): NetwallEvent[] =>
      Array.from({ length: count }, () => {
        const event = newEvent(writer, { verdict });
        writer.event(event);
        return event;
      });
    const denied = put("dropped", 8);
    const allowed = put("forwarded", 20);
    const later = put("dropped", 1);
    put("audited", 5);
    store.fault = undefined;
    writer.flush();
    const stored = store.events({ limit: 99 }).items.map(({ id }) => id).toReversed();
    expect(stored.slice(0, 9)).toEqual([...denied, ...later].map(({ id }) => id));
    expect(stored).toHaveLength(10);
    expect(allowed.some(({ id }) => stored.includes(id))).toBe(false);
    expect(writer.unrecorded.events).toBe(24);
    put("dropped", 3);
    writer.close();
  });

  test("an event that the store will never take is left out and counted, and the others are written", () => {
    const { store, writer, heard } = rigOf();
    for (let count = 0; count < 50; count++) {
      writer.event(newEvent(writer, count === 20 ? { message: "poison" } : {}));
    }
    writer.flush();
    expect(store.events({ limit: 99 }).items).toHaveLength(49);
    expect(writer.unrecorded.events).toBe(1);
    expect(heard).not.toContain("fault io");
    writer.close();
  });

  test("deletes by slices, each in a turn of its own, with what is the bound by then", async () => {
    let beforeMs = 0;
    const { store, writer } = rigOf({ pruneMs: 1, retention: () => ({ beforeMs: ++beforeMs, bytesMax: 7 }) });
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    await new Promise<void>((resolve) => {
      store.onPrune = () => {
        if (store.pruned.length === 4) resolve();
      };
    });
    clearInterval(timer);
    expect(store.pruned[3]).toEqual({ beforeMs: 4, bytesMax: 7 });
    expect(turns).toBeGreaterThan(2);
    writer.close();
  });

  test("deletes nothing for an age that a clock which was set forward gives it", async () => {
    const [hourMs, dayMs] = [3_600_000, 86_400_000];
    // How far the time of day goes on while a second passes, and what is deleted then is older than.
    const cases: readonly (readonly [number, number])[] = [
      [1_000, 1_000],
      [hourMs, hourMs],
      [-dayMs, -dayMs],
      [30 * dayMs, 1_000],
      [3_650 * dayMs, 1_000],
    ];
    let compared = 0;
    for (const [setMs, wantedMs] of cases) {
      let [now, passed] = [0, 0];
      const { promise, resolve } = Promise.withResolvers<void>();
      const store = new FaultyStore();
      store.onPrune = resolve;
      const { writer } = rigOf({
        ...{ pruneMs: 1, clocks: { dayMs: () => now, steadyMs: () => passed } },
        retention: () => ({ beforeMs: now, bytesMax: 7 }),
      }, store);
      [now, passed] = [setMs, 1_000];
      await promise;
      expect(store.pruned[0]).toEqual({ beforeMs: wantedMs, bytesMax: 7 });
      writer.close();
      compared++;
    }
    expect(compared).toBe(cases.length);
  });

  test("nothing is taken after close(), and all of it is counted", () => {
    const { store, writer } = rigOf();
    writer.close();
    writer.close();
    writer.event(newEvent(writer));
    writer.edge(edgeAt("a", 1));
    writer.flow(flowAt(0));
    writer.state("a", "b");
    writer.flush();
    expect(writer.unrecorded).toEqual({ events: 1, edges: 1, flows: 1, states: 1 });
    expect(store.attempts).toBe(0);
  });
});
