/**
 * Turns on the event loop: what the admin API works out is done piece by piece, with the visitors' traffic in between.
 *
 * The gateway has one loop for everybody. Without this, whoever may look at the gateway could hold it up by asking
 * for much, or for little many times at once. Pieces are done one at a time, and after each the loop is left alone
 * for as long as the piece took: so the API has half of it at most. Operators come first, since whoever sets a mode
 * in an incident must not wait behind those who look.
 *
 * @module
 */
import { setImmediate, setTimeout } from "node:timers";
import type { Actor } from "./control.ts";
import { ApiFault } from "./fault.ts";

/** Pieces of one role that may wait. More than that is a flood: 32 people with eight open requests each. */
export const TURNS_WAITING_MAX = 256;
/** A shorter piece holds nobody up, and needs no pause after it. */
const SHORT_MS = 1;
/** The longest pause: one that took minutes must not stop the API for as long. */
const PAUSE_MS_MAX = 1_000;

type Role = Actor["role"];

export class Turns {
  readonly #waiting: Readonly<Record<Role, (() => void)[]>> = { operator: [], viewer: [] };
  readonly #nowMs: () => number;
  /** A piece is being done, or the pause after it is not over. */
  #isBusy = false;

  /** @param nowMs Any clock that only goes on. @default performance.now */
  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
  }

  /** Pieces that wait. */
  get waiting(): number {
    return this.#waiting.operator.length + this.#waiting.viewer.length;
  }

  /**
   * Does a piece of work when its turn has come, and gives what it returns. A promise is not waited for: what comes
   * after it is no part of the piece, and takes a turn of its own when it is much.
   *
   * @throws {ApiFault} 503: too many wait. And whatever the work throws.
   */
  take<T>(role: Role, work: () => T): Promise<Awaited<T>> {
    const queue = this.#waiting[role];
    if (queue.length >= TURNS_WAITING_MAX) {
      const detail = "Too much is asked of the gateway at once: wait, and ask for less";
      return Promise.reject(new ApiFault(503, detail, undefined, { "Retry-After": "1" }));
    }
    return new Promise((resolve, reject) => {
      queue.push(() => {
        try {
          resolve(work() as Awaited<T>);
        } catch (error) {
          reject(error);
        }
      });
      if (!this.#isBusy) this.#next();
    });
  }

  #next(): void {
    const piece = this.#waiting.operator.shift() ?? this.#waiting.viewer.shift();
    this.#isBusy = piece !== undefined;
    if (piece === undefined) return;
    const startMs = this.#nowMs();
    piece();
    const tookMs = this.#nowMs() - startMs;
    if (tookMs < SHORT_MS) setImmediate(() => this.#next());
    else setTimeout(() => this.#next(), Math.min(tookMs, PAUSE_MS_MAX));
  }
}
