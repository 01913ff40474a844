/**
 * Keeps the file of the store within its bounds of age and size.
 *
 * Deleted rows leave free pages, which new rows use again. While the file is too large they are given back to the
 * file system as well, and the log is emptied, so that the size that the operator sees is the one that was promised.
 * A part of the bound is left empty for what comes before the next call.
 *
 * Source: https://sqlite.org/pragma.html#pragma_incremental_vacuum
 *
 * @module
 */
import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { SqliteEvents } from "./sqlite_events.ts";
import type { SqliteFlows } from "./sqlite_flows.ts";
import { integerOf } from "./sqlite_schema.ts";
import { EDGES_STORED_MAX, PRUNE_SLICE, type Retention } from "./store.ts";

const HOUR_MS = 3_600_000;
/** Pages that are given back at once: more than a slice of events frees, so that none pile up. */
const VACUUM_PAGES = 1_024;
/** At the default of 1 GiB it is 64 MiB: what 5,000 events/s come to in some 8 s. */
const ROOM_SHARE = 1 / 16;

/** Deletion in slices. Transactions are the caller's. */
export class SqliteRetention {
  readonly #database: DatabaseSync;
  readonly #events: SqliteEvents;
  readonly #flows: SqliteFlows;
  readonly #pageBytes: number;
  readonly #countEdges: StatementSync;
  readonly #dropEdges: StatementSync;

  constructor(database: DatabaseSync, events: SqliteEvents, flows: SqliteFlows) {
    this.#database = database;
    this.#events = events;
    this.#flows = flows;
    this.#pageBytes = integerOf(database, "page_size");
    this.#countEdges = database.prepare("SELECT count(*) AS count FROM edges");
    this.#dropEdges = database.prepare(
      "DELETE FROM edges WHERE id IN (SELECT id FROM edges ORDER BY last_seen LIMIT ?)",
    );
  }

  /** Deletes what is too old; only when nothing is, what is too much. @returns How many rows went. */
  deleteSlice({ beforeMs, bytesMax }: Retention): number {
    const old = this.#events.deleteBefore(beforeMs, PRUNE_SLICE) +
      this.#flows.deleteUntil(beforeMs - HOUR_MS, PRUNE_SLICE) + this.#deleteEdges();
    return old > 0 || this.#liveBytes() <= targetBytes(bytesMax) ? old : this.#deleteOldest();
  }

  /** Gives free pages back while the file is too large. Outside of a transaction. */
  shrink({ bytesMax }: Retention, sizeBytes: number): void {
    if (sizeBytes <= targetBytes(bytesMax)) return;
    // `all`, as each page is a step of its own and Deno's `exec` takes only the first.
    this.#database.prepare(`PRAGMA incremental_vacuum(${VACUUM_PAGES})`).all();
    this.#database.prepare("PRAGMA wal_checkpoint(TRUNCATE)").all();
  }

  /** What the pages in use come to, without those that are free. */
  #liveBytes(): number {
    const free = integerOf(this.#database, "freelist_count");
    return (integerOf(this.#database, "page_count") - free) * this.#pageBytes;
  }

  /** Events and flows grow alike under a flood, so the older of the two goes first. */
  #deleteOldest(): number {
    const hourMs = this.#flows.oldestMs();
    if (this.#events.oldestMs() <= hourMs + HOUR_MS) {
      const count = this.#events.deleteBefore(Infinity, PRUNE_SLICE);
      if (count > 0) return count;
    }
    return this.#flows.deleteUntil(hourMs, PRUNE_SLICE);
  }

  #deleteEdges(): number {
    const over = Number(this.#countEdges.get()?.["count"]) - EDGES_STORED_MAX;
    return over <= 0 ? 0 : Number(this.#dropEdges.run(Math.min(PRUNE_SLICE, over)).changes);
  }
}

function targetBytes(bytesMax: number): number {
  return bytesMax * (1 - ROOM_SHARE);
}
