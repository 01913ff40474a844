/**
 * Which service a TLS connection belongs to, by the name and the protocols in its ClientHello. Pure.
 *
 * Only routes that name a protocol count here (`grpc.example.com@h2=grpc`). What they cover is always passed through,
 * also while no agent is there: the gateway never ends TLS for a name whose key lives in a container.
 *
 * @module
 */
import { type Route, RouteError, type RouteMatch, Router } from "./router.ts";

/** Protocols that routes may name. */
export const ROUTE_PROTOCOLS_MAX = 100;

const ANY = "*";

export class TlsRouter {
  readonly #byProtocol = new Map<string, Router>();

  /** @throws {RouteError} A host is given twice for one protocol, or there are too many protocols. */
  constructor(routes: readonly Route[]) {
    const named = routes.filter((route) => route.alpn !== undefined);
    const protocols = new Set(named.map((route) => route.alpn!));
    if (protocols.size > ROUTE_PROTOCOLS_MAX) {
      throw new RouteError(`routes name ${protocols.size} protocols: at most ${ROUTE_PROTOCOLS_MAX}`);
    }
    for (const protocol of protocols) {
      const own = named.filter((route) => route.alpn === protocol);
      this.#byProtocol.set(
        protocol,
        new Router(own.map(({ host, path, service }) => ({ host, path, service }))),
      );
    }
  }

  /**
   * Finds the service of a connection. A route for a protocol that is offered goes before one for any; of several
   * that are offered the first in the visitor's order decides.
   *
   * @param serverName Canonical, or `undefined` when the visitor names none: then only `*` fits.
   * @param protocols What the visitor offers.
   */
  match(serverName: string | undefined, protocols: readonly string[]): RouteMatch | undefined {
    if (this.#byProtocol.size === 0) return undefined;
    // Each once: a ClientHello has room for thousands of the same, and a match costs as much as the name is long.
    for (const protocol of new Set([...protocols, ANY])) {
      const found = this.#byProtocol.get(protocol)?.match(serverName ?? "", "/");
      if (found) return found;
    }
    return undefined;
  }
}
