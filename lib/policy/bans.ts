/**
 * Sources that are refused for a while because they were over a rate limit.
 *
 * A ban has a fixed end: what a banned source sends does not make it longer, so that whoever shares an address with an
 * attacker is let in again. When there is no room for another ban, none is lifted for it: that source is held by its
 * limit alone.
 *
 * @module
 */
import { createHash } from "node:crypto";

/** Bans at once; one takes about 400 bytes. */
export const BANS_MAX = 10_000;
/** The service of a ban that holds for all of them. */
export const EVERY_SERVICE = "*";
/** Ends are looked for at most so often when there is no room: it reads all of them. */
const SWEEP_MS = 1_000;

/** A source that is refused for a while. */
export interface Ban {
  /** Names it for `unban`; letters and digits alone, the same for the same source, service and limit. */
  readonly key: string;
  /** As `sourceKeyOf` writes it. */
  readonly source: string;
  /** Or `EVERY_SERVICE`. */
  readonly service: string;
  readonly untilMs: number;
  readonly reason: string;
}

/** The bans of one gateway. They are kept in memory: a restart forgets them. */
export class Bans {
  /** By limit, then by source: no text is put together to look for a ban. */
  readonly #byLimit = new Map<string, Map<string, Ban>>();
  /** By key, in the order they were made. */
  readonly #byKey = new Map<string, { readonly limitId: string; readonly ban: Ban }>();
  readonly #bansMax: number;
  #sweptAtMs = -Infinity;

  /** @param bansMax @default BANS_MAX */
  constructor(bansMax: number = BANS_MAX) {
    this.#bansMax = bansMax;
  }

  /** Those that are kept, also ones that have ended and were not looked at since. */
  get size(): number {
    return this.#byKey.size;
  }

  /**
   * Bans a source. One that is banned by the same limit keeps its end.
   *
   * @param service Or `EVERY_SERVICE`; always the same for one limit.
   * @returns Whether it is banned now: false when there is no room.
   */
  add(limitId: string, source: string, service: string, untilMs: number, nowMs: number): boolean {
    if (this.find(limitId, source, nowMs) !== undefined) return true;
    if (this.#byKey.size >= this.#bansMax) this.#sweep(nowMs);
    if (this.#byKey.size >= this.#bansMax) return false;
    const ban = { key: keyOf(limitId, source), source, service, untilMs, reason: `rate limit ${limitId}` };
    let bans = this.#byLimit.get(limitId);
    if (bans === undefined) this.#byLimit.set(limitId, bans = new Map());
    bans.set(source, ban);
    this.#byKey.set(ban.key, { limitId, ban });
    return true;
  }

  /** The ban of a source by a limit, if it has not ended. */
  find(limitId: string, source: string, nowMs: number): Ban | undefined {
    const ban = this.#byLimit.get(limitId)?.get(source);
    if (ban === undefined || ban.untilMs > nowMs) return ban;
    this.unban(ban.key);
    return undefined;
  }

  /** Those that have not ended, oldest first. */
  list(nowMs: number): Ban[] {
    this.#lift((ban) => ban.untilMs <= nowMs);
    return [...this.#byKey.values()].map(({ ban }) => ban);
  }

  /**
   * Lifts a ban. `RateLimiter.unban` is what lets the source in again.
   *
   * @returns Whom which limit had banned, or `undefined` when there is no such ban.
   */
  unban(key: string): { readonly limitId: string; readonly source: string } | undefined {
    const entry = this.#byKey.get(key);
    if (entry === undefined) return undefined;
    this.#byKey.delete(key);
    const bans = this.#byLimit.get(entry.limitId);
    bans?.delete(entry.ban.source);
    if (bans?.size === 0) this.#byLimit.delete(entry.limitId);
    return { limitId: entry.limitId, source: entry.ban.source };
  }

  /** Lifts what a limit has banned: it is gone, or is another one now. */
  liftAllOf(limitId: string): void {
    this.#lift((_ban, of) => of === limitId);
  }

  #sweep(nowMs: number): void {
    if (nowMs >= this.#sweptAtMs && nowMs - this.#sweptAtMs < SWEEP_MS) return;
    this.#sweptAtMs = nowMs;
    this.#lift((ban) => ban.untilMs <= nowMs);
  }

  #lift(isOver: (ban: Ban, limitId: string) => boolean): void {
    for (const [key, { limitId, ban }] of this.#byKey) if (isOver(ban, limitId)) this.unban(key);
  }
}

function keyOf(limitId: string, source: string): string {
  return createHash("sha256").update(`${limitId}\n${source}`).digest("hex").slice(0, 24);
}
