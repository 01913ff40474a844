/**
 * Flows in SQLite, and beside them the sums of each edge by the hour.
 *
 * One edge may have thousands of flows in an hour, so that its sums are kept and not added up when somebody looks. They
 * lie by hour first: what is too old is at the front, and an edge is looked up hour by hour.
 *
 * @module
 */
import { createHash } from "node:crypto";
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { edgeId } from "../policy/edge.ts";
import { type EdgeHour, HOURS_MAX } from "../policy/edge_traffic.ts";
import type { FlowRecord } from "../policy/record.ts";
import { flowKey } from "./query.ts";

const HOUR_MS = 3_600_000;

/** The tables `flows` and `edge_hours`. Transactions are the caller's. */
export class SqliteFlows {
  readonly #add: StatementSync;
  readonly #addHour: StatementSync;
  readonly #list: StatementSync;
  readonly #hour: StatementSync;
  readonly #oldest: StatementSync;
  readonly #drop: StatementSync;
  readonly #dropHours: StatementSync;

  constructor(database: DatabaseSync) {
    this.#add = database.prepare(
      `INSERT INTO flows (hour, key, count, bytes, json) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT (hour, key) DO UPDATE SET count = count + excluded.count, bytes = bytes + excluded.bytes`,
    );
    this.#addHour = database.prepare(
      `INSERT INTO edge_hours (hour, edge, count, dropped, bytes) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT (hour, edge) DO UPDATE SET
         count = count + excluded.count, dropped = dropped + excluded.dropped, bytes = bytes + excluded.bytes`,
    );
    this.#list = database.prepare(
      "SELECT count, bytes, json FROM flows WHERE hour >= ? ORDER BY hour DESC, key LIMIT ?",
    );
    this.#hour = database.prepare(
      "SELECT count, dropped, bytes FROM edge_hours WHERE hour = ? AND edge = ?",
    );
    this.#oldest = database.prepare("SELECT min(hour) AS hour FROM flows");
    this.#drop = database.prepare(
      "DELETE FROM flows WHERE place IN (SELECT place FROM flows WHERE hour <= ? ORDER BY hour LIMIT ?)",
    );
    this.#dropHours = database.prepare(
      `DELETE FROM edge_hours WHERE (hour, edge) IN
         (SELECT hour, edge FROM edge_hours WHERE hour <= ? ORDER BY hour LIMIT ?)`,
    );
  }

  add(flows: readonly FlowRecord[]): void {
    for (const flow of flows) {
      const { hourMs, count, bytes, verdict } = flow;
      const key = createHash("sha256").update(flowKey(flow)).digest("base64url");
      this.#add.run(hourMs, key, count, bytes, JSON.stringify(flow));
      this.#addHour.run(hourMs, edgeId(flow), count, verdict === "dropped" ? count : 0, bytes);
    }
  }

  list(sinceMs: number, limit: number): FlowRecord[] {
    return this.#list.all(sinceMs, limit).map((row) => ({
      ...JSON.parse(String(row["json"])) as FlowRecord,
      count: Number(row["count"]),
      bytes: Number(row["bytes"]),
    }));
  }

  /** Those of the `HOURS_MAX` hours from a time on in which the edge had something, the oldest first. */
  edgeHours(edge: string, fromMs: number): EdgeHour[] {
    const firstMs = Math.ceil(fromMs / HOUR_MS) * HOUR_MS;
    const found: EdgeHour[] = [];
    for (let step = 0; step < HOURS_MAX; step += 1) {
      const hourMs = firstMs + step * HOUR_MS;
      const row = this.#hour.get(hourMs, edge);
      if (row === undefined) continue;
      const [count, droppedCount] = [Number(row["count"]), Number(row["dropped"])];
      found.push({ hourMs, count, droppedCount, bytes: Number(row["bytes"]) });
    }
    return found;
  }

  /** The oldest hour of which there is a flow, or `Infinity`. */
  oldestMs(): number {
    return Number(this.#oldest.get()?.["hour"] ?? Infinity);
  }

  /**
   * Deletes flows of hours that began at a time or before, and the sums of such hours. There is a flow for every sum, so
   * when the last of the flows goes the sums are gone too.
   *
   * @returns How many flows went.
   */
  deleteUntil(hourMs: number, countMax: number): number {
    this.#dropHours.run(hourMs, countMax);
    return Number(this.#drop.run(hourMs, countMax).changes);
  }
}
