/**
 * The one assertion: for what must hold whatever comes from outside.
 *
 * A failed assertion is a bug in netwall, never bad input: bad input has errors of its own.
 *
 * @module
 */

/** A fact that must hold did not: a bug. Nobody catches it; the session dies and the process logs it. */
export class AssertionError extends Error {
  override name = "AssertionError";
}

/**
 * Throws unless `condition` holds.
 *
 * @param condition What must be true here.
 * @param message The fact, in words.
 * @throws {AssertionError} When it is false.
 */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AssertionError(message);
}
