/**
 * The address of a visitor, also behind proxies that are trusted to tell it.
 *
 * Everybody can write `X-Forwarded-For`, so it is read from the right, the side that the nearest proxy wrote, and
 * only as far as trusted proxies go. What is left of the first stranger is that stranger's claim.
 *
 * Source: RFC 7239 §5.2, §8.1; RFC 4291 §2.5.5.2 (IPv4 addresses as IPv6).
 *
 * @module
 */

import ipaddr from "ipaddr.js";

/** Hops that are followed; behind them the last one counts. Bounds the work for a header made of commas. */
export const HOPS_MAX = 32;
/** The longest text of one hop: an IPv6 address with brackets and port has 54. */
const HOP_CHARS_MAX = 64;

type Network = [ipaddr.IPv4 | ipaddr.IPv6, number];

/** The networks whose proxies are believed. */
export class TrustedProxies {
  readonly #networks: readonly Network[];

  /**
   * @param cidrs Networks such as `10.0.0.0/8` and `fd00::/8`; IPv4 as IPv6 (`::ffff:10.0.0.0/104`) is the IPv4 one.
   * @throws {RangeError} One is no network: they are checked where they are configured.
   */
  constructor(cidrs: readonly string[]) {
    this.#networks = cidrs.map(parseNetwork);
  }

  /** True when nobody is trusted. */
  get empty(): boolean {
    return this.#networks.length === 0;
  }

  /** Whether an address is in one of the networks. What is no address never is. */
  includes(address: string): boolean {
    if (this.empty) return false;
    const parsed = parseAddress(address);
    return parsed !== undefined && this.#holds(parsed);
  }

  #holds(address: ipaddr.IPv4 | ipaddr.IPv6): boolean {
    return this.#networks.some(([network, bits]) =>
      network.kind() === address.kind() && address.match(network, bits)
    );
  }
}

/**
 * The address of the visitor: the right-most hop that is no trusted proxy.
 *
 * @param peer The other end of the connection.
 * @param forwardedFor The value of `X-Forwarded-For`; several header lines joined by commas, in order.
 * @returns An address in canonical text, IPv4 also where it came as IPv6. When every hop is trusted, the left-most
 *   one. A hop that is no address ends the walk: the proxy that reported it counts. A peer that is no address (a
 *   unix socket) comes back as it is.
 */
export function clientAddress(
  peer: string,
  forwardedFor: string | undefined,
  trusted: TrustedProxies,
): string {
  if (trusted.empty || forwardedFor === undefined || !trusted.includes(peer)) return canonical(peer);
  let client = canonical(peer);
  let end = forwardedFor.length;
  for (let hops = 0; hops < HOPS_MAX && end >= 0; hops += 1) {
    const comma = end === 0 ? -1 : forwardedFor.lastIndexOf(",", end - 1);
    const hop = parseHop(forwardedFor.slice(Math.max(comma + 1, end - HOP_CHARS_MAX * 2), end));
    if (hop === undefined) return client;
    client = hop;
    if (!trusted.includes(hop)) return client;
    end = comma;
  }
  return client;
}

/** One element of the header: an address, maybe with a port, IPv6 then in brackets. */
function parseHop(text: string): string | undefined {
  const hop = text.trim();
  if (hop === "" || hop.length > HOP_CHARS_MAX) return undefined;
  const bare = /^\[([^\]]+)\](?::\d{1,5})?$/.exec(hop)?.[1] ?? /^([\d.]+):\d{1,5}$/.exec(hop)?.[1] ?? hop;
  return parseAddress(bare)?.toString();
}

/** Nearly every peer is plain IPv4 already, or IPv4 on a socket for both: neither needs a parser. */
function canonical(address: string): string {
  if (/^\d+\.\d+\.\d+\.\d+$/.test(address)) return address;
  return parseAddress(address)?.toString() ?? address;
}

/** An address in the one form it is compared in. Octal, hexadecimal and short IPv4 forms are no addresses here. */
function parseAddress(text: string): ipaddr.IPv4 | ipaddr.IPv6 | undefined {
  const bare = text.split("%")[0] ?? "";
  if (bare.includes(":")) return ipaddr.IPv6.isValid(bare) ? ipaddr.process(bare) : undefined;
  return ipaddr.IPv4.isValidFourPartDecimal(bare) ? ipaddr.IPv4.parse(bare) : undefined;
}

function parseNetwork(cidr: string): Network {
  const [text = "", length] = cidr.split("/");
  const address = text.includes(":")
    ? ipaddr.IPv6.isValid(text) && !text.includes("%") ? ipaddr.IPv6.parse(text) : undefined
    : ipaddr.IPv4.isValidFourPartDecimal(text)
    ? ipaddr.IPv4.parse(text)
    : undefined;
  const bitsMax = address?.kind() === "ipv4" ? 32 : 128;
  const bits = length === undefined ? bitsMax : /^\d{1,3}$/.test(length) ? Number(length) : -1;
  if (address === undefined || bits < 0 || bits > bitsMax) throw new RangeError(`${cidr} is no network`);
  if (address instanceof ipaddr.IPv6 && address.isIPv4MappedAddress() && bits >= 96) {
    return [address.toIPv4Address(), bits - 96];
  }
  return [address, bits];
}
