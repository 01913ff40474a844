/**
 * How loud a connection is told that never stood: a fault is a warning, what is nobody's fault is not, and one cause
 * that hits every call at once does not flood the log.
 *
 * @module
 */
import type { Logger } from "../log.ts";
import type { OutgoingFailure } from "./outgoing.ts";

/** A lost link fails every call until it is back: of these one in this time is a warning, the others are debug lines. */
export const NO_LINK_LOG_MS = 1_000;

/** Tells the failures of one door. */
export class FailureLog {
  readonly #log: Logger;
  readonly #nowMs: () => number;
  #quietUntilMs = -Infinity;

  /** @param nowMs A clock that never goes back. @default `performance.now` */
  constructor(log: Logger, nowMs: () => number = () => performance.now()) {
    this.#log = log;
    this.#nowMs = nowMs;
  }

  /** Tells one failure. */
  tell(message: string, fields: { readonly failure: OutgoingFailure } & Record<string, unknown>): void {
    this.#log[this.#isLoud(fields.failure) ? "warn" : "debug"](message, fields);
  }

  #isLoud(failure: OutgoingFailure): boolean {
    if (failure !== "no_link") return failure !== "left";
    const nowMs = this.#nowMs();
    if (nowMs < this.#quietUntilMs) return false;
    this.#quietUntilMs = nowMs + NO_LINK_LOG_MS;
    return true;
  }
}
