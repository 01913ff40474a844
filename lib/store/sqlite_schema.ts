/**
 * The tables of the store, step by step: each migration takes a file from one version to the next.
 *
 * A migration that was released is never changed: whoever needs another table adds a step. The version of a file is
 * its `user_version`; its `application_id` says that it is ours.
 *
 * What is looked for stands in narrow columns of `events`, the event itself as JSON in `event_bodies`: a query walks
 * the narrow rows from the newest and reads bodies only for what it returns. There is no index per column: each
 * would be one more tree to write for every event, while a walk that finds nothing among 300,000 events took 0.2 s on
 * a busy machine, and most pages are full long before. A text is looked for in the bodies, which costs more for each
 * event: so the walk takes fewer at a time. What is indexed is the order of pages (`id`), of the live
 * stream (`seq`) and of deletion (`time`).
 *
 * Every text that is read back is JSON, or a blob: a text column ends at its first NUL when Deno reads it.
 *
 * Source: https://sqlite.org/pragma.html (`user_version`, `application_id`), https://sqlite.org/stricttables.html
 *
 * @module
 */
import type { DatabaseSync } from "node:sqlite";

/** "NWal": what `file` and we know a store by. */
export const APPLICATION_ID = 0x4e57616c;

/** From version 0, an empty file, upwards. */
export const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE events (
    place INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    seq INTEGER NOT NULL,
    time REAL NOT NULL,
    type TEXT NOT NULL,
    effect TEXT NOT NULL,
    verdict TEXT NOT NULL,
    direction TEXT,
    source TEXT,
    source_namespace TEXT,
    source_image TEXT,
    source_service TEXT,
    destination TEXT,
    destination_namespace TEXT,
    destination_image TEXT,
    destination_service TEXT
  ) STRICT;
  CREATE INDEX events_by_seq ON events (seq);
  CREATE INDEX events_by_time ON events (time);
  CREATE TABLE event_bodies (place INTEGER PRIMARY KEY, json TEXT NOT NULL) STRICT;
  CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
  CREATE TABLE edges (id TEXT PRIMARY KEY, last_seen REAL NOT NULL, json TEXT NOT NULL) STRICT;
  CREATE TABLE flows (
    place INTEGER PRIMARY KEY,
    hour REAL NOT NULL,
    key TEXT NOT NULL,
    count INTEGER NOT NULL,
    json TEXT NOT NULL,
    UNIQUE (hour, key)
  ) STRICT;
  CREATE TABLE policies (
    version INTEGER PRIMARY KEY,
    json TEXT NOT NULL,
    document TEXT NOT NULL
  ) STRICT;
  CREATE TABLE audits (id INTEGER PRIMARY KEY, json TEXT NOT NULL) STRICT;
  CREATE TABLE states (name TEXT PRIMARY KEY, text BLOB NOT NULL) STRICT;
  PRAGMA application_id = ${APPLICATION_ID};
  `,
  `
  ALTER TABLE events ADD COLUMN severity TEXT;
  UPDATE events SET severity =
    (SELECT json_extract(json, '$.severity') FROM event_bodies WHERE event_bodies.place = events.place);
  ALTER TABLE flows ADD COLUMN bytes REAL NOT NULL DEFAULT 0;
  CREATE TABLE edge_hours (
    hour REAL NOT NULL,
    edge TEXT NOT NULL,
    count INTEGER NOT NULL,
    dropped INTEGER NOT NULL,
    bytes REAL NOT NULL,
    PRIMARY KEY (hour, edge)
  ) STRICT, WITHOUT ROWID;
  `,
];

/**
 * Takes a database to the newest version, one transaction for each step: a step is done whole or not at all.
 *
 * @param migrations From version 0; the database's version is how many of them it has had.
 * @throws What SQLite throws; the version then is that of the last step that was done.
 */
export function migrate(database: DatabaseSync, migrations: readonly string[] = MIGRATIONS): void {
  for (let version = integerOf(database, "user_version"); version < migrations.length; version++) {
    database.exec("BEGIN IMMEDIATE");
    try {
      database.exec(migrations[version]!);
      database.exec(`PRAGMA user_version = ${version + 1}`);
      database.exec("COMMIT");
    } catch (error) {
      rollBack(database);
      throw error;
    }
  }
}

/** The value of a pragma that is a number. */
export function integerOf(database: DatabaseSync, pragma: string): number {
  return Number(Object.values(database.prepare(`PRAGMA ${pragma}`).get() ?? {})[0] ?? 0);
}

/** Ends a transaction that failed. SQLite has ended some by itself by then, such as on a full disk. */
export function rollBack(database: DatabaseSync): void {
  try {
    database.exec("ROLLBACK");
  } catch {
    // There was nothing to roll back any more: that is what was wanted.
  }
}
