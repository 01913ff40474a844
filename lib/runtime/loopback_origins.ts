/**
 * Who is behind a connection that this process makes to a listener of its own on loopback.
 *
 * The listener sees 127.0.0.1 and a port. Any local user can dial it, also from the same port of another loopback
 * address: whoever is not found here did not come by a door of this process and has no business there.
 *
 * @module
 */

/** Where such listeners are, and so where connections to them come from. */
export const INNER_HOST = "127.0.0.1";

export class LoopbackOrigins<T extends object> {
  readonly #known = new Map<number, T>();

  /** A connection stands. @param port Its own end. */
  note(port: number, who: T): void {
    this.#known.set(port, who);
  }

  /** A connection is over. Its port may be another's by now, which stays. */
  forget(port: number, who: T): void {
    if (this.#known.get(port) === who) this.#known.delete(port);
  }

  /** @param address The peer's, as the listener sees it. @param port The peer's port. */
  find(address: string | undefined, port: number | undefined): T | undefined {
    return address === INNER_HOST && port !== undefined ? this.#known.get(port) : undefined;
  }
}
