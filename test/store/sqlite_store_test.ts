/**
 * The store in a file: the contract, and what a file adds to it.
 *
 * @module
 */
import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { defaultPolicy } from "../../lib/policy/document.ts";
import { integerOf, migrate, MIGRATIONS } from "../../lib/store/sqlite_schema.ts";
import { openSqliteStore } from "../../lib/store/sqlite_store.ts";
import { EDGES_STORED_MAX } from "../../lib/store/store.ts";
import { edgeAt, eventAt, flowAt, pruneAll, runStoreContract } from "../contract/store.ts";

const folder = mkdtempSync(join(tmpdir(), "netwall-store-"));
let files = 0;
const fresh = (): string => join(folder, `${files++}`, "netwall.db");

afterAll(() => rmSync(folder, { recursive: true, force: true }));

runStoreContract("sqlite", () => openSqliteStore(fresh()));

describe("openSqliteStore()", () => {
  test("finds all again in the next process, and leaves one file behind", () => {
    const path = fresh();
    const first = openSqliteStore(path);
    first.putEvents([eventAt(1), eventAt(2)]);
    first.putEdges([edgeAt("a", 1)]);
    first.addFlows([flowAt(0)]);
    first.addPolicy({ atMs: 1, by: "anna", comment: "", document: defaultPolicy() });
    first.addAudit({ atMs: 1, by: "anna", role: "operator", action: "a", detail: "d" });
    first.putState("model", "m");
    first.close();
    expect([existsSync(`${path}-wal`), existsSync(`${path}-shm`)]).toEqual([false, false]);
    const second = openSqliteStore(path);
    expect(second.eventsAfter(0, 9)).toEqual([eventAt(1), eventAt(2)]);
    expect(second.lastSeq()).toBe(2);
    expect(second.edges()).toEqual([edgeAt("a", 1)]);
    second.addFlows([flowAt(0)]);
    expect(second.flows(0, 9)).toEqual([flowAt(0, { count: 2 })]);
    expect(second.addPolicy({ atMs: 2, by: "b", comment: "", document: defaultPolicy() }).version).toBe(2);
    expect(second.addAudit({ atMs: 2, by: "b", role: "operator", action: "a", detail: "d" }).id).toBe(2);
    expect(second.state("model")).toBe("m");
    second.close();
  });

  test("makes a file that its owner alone can read, also out of one that others could", () => {
    const path = fresh();
    const store = openSqliteStore(path);
    store.putEvents([eventAt(1)]);
    expect([path, `${path}-wal`].map((each) => statSync(each).mode & 0o777)).toEqual([0o600, 0o600]);
    store.close();
    const open = join(folder, "open.db");
    writeFileSync(open, "", { mode: 0o644 });
    openSqliteStore(open).close();
    expect(statSync(open).mode & 0o777).toBe(0o600);
  });

  test("stays within its bound however much comes, and gives room back", () => {
    const path = fresh();
    const store = openSqliteStore(path);
    const bytesMax = 4 << 20;
    let [sizeMax, seq] = [0, 0];
    for (let round = 0; round < 30; round++) {
      const batch = Array.from({ length: 200 }, () => eventAt(++seq, { message: "m".repeat(1_000) }));
      store.putEvents(batch);
      pruneAll(store, 0, bytesMax);
      sizeMax = Math.max(sizeMax, store.sizeBytes());
    }
    expect(sizeMax).toBeGreaterThan(bytesMax / 2);
    expect(sizeMax).toBeLessThanOrEqual(bytesMax);
    expect(store.event(eventAt(seq).id)).toBeDefined();
    for (let call = 0; call < 10; call++) pruneAll(store, Infinity, 1 << 20);
    expect(statSync(path).size).toBeLessThan(1 << 20);
    store.close();
  });

  test("keeps the edges that were seen last", () => {
    const store = openSqliteStore(fresh());
    store.putEdges(Array.from({ length: EDGES_STORED_MAX + 700 }, (_, index) => edgeAt(`e${index}`, index)));
    expect(pruneAll(store, 0)).toBe(700);
    const edges = store.edges();
    expect(edges).toHaveLength(EDGES_STORED_MAX);
    expect(Math.min(...edges.map(({ lastSeenMs }) => lastSeenMs))).toBe(700);
    store.close();
  });
});

describe("migrate()", () => {
  test("takes an empty database, version 0, to the newest version, and one that is there no further", () => {
    const database = new DatabaseSync(":memory:");
    expect(integerOf(database, "user_version")).toBe(0);
    migrate(database);
    expect(integerOf(database, "user_version")).toBe(MIGRATIONS.length);
    migrate(database);
    expect(integerOf(database, "user_version")).toBe(MIGRATIONS.length);
    database.close();
  });

  test("does a step whole or not at all, and keeps what was there", () => {
    const database = new DatabaseSync(":memory:");
    const steps = [
      "CREATE TABLE a (x)",
      "ALTER TABLE a ADD COLUMN y",
      "CREATE TABLE b (x); CREATE TABLE a (x)",
    ];
    migrate(database, steps.slice(0, 1));
    database.exec("INSERT INTO a VALUES (7)");
    expect(() => migrate(database, steps)).toThrow("already exists");
    expect(integerOf(database, "user_version")).toBe(2);
    const tables = database.prepare("SELECT name FROM sqlite_schema ORDER BY name").all();
    expect(tables.map(({ name }) => name)).toEqual(["a"]);
    expect({ ...database.prepare("SELECT x, y FROM a").get() }).toEqual({ x: 7, y: null });
    database.close();
  });

  test("a file of the first version keeps its events, and what they are asked by now", () => {
    const path = join(folder, "first.db");
    const database = new DatabaseSync(path);
    migrate(database, MIGRATIONS.slice(0, 1));
    const put = database.prepare(
      "INSERT INTO events (place, id, seq, time, type, effect, verdict) VALUES (?, ?, ?, 1, 't', 'alert', 'audited')",
    );
    const event = eventAt(1, { severity: "critical", message: "a\u0000b" });
    put.run(1, event.id, 1);
    put.run(2, "no body", 2);
    database.prepare("INSERT INTO event_bodies (place, json) VALUES (1, ?)").run(JSON.stringify(event));
    database.prepare("INSERT INTO flows (hour, key, count, json) VALUES (0, 'k', 3, ?)")
      .run(JSON.stringify(flowAt(0)));
    database.close();
    const store = openSqliteStore(path);
    expect(store.events({ limit: 9, severity: "critical" }).items).toEqual([event]);
    expect(store.events({ limit: 9, severity: "info" }).items).toEqual([]);
    expect(store.flows(0, 9)).toEqual([flowAt(0, { count: 3, bytes: 0 })]);
    store.close();
  });

  test("an empty file, as a crash may leave it, becomes a store", () => {
    const path = join(folder, "empty.db");
    writeFileSync(path, "");
    const store = openSqliteStore(path);
    store.putEvents([eventAt(1)]);
    expect(store.lastSeq()).toBe(1);
    store.close();
  });
});
