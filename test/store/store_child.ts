/**
 * A process that uses a store, to be killed, shut out or starved by a test: `store_child.ts TASK PATH`.
 *
 * @module
 */
import { rmSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { eventId } from "../../lib/events/event_log.ts";
import { openSqliteStore } from "../../lib/store/sqlite_store.ts";
import { StoreWriter } from "../../lib/store/store_writer.ts";
import { StoreError } from "../../lib/store/store.ts";
import { eventAt, flowAt } from "../contract/store.ts";

const say = (line: string): void => void writeSync(1, `${line}\n`);

const TASKS: Readonly<Record<string, (path: string) => void>> = { hold, attempt, write, fill };

/** Opens it and keeps it. */
function hold(path: string): void {
  const store = openSqliteStore(path);
  say("ready {}");
  // What nobody holds any more may be collected, and its lock with it.
  setInterval(() => store.lastSeq(), 1_000);
}

/** Says what comes of opening it. */
function attempt(path: string): void {
  try {
    openSqliteStore(path, { busyMs: 50 }).close();
    say("opened");
  } catch (error) {
    say(error instanceof StoreError ? error.code : String(error));
  }
}

/** Writes without end, and says what is acknowledged. */
function write(path: string): void {
  let commits = 0;
  const writer = new StoreWriter(openSqliteStore(path), {
    onFault: (error) => say(`fault ${error.code}`),
    onHealed: () => say("healed"),
    onCommitted: (seq) => say(`commit ${++commits} up to ${seq}`),
  });
  let isFirst = true;
  setInterval(() => {
    for (let count = 0; count < 100; count++) {
      const seq = writer.nextSeq();
      if (isFirst) say(`from ${seq}`);
      isFirst = false;
      writer.event(eventAt(seq, { id: eventId(seq), message: "m".repeat(500) }));
    }
    writer.flow(flowAt(0));
    writer.state("model", "m".repeat(50_000));
  }, 5);
}

/** Fills a small disk, makes room, and says what became of all events. */
function fill(path: string): void {
  const ballast = join(path, "..", "ballast");
  writeFileSync(ballast, new Uint8Array(4 << 20));
  const store = openSqliteStore(path);
  let faults = 0;
  const writer = new StoreWriter(store, {
    eventsQueuedMax: 300,
    onFault: (error) => {
      faults++;
      say(`fault ${error.code}: ${error.message}`);
    },
    onHealed: () => {
      writer.flush();
      const { unrecorded, waiting } = writer;
      let stored = 0;
      for (let seq = 0;;) {
        const events = store.eventsAfter(seq, 500);
        stored += events.length;
        if (events.length === 0) break;
        seq = events.at(-1)!.seq;
      }
      say(`end ${JSON.stringify({ faults, stored, unrecorded, waiting, lastSeq: store.lastSeq() })}`);
      process.exit(0);
    },
  });
  for (let count = 0; count < 2_000; count++) {
    const seq = writer.nextSeq();
    writer.event(eventAt(seq, { id: eventId(seq), message: "m".repeat(1_000) }));
    if (count % 100 === 99) writer.flush();
  }
  say(`full ${writer.waiting}`);
  rmSync(ballast);
  // The writer's own timer does not keep the process alive.
  setInterval(() => {}, 1_000);
}

const [, , task = "", path = ""] = process.argv;
TASKS[task]!(path);
