/**
 * Keeps a link to one gateway alive: dials, waits longer after each failure, and moves when the gateway asks.
 *
 * It knows nothing of sessions: `onLink` runs one and settles when it is over. An agent with several gateways has
 * several dialers.
 *
 * Source: exponential backoff with full jitter, so that a thousand agents do not return in one moment.
 *
 * @module
 */

import { clearTimeout, setTimeout } from "node:timers";
import { type Link, LinkError } from "./link.ts";
import { LinkRefusedError } from "./refusal.ts";

/** Where the dialer is. `held` links are up meanwhile: old ones that finish their work. */
export type DialerState =
  | { readonly kind: "dialing"; readonly held: number }
  | { readonly kind: "linked"; readonly peer: string; readonly held: number }
  | { readonly kind: "waiting"; readonly delayMs: number; readonly error?: LinkError; readonly held: number }
  /** The end: stopped, or refused for good with `error`. */
  | { readonly kind: "ended"; readonly error?: LinkError; readonly held: number };

/** Where time comes from, so that a test can hold it. */
export interface DialerTimers {
  nowMs(): number;
  setTimeout(callback: () => void, ms: number): unknown;
  clearTimeout(timer: unknown): void;
}

export interface DialerOptions {
  /** One attempt. Must reject soon after `signal` is aborted, and with a LinkError when it fails. */
  dial(signal: AbortSignal): Promise<Link>;
  /**
   * Runs a session and settles when it is over. A rejection with a LinkError is a failed link: a permanent one
   * ends the dialer. Any other rejection is a bug and rejects `done`.
   */
  onLink(link: Link): Promise<void>;
  /** @default ignored */
  onState?(state: DialerState): void;
  readonly backoff?: {
    /** The first wait is below this, in milliseconds. @default {200} */
    readonly minMs?: number;
    /** @default {15_000} */
    readonly maxMs?: number;
    /** A link that lived this long makes the next wait a first one again. @default {30_000} */
    readonly resetAfterMs?: number;
  };
  /** From 0 up to, not including, 1. @default Math.random */
  random?(): number;
  /** @default those of the process */
  readonly timers?: DialerTimers;
}

/** Links at once: one that ends and one that takes its place. */
export const DIALER_LINKS_MAX = 2;

const PROCESS_TIMERS: DialerTimers = {
  nowMs: () => performance.now(),
  setTimeout,
  clearTimeout: clearTimeout as (timer: unknown) => void,
};

/** Dials from `start` on, until `stop` or a permanent refusal. */
export class Dialer {
  /**
   * Settles when no link is left and none will come. Rejects with the permanent LinkError, or with a bug of `onLink`
   * or `dial`.
   */
  readonly done: Promise<void>;
  readonly #options: DialerOptions;
  readonly #timers: DialerTimers;
  readonly #stopping = new AbortController();
  /** The sessions that run; each settles without error. */
  readonly #sessions = new Set<Promise<void>>();
  #settle!: { resolve: () => void; reject: (error: unknown) => void };
  #started = false;
  #failures = 0;
  /** Set by a session that failed; the loop reads it. */
  #fault: unknown;
  /** Ends the present link's turn; undefined while there is none. */
  #move: (() => void) | undefined;

  constructor(options: DialerOptions) {
    this.#options = options;
    this.#timers = options.timers ?? PROCESS_TIMERS;
    this.done = new Promise((resolve, reject) => this.#settle = { resolve, reject });
    // Who does not look at `done` has `onState`; a refusal must not end the process as unhandled.
    this.done.catch(() => {});
  }

  /** Starts to dial. Once only. */
  start(): void {
    if (this.#started) throw new TypeError("Cannot start the dialer: it is started already");
    this.#started = true;
    this.#run().then(this.#settle.resolve, this.#settle.reject);
  }

  /**
   * The gateway of the present link is about to stop: dials the next one at once, while the old one finishes.
   * Without a link there is nothing to move. Never more than `DIALER_LINKS_MAX` links: with an older one still
   * finishing, the next dial waits for the first of them to end.
   */
  moveNow(): void {
    this.#move?.();
  }

  /** Dials no more. Links that are up stay until their sessions are over; `done` settles then. */
  stop(): void {
    this.#stopping.abort();
    if (!this.#started) this.#settle.resolve();
  }

  async #run(): Promise<void> {
    let error: unknown;
    try {
      while (!this.#stopping.signal.aborted) await this.#turn();
    } catch (thrown) {
      error = thrown;
    }
    this.#tell({
      kind: "ended",
      ...(error instanceof LinkError ? { error } : {}),
      held: this.#sessions.size,
    });
    await Promise.all(this.#sessions);
    error ??= this.#fault instanceof LinkError ? undefined : this.#fault;
    if (error !== undefined) throw error;
  }

  /** One link: dial it, hold it until it ends or is to be left, and wait if it was bad. Throws to end it all. */
  async #turn(): Promise<void> {
    while (this.#sessions.size >= DIALER_LINKS_MAX) await Promise.race(this.#sessions);
    this.#tell({ kind: "dialing", held: this.#sessions.size });
    let link: Link;
    try {
      link = await this.#options.dial(this.#stopping.signal);
    } catch (error) {
      if (this.#stopping.signal.aborted) return;
      return await this.#back(error);
    }
    if (this.#stopping.signal.aborted) return link.close("the agent is stopping");
    const startedAtMs = this.#timers.nowMs();
    const moved = await this.#hold(link);
    const { resetAfterMs = 30_000 } = this.#options.backoff ?? {};
    if (this.#timers.nowMs() - startedAtMs >= resetAfterMs) this.#failures = 0;
    if (this.#stopping.signal.aborted) return;
    // At once, but a gateway that sends every link away again is not asked without a pause.
    if (moved && this.#failures === 0) return void this.#failures++;
    if (moved) return await this.#back(undefined);
    const fault = this.#fault;
    this.#fault = undefined;
    await this.#back(fault);
  }

  /** Runs the session. True when the link is to be left while it goes on. */
  async #hold(link: Link): Promise<boolean> {
    this.#tell({ kind: "linked", peer: link.peer, held: this.#sessions.size });
    let moved = false;
    const session: Promise<void> = this.#runSession(link).catch((error) => {
      // Of an old link only what ends everything counts: its end was asked for.
      if (!moved || !(error instanceof LinkError) || error.permanent) this.#fault = error;
    }).finally(() => {
      this.#sessions.delete(session);
      // The owner has ended it; a link that is forgotten would stay open for ever.
      link.terminate("The session is over");
    });
    this.#sessions.add(session);
    const moving = new Promise<void>((resolve) =>
      this.#move = () => {
        moved = true;
        resolve();
      }
    );
    await Promise.race([session, moving]);
    this.#move = undefined;
    return moved && this.#sessions.has(session);
  }

  /** As a function of its own, so that a synchronous throw is a rejection too. */
  async #runSession(link: Link): Promise<void> {
    await this.#options.onLink(link);
  }

  /** Waits after a failure; throws what no waiting heals. */
  async #back(error: unknown): Promise<void> {
    if (error !== undefined && (!(error instanceof LinkError) || error.permanent)) throw error;
    const { minMs = 200, maxMs = 15_000 } = this.#options.backoff ?? {};
    // 2 ** 30 is past any maximum; without the bound the power becomes Infinity, and Infinity * 0 is no number.
    const ceilingMs = Math.min(maxMs, minMs * 2 ** Math.min(this.#failures++, 30));
    const jitterMs = (this.#options.random ?? Math.random)() * ceilingMs;
    const retryAfterMs = error instanceof LinkRefusedError ? error.retryAfterMs ?? 0 : 0;
    const delayMs = Math.round(retryAfterMs + jitterMs);
    const { signal } = this.#stopping;
    this.#tell({
      kind: "waiting",
      delayMs,
      ...(error instanceof LinkError ? { error } : {}),
      held: this.#sessions.size,
    });
    await new Promise<void>((resolve) => {
      const finish = (): void => {
        this.#timers.clearTimeout(timer);
        signal.removeEventListener("abort", finish);
        resolve();
      };
      const timer = this.#timers.setTimeout(finish, delayMs);
      signal.addEventListener("abort", finish, { once: true });
    });
  }

  #tell(state: DialerState): void {
    this.#options.onState?.(state);
  }
}
