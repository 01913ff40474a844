/**
 * A value that must not be shown: a token, a password.
 *
 * A log line, a JSON dump or an inspection of whatever holds it shows `masked`. Only `reveal` gives it out, so a
 * search for that word finds every place that uses a secret.
 *
 * @module
 */

const MASK = "masked";

export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  /** The value itself. Give it to what needs it and keep no copy. */
  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return MASK;
  }

  toJSON(): string {
    return MASK;
  }

  /** What the inspector of Node.js and Bun shows. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return MASK;
  }

  /** What the inspector of Deno shows. */
  [Symbol.for("Deno.customInspect")](): string {
    return MASK;
  }
}
