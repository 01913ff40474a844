/**
 * The store in one file, through SQLite.
 *
 * What a call has written survives the process; a power cut may take the last events, but no version of the policy
 * and no entry of the audit log, which are on the disk when the call returns.
 *
 * Source: https://sqlite.org/wal.html, https://sqlite.org/pragma.html#pragma_synchronous
 *
 * @module
 */
import { statSync } from "node:fs";
import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { NetwallEvent } from "../events/event.ts";
import { policySchema } from "../policy/document.ts";
import type { EdgeHour } from "../policy/edge_traffic.ts";
import type { EdgeRecord, FlowRecord } from "../policy/record.ts";
import { pageLimit } from "./query.ts";
import { SqliteEvents } from "./sqlite_events.ts";
import { SqliteFlows } from "./sqlite_flows.ts";
import { BUSY_MS, openDatabase, storeError } from "./sqlite_open.ts";
import { SqliteRetention } from "./sqlite_retention.ts";
import { rollBack } from "./sqlite_schema.ts";
import {
  type AuditEntry,
  AUDITS_STORED_MAX,
  type EventQuery,
  type Page,
  POLICIES_STORED_MAX,
  type PolicyVersion,
  type Retention,
  type Store,
  StoreError,
} from "./store.ts";

export interface SqliteStoreOptions {
  /** How long opening waits for another process to let go of the file. @default 1000 */
  readonly busyMs?: number;
}

/**
 * Opens the store in a file, or makes it.
 *
 * @throws {StoreError} `busy`: another process has it. `corrupt`, `newer`: move it away. `full`, `io`.
 */
export function openSqliteStore(path: string, options: SqliteStoreOptions = {}): Store {
  const database = openDatabase(path, options.busyMs ?? BUSY_MS);
  try {
    return new SqliteStore(path, database);
  } catch (error) {
    database.close();
    throw storeError("open", path, error);
  }
}

class SqliteStore implements Store {
  readonly #path: string;
  readonly #database: DatabaseSync;
  readonly #events: SqliteEvents;
  readonly #flows: SqliteFlows;
  /** By their text: all but those of events are few and short. */
  readonly #statements = new Map<string, StatementSync>();
  readonly #retention: SqliteRetention;
  /** Of the file that is open. */
  readonly #inode: number | undefined;
  #isWriting = false;

  constructor(path: string, database: DatabaseSync) {
    this.#path = path;
    this.#database = database;
    this.#events = new SqliteEvents(database);
    this.#flows = new SqliteFlows(database);
    this.#retention = new SqliteRetention(database, this.#events, this.#flows);
    this.#inode = inodeOf(path);
  }

  putEvents(events: readonly NetwallEvent[]): void {
    this.#write(() => this.#events.put(events));
  }

  events(query: EventQuery): Page<NetwallEvent> {
    pageLimit(query.limit);
    return this.#read(() => this.#events.query(query));
  }

  event(id: string): NetwallEvent | undefined {
    return this.#read(() => this.#events.one(id));
  }

  eventsAfter(seq: number, limit: number): NetwallEvent[] {
    pageLimit(limit);
    return this.#read(() => this.#events.after(seq, limit));
  }

  lastSeq(): number {
    return this.#read(() => this.#events.lastSeq());
  }

  putEdges(edges: readonly EdgeRecord[]): void {
    const sql = "INSERT OR REPLACE INTO edges (id, last_seen, json) VALUES (?, ?, ?)";
    this.#write(() => {
      for (const edge of edges) this.#sql(sql).run(edge.id, edge.lastSeenMs, JSON.stringify(edge));
    });
  }

  edges(): EdgeRecord[] {
    return this.#read(() => this.#sql("SELECT json FROM edges ORDER BY id").all().map(parsed<EdgeRecord>));
  }

  addFlows(flows: readonly FlowRecord[]): void {
    this.#write(() => this.#flows.add(flows));
  }

  flows(sinceMs: number, limit: number): FlowRecord[] {
    return this.#read(() => this.#flows.list(sinceMs, limit));
  }

  edgeHours(edge: string, fromMs: number): EdgeHour[] {
    return this.#read(() => this.#flows.edgeHours(edge, fromMs));
  }

  addPolicy({ document, ...head }: Omit<PolicyVersion, "version">): PolicyVersion {
    return this.#write(() => {
      const newest = this.#sql("SELECT max(version) AS version FROM policies").get()?.["version"];
      const version = Number(newest ?? 0) + 1;
      this.#sql("INSERT INTO policies (version, json, document) VALUES (?, ?, ?)")
        .run(version, JSON.stringify({ ...head, version }), JSON.stringify(document));
      this.#sql("DELETE FROM policies WHERE version <= ?").run(version - POLICIES_STORED_MAX);
      return { ...head, document, version };
    }, true);
  }

  policy(version?: number): PolicyVersion | undefined {
    return this.#read(() => {
      const row = version === undefined
        ? this.#sql("SELECT json, document FROM policies ORDER BY version DESC LIMIT 1").get()
        : this.#sql("SELECT json, document FROM policies WHERE version = ?").get(version);
      if (row === undefined) return undefined;
      const head = parsed<Omit<PolicyVersion, "document">>(row);
      // It decides what is let through, so it is read as strictly as one that somebody sends.
      const document = policySchema.safeParse(JSON.parse(String(row["document"])));
      if (document.success) return { ...head, document: document.data };
      throw new StoreError(
        `Cannot read version ${head.version} of the policy in ${this.#path}: it is damaged, ` +
          (version === undefined ? "move the file away to begin with an empty one" : "take another version"),
        "corrupt",
        { cause: document.error },
      );
    });
  }

  policies(limit: number, before?: number): Page<Omit<PolicyVersion, "document">> {
    const sql = "SELECT json FROM policies WHERE version < ? ORDER BY version DESC LIMIT ?";
    return this.#page<Omit<PolicyVersion, "document">>(sql, limit, before, ({ version }) => version);
  }

  addAudit(entry: Omit<AuditEntry, "id">): AuditEntry {
    return this.#write(() => {
      const newest = this.#sql("SELECT max(id) AS id FROM audits").get()?.["id"];
      const added = { ...entry, id: Number(newest ?? 0) + 1 };
      this.#sql("INSERT INTO audits (id, json) VALUES (?, ?)").run(added.id, JSON.stringify(added));
      this.#sql("DELETE FROM audits WHERE id <= ?").run(added.id - AUDITS_STORED_MAX);
      return added;
    }, true);
  }

  audits(limit: number, before?: number): Page<AuditEntry> {
    const sql = "SELECT json FROM audits WHERE id < ? ORDER BY id DESC LIMIT ?";
    return this.#page<AuditEntry>(sql, limit, before, ({ id }) => id);
  }

  atomically<T>(work: () => T): T {
    return this.#write(work, true);
  }

  putState(name: string, text: string): void {
    const bytes = new TextEncoder().encode(text);
    this.#write(() => this.#sql("INSERT OR REPLACE INTO states (name, text) VALUES (?, ?)").run(name, bytes));
  }

  state(name: string): string | undefined {
    const bytes = this.#read(() => this.#sql("SELECT text FROM states WHERE name = ?").get(name)?.["text"]);
    return bytes instanceof Uint8Array
      ? new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes)
      : undefined;
  }

  prune(retention: Retention): number {
    const count = this.#write(() => this.#retention.deleteSlice(retention));
    this.#read(() => this.#retention.shrink(retention, this.sizeBytes()));
    return count;
  }

  sizeBytes(): number {
    return sizeOf(this.#path) + sizeOf(`${this.#path}-wal`);
  }

  close(): void {
    if (!this.#database.isOpen) return;
    this.#statements.clear();
    this.#read(() => this.#database.close());
  }

  #page<T>(
    sql: string,
    limit: number,
    before: number | undefined,
    keyOf: (item: T) => number,
  ): Page<T> {
    pageLimit(limit);
    const rows = this.#read(() => this.#sql(sql).all(before ?? Number.MAX_SAFE_INTEGER, limit + 1));
    const items = rows.slice(0, limit).map(parsed<T>);
    const last = items.at(-1);
    return rows.length > limit && last !== undefined ? { items, next: String(keyOf(last)) } : { items };
  }

  #sql(text: string): StatementSync {
    let statement = this.#statements.get(text);
    if (statement === undefined) this.#statements.set(text, statement = this.#database.prepare(text));
    return statement;
  }

  #read<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw storeError("read", this.#path, error);
    }
  }

  /** A file that was deleted takes all that is written and gives none of it back: nobody would ever notice. */
  #checkPlace(): void {
    if (this.#inode === inodeOf(this.#path)) return;
    throw new StoreError(
      `Cannot write to the store ${this.#path}: its file was moved or deleted, put it back or restart the gateway`,
      "io",
    );
  }

  /** @param onDisk Whether it returns only when the disk has it; costs an fsync. */
  #write<T>(work: () => T, onDisk = false): T {
    // Part of what is written all or none: whoever began that ends it.
    if (this.#isWriting) return work();
    this.#isWriting = true;
    try {
      this.#checkPlace();
      if (onDisk) this.#database.exec("PRAGMA synchronous = FULL");
      this.#database.exec("BEGIN IMMEDIATE");
      const result = work();
      this.#database.exec("COMMIT");
      return result;
    } catch (error) {
      rollBack(this.#database);
      throw storeError("write to", this.#path, error);
    } finally {
      this.#isWriting = false;
      if (onDisk && this.#database.isOpen) this.#database.exec("PRAGMA synchronous = NORMAL");
    }
  }
}

type Row = Record<string, unknown>;

/** `undefined` when there is no such file. */
function inodeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.ino;
}

function parsed<T>(row: Row): T {
  return JSON.parse(String(row["json"])) as T;
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}
