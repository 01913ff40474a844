/**
 * Opens the file of the store, and tells what is wrong with it in words that help.
 *
 * One process has the file for itself: SQLite's exclusive locking mode holds the lock of the operating system, which
 * ends with the process, also on SIGKILL. In that mode the index of the write-ahead log is in memory, so no shared
 * memory file is needed. The lock is a POSIX lock: it is lost when this process opens and closes the same file by any
 * other way, so nothing here or elsewhere may do that while the store is open.
 *
 * Nothing is ever deleted or repaired here: a damaged file may be all the evidence there is.
 *
 * Source: https://sqlite.org/wal.html §8, https://sqlite.org/pragma.html#pragma_locking_mode,
 * https://sqlite.org/howtocorrupt.html §2.2
 *
 * @module
 */
import { chmodSync, closeSync, mkdirSync, openSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { APPLICATION_ID, integerOf, migrate, MIGRATIONS } from "./sqlite_schema.ts";
import { StoreError } from "./store.ts";

/** How long opening waits for a predecessor that is just ending. Nothing else runs meanwhile. */
export const BUSY_MS = 1_000;
/** Files up to here are checked whole when they are opened, at some 300 MiB/s; a larger one as it is read. */
export const CHECKED_BYTES_MAX = 64 << 20;
/**
 * After so many pages of 4 KiB the write-ahead log is written back, which waits for the disk: at 5,000 events/s some
 * three times a second. A smaller log is written back more often, a larger one holds the loop longer.
 */
const CHECKPOINT_PAGES = 1_000;
/** What the log may keep on disk when it is empty. */
const LOG_BYTES_MAX = CHECKPOINT_PAGES * 4096;

/**
 * Opens or makes a database that is ours alone, at the newest version.
 *
 * @param path Of the file; it gets the mode 0600, and a directory that is missing is made with 0700.
 * @param busyMs How long it waits for another process.
 * @throws {StoreError} `busy`, `corrupt`, `newer`, `full` or `io`; the file is as it was.
 */
export function openDatabase(path: string, busyMs: number = BUSY_MS): DatabaseSync {
  let database: DatabaseSync | undefined;
  try {
    createPrivate(path);
    database = new DatabaseSync(path, { timeout: busyMs });
    // Has to come before anything is locked, and would write to a file that is not empty.
    if (statSync(path).size === 0) database.exec("PRAGMA auto_vacuum = INCREMENTAL");
    database.exec("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; COMMIT");
    refuseForeign(database, path);
    database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL");
    database.exec(
      `PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}; PRAGMA journal_size_limit = ${LOG_BYTES_MAX}`,
    );
    migrate(database);
    return database;
  } catch (error) {
    database?.close();
    throw storeError("open", path, error);
  }
}

/** The file, empty, for its owner alone. One that is there is not opened, as that would lose a lock. */
function createPrivate(path: string): void {
  const known = statSync(path, { throwIfNoEntry: false });
  if (known?.isFile() === false) throw fault("open", path, "io", "it is no file, choose another directory");
  if (known !== undefined) return chmodSync(path, 0o600);
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  try {
    closeSync(openSync(path, "wx", 0o600));
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
  }
}

function refuseForeign(database: DatabaseSync, path: string): void {
  const tables = Number(database.prepare("SELECT count(*) AS count FROM sqlite_schema").get()?.["count"]);
  if (tables === 0) return;
  if (integerOf(database, "application_id") !== APPLICATION_ID) {
    throw fault("open", path, "corrupt", "it is the database of another program, choose another directory");
  }
  if (integerOf(database, "user_version") > MIGRATIONS.length) {
    throw fault("open", path, "newer", "a later release made it, run that one or move the file away");
  }
  if (statSync(path).size > CHECKED_BYTES_MAX) return;
  const found = database.prepare("PRAGMA quick_check(1)").get() ?? {};
  if (Object.values(found)[0] !== "ok") throw fault("open", path, "corrupt", DAMAGED);
}

const DAMAGED =
  "it is damaged or no store at all, move it away to begin with an empty one (nothing was deleted)";

/** What SQLite says, by code. The text is looked at, as one runtime leaves the number out of some errors. */
const FAULTS: readonly (readonly [RegExp, StoreError["code"], string])[] = [
  [/disk is full|ENOSPC/, "full", "the disk is full, make room on it"],
  [/not a database|malformed|JSON/, "corrupt", DAMAGED],
  [
    /is locked|is busy/,
    "busy",
    "another gateway uses it, stop that one or choose another directory with --data",
  ],
  [/is not open/, "io", "it was closed"],
];

/** An error of SQLite, the file system or a body that is no JSON, as one of the store. */
export function storeError(action: string, path: string, error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  const text = error instanceof Error ? error.message : String(error);
  const [, code, advice] = FAULTS.find(([pattern]) => pattern.test(text)) ?? [];
  if (code !== undefined && advice !== undefined) return fault(action, path, code, advice, error);
  return fault(action, path, "io", `${text}, check the directory and who may write to it`, error);
}

function fault(
  action: string,
  path: string,
  code: StoreError["code"],
  advice: string,
  cause?: unknown,
): StoreError {
  return new StoreError(`Cannot ${action} the store ${path}: ${advice}`, code, { cause });
}
