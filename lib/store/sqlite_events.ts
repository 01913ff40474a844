/**
 * Events in SQLite: how one becomes a row, and how a query becomes a statement.
 *
 * @module
 */
import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { NetwallEvent } from "../events/event.ts";
import { sureRun } from "./event_text.ts";
import { END_FIELDS, EQUAL_FIELDS, eventMatches, isOfText, pageLimit, VERSION_SIGNS } from "./query.ts";
import type { EventQuery, Page } from "./store.ts";

type Value = string | number | null;

/** The columns that a query may ask for, in the order in which `rowOf` gives them. */
const COLUMNS = [
  "id",
  "seq",
  "time",
  "type",
  "severity",
  "effect",
  "verdict",
  "direction",
  "source",
  "source_namespace",
  "source_image",
  "source_service",
  "destination",
  "destination_namespace",
  "destination_image",
  "destination_service",
] as const;

function rowOf(event: NetwallEvent): Value[] {
  const { source, destination } = event;
  return [
    event.id,
    event.seq,
    event.time,
    event.type,
    event.severity,
    event.effect,
    event.verdict,
    event.direction ?? null,
    source?.name ?? null,
    source?.namespace ?? null,
    source?.image ?? null,
    source?.service ?? null,
    destination?.name ?? null,
    destination?.namespace ?? null,
    destination?.image ?? null,
    destination?.service ?? null,
  ];
}

/** The tables `events` and `event_bodies`. Transactions are the caller's. */
export class SqliteEvents {
  readonly #database: DatabaseSync;
  readonly #put: StatementSync;
  readonly #putBody: StatementSync;
  readonly #raiseSeq: StatementSync;
  readonly #lastSeq: StatementSync;
  readonly #one: StatementSync;
  readonly #after: StatementSync;
  readonly #oldest: StatementSync;
  readonly #delete: StatementSync;
  readonly #deleteBody: StatementSync;
  readonly #floor: StatementSync;

  constructor(database: DatabaseSync) {
    this.#database = database;
    const columns = COLUMNS.join(", ");
    const changed = COLUMNS.slice(1).map((name) => `${name} = excluded.${name}`).join(", ");
    this.#put = database.prepare(
      `INSERT INTO events (${columns}) VALUES (${COLUMNS.map(() => "?").join(", ")})
       ON CONFLICT (id) DO UPDATE SET ${changed} RETURNING place`,
    );
    this.#putBody = database.prepare("INSERT OR REPLACE INTO event_bodies (place, json) VALUES (?, ?)");
    this.#raiseSeq = database.prepare(
      `INSERT INTO counters (name, value) VALUES ('seq', ?)
       ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)`,
    );
    this.#lastSeq = database.prepare("SELECT value FROM counters WHERE name = 'seq'");
    this.#one = database.prepare(
      "SELECT json FROM event_bodies WHERE place = (SELECT place FROM events WHERE id = ?)",
    );
    this.#after = database.prepare(
      "SELECT json FROM events JOIN event_bodies USING (place) WHERE seq > ? ORDER BY seq LIMIT ?",
    );
    this.#oldest = database.prepare("SELECT place, time FROM events ORDER BY time LIMIT ?");
    this.#delete = database.prepare("DELETE FROM events WHERE place = ?");
    this.#deleteBody = database.prepare("DELETE FROM event_bodies WHERE place = ?");
    this.#floor = database.prepare("SELECT id FROM events WHERE id < ? ORDER BY id DESC LIMIT 1 OFFSET ?");
  }

  put(events: readonly NetwallEvent[]): void {
    let seqMax = 0;
    for (const event of events) {
      const place = Number(this.#put.get(...rowOf(event))?.["place"]);
      this.#putBody.run(place, JSON.stringify(event));
      seqMax = Math.max(seqMax, event.seq);
    }
    if (events.length > 0) this.#raiseSeq.run(seqMax);
  }

  query(query: EventQuery): Page<NetwallEvent> {
    const limit = pageLimit(query.limit);
    const conditions: string[] = [];
    const values: Value[] = [];
    const where = (condition: string, ...given: readonly Value[]): void => {
      conditions.push(condition);
      values.push(...given);
    };
    if (query.before !== undefined) where("id < ?", query.before);
    const { looksMax } = query;
    const floor = looksMax === undefined ? undefined : this.#floorOf(query.before, looksMax);
    if (floor !== undefined) where("id >= ?", floor);
    // The + keeps the walk off the index over the time: its order would have to be sorted away.
    if (query.sinceMs !== undefined) where("+time >= ?", query.sinceMs);
    if (query.untilMs !== undefined) where("+time < ?", query.untilMs);
    for (const name of [...EQUAL_FIELDS, "source", "destination"] as const) {
      if (query[name] !== undefined) where(`${name} = ?`, query[name]);
    }
    const { effect } = query;
    if (effect !== undefined) where(`effect IN (${effect.map(() => "?").join(", ")})`, ...effect);
    for (const name of END_FIELDS) {
      const value = query[name];
      if (value === undefined) continue;
      const ends = [`source_${name}`, `destination_${name}`];
      const conditions = ends.map((end) => `${end} = ?`);
      const given: Value[] = [value, value];
      if (name === "image") {
        // Not LIKE: it takes signs of the image for its own.
        for (const sign of VERSION_SIGNS) {
          for (const end of ends) {
            conditions.push(`substr(${end}, 1, ?) = ?`);
            given.push([...value].length + 1, `${value}${sign}`);
          }
        }
      }
      where(`(${conditions.join(" OR ")})`, ...given);
    }
    // One more than asked for tells whether there is a next page.
    const narrow = conditions.length === 0 ? "" : `WHERE ${conditions.join(" AND ")}`;
    const found = isOfText(query)
      ? this.#readBodies(query, narrow, values, limit + 1)
      : this.#database.prepare(
        `SELECT json FROM (SELECT place, id FROM events ${narrow} ORDER BY id DESC LIMIT ?) AS found
         CROSS JOIN event_bodies USING (place) ORDER BY id DESC`,
      ).all(...values, limit + 1).map(eventOf);
    const items = found.slice(0, limit);
    const last = items.at(-1);
    if (found.length > limit && last !== undefined) return { items, next: last.id };
    // It was not looked any further: where to go on is where that was.
    return floor === undefined ? { items } : { items, next: floor };
  }

  /** Walks the bodies too: those without a sure run of what is looked for are passed over, the others read. */
  #readBodies(query: EventQuery, narrow: string, values: readonly Value[], countMax: number): NetwallEvent[] {
    const runs = [query.q, query.host].map((text) => sureRun(text ?? "")).filter((run) => run !== "");
    const sure = runs.map(() => "instr(lower(json), ?) > 0").join(" AND ");
    const rows = this.#database.prepare(
      `SELECT json FROM (SELECT place, id FROM events ${narrow} ORDER BY id DESC) AS found
       CROSS JOIN event_bodies USING (place) ${sure === "" ? "" : `WHERE ${sure}`} ORDER BY id DESC`,
    ).iterate(...values, ...runs);
    const found: NetwallEvent[] = [];
    for (const row of rows) {
      const event = eventOf(row);
      if (eventMatches(event, query)) found.push(event);
      if (found.length >= countMax) break;
    }
    return found;
  }

  /** The id of the last event that is looked at; `undefined` when there are fewer. */
  #floorOf(before: string | undefined, looksMax: number): string | undefined {
    // Greater than every id: they are of digits and small letters.
    const row = this.#floor.get(before ?? "~", looksMax - 1);
    return row === undefined ? undefined : String(row["id"]);
  }

  one(id: string): NetwallEvent | undefined {
    const row = this.#one.get(id);
    return row === undefined ? undefined : eventOf(row);
  }

  after(seq: number, limit: number): NetwallEvent[] {
    return this.#after.all(seq, pageLimit(limit)).map(eventOf);
  }

  lastSeq(): number {
    return Number(this.#lastSeq.get()?.["value"] ?? 0);
  }

  /** When the oldest one was, or `Infinity`. */
  oldestMs(): number {
    return Number(this.#oldest.get(1)?.["time"] ?? Infinity);
  }

  /** Deletes the oldest ones before a time. @returns How many. */
  deleteBefore(beforeMs: number, countMax: number): number {
    const places = this.#oldest.all(countMax).filter(({ time }) => Number(time) < beforeMs);
    for (const { place } of places) {
      this.#delete.run(Number(place));
      this.#deleteBody.run(Number(place));
    }
    return places.length;
  }
}

function eventOf(row: Record<string, unknown>): NetwallEvent {
  return JSON.parse(String(row["json"])) as NetwallEvent;
}
