/**
 * The exit codes, a contract with init systems and scripts.
 *
 * @module
 */

/** How a process ends. */
export const EXIT = {
  /** It was asked to stop, or did what it was asked for. */
  stopped: 0,
  /** It failed at work. */
  failed: 1,
  /** It was called or configured wrongly: starting it again the same way does not help. */
  usage: 2,
  /** The gateway refused it for good: a bad token, a version that is too old. */
  refused: 3,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];
