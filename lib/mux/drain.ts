/**
 * The polite end of a session: when it may leave, and when it must.
 *
 * @module
 */

export class Drain {
  /** Settles when the session is over. */
  readonly done: Promise<void>;
  /** The peer has read our GOAWAY: no stream that it opened is still on its way. */
  answered = false;
  readonly #leave: () => void;
  readonly #resolve: () => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #deadlineMs = Infinity;

  /** @param leave Ends the session, which calls `finish`. */
  constructor(leave: () => void) {
    this.#leave = leave;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.done = promise;
    this.#resolve = resolve;
  }

  /** Leaves in `graceMs` at the latest, or earlier if that was asked for before. */
  within(graceMs: number): void {
    const deadlineMs = performance.now() + graceMs;
    if (deadlineMs >= this.#deadlineMs) return;
    this.#deadlineMs = deadlineMs;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#leave, graceMs);
  }

  /** Nothing is left to wait for. */
  leave(): void {
    this.#leave();
  }

  /** The session is over. */
  finish(): void {
    clearTimeout(this.#timer);
    this.#resolve();
  }
}
