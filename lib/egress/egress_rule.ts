/**
 * What may be called on the outside, as an operator writes it: `--allow-egress HOST:PORT`.
 *
 * A rule is for host names or for addresses, never for both: `*:443` is every *name* on port 443, and no address that
 * somebody writes as one. Hosts of rules and hosts of calls are read by the same function, so that a name cannot be
 * spelled around a rule.
 *
 * Source: RFC 1035 §2.3.4 (lengths), RFC 5890 (punycode); WHATWG URL §3.5 "ends in a number".
 *
 * @module
 */

import { quoted } from "../printable.ts";
import { formatAddress, type IpAddress, parseAddress } from "./address_class.ts";

/** The longest host name in characters. */
export const EGRESS_HOST_CHARS_MAX = 253;
/** Rules of one policy. */
export const EGRESS_RULES_MAX = 10_000;

const PORT_MAX = 65_535;

/** A rule that cannot be used. The message says what is wrong and shows a right one. */
export class EgressRuleError extends Error {
  override name = "EgressRuleError";
}

/** Ports from the first to the last, both within. */
export interface PortRange {
  readonly first: number;
  readonly last: number;
}

/** What may be called. */
export type EgressRule =
  /** One host name, in lower case. */
  | { readonly kind: "name"; readonly name: string; readonly ports: PortRange }
  /** Every name below this one, at any depth, but not the name itself. */
  | { readonly kind: "subdomains"; readonly name: string; readonly ports: PortRange }
  /** Every host name. */
  | { readonly kind: "anyName"; readonly ports: PortRange }
  /** The addresses of a network; a single address is a network of full length. */
  | { readonly kind: "network"; readonly network: Network; readonly ports: PortRange };

/** A network: the address has no bits beyond the length. */
export interface Network {
  readonly address: IpAddress;
  readonly lengthBits: number;
}

/** The host of a call: a name or an address, never something that is read as either. */
export type EgressHost =
  | { readonly kind: "name"; readonly name: string }
  | { readonly kind: "address"; readonly address: IpAddress };

const LABELS = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*$/;
/** Resolvers read such a name as an address: 127.1, 0x7f.1, 2130706433. */
const ENDS_IN_NUMBER = /(?:^|\.)(?:\d+|0x[0-9a-f]*)$/;

function isName(text: string): boolean {
  return text.length <= EGRESS_HOST_CHARS_MAX && LABELS.test(text) && !ENDS_IN_NUMBER.test(text);
}

/**
 * Reads the host of a call. Letters are lower-cased; an IPv6 address may stand in brackets.
 *
 * @param text Anything: what a container asked for.
 * @returns `undefined` when it is neither a DNS name (letters, digits, hyphens, underscores) nor a canonical address:
 *   with a dot at the end, a zone, a control character, or a number that a resolver would take for an address.
 */
export function parseEgressHost(text: string): EgressHost | undefined {
  if (text.length > EGRESS_HOST_CHARS_MAX) return undefined;
  const bare = /^\[([0-9a-f:.]+)\]$/i.exec(text)?.[1];
  const address = parseAddress(bare ?? text);
  // Brackets hold IPv6 only; what is mapped has a colon too.
  if (address !== undefined) {
    return bare === undefined || bare.includes(":") ? { kind: "address", address } : undefined;
  }
  // Lower-cased as ASCII: the Kelvin sign would become a "k".
  const name = text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
  return isName(name) ? { kind: "name", name } : undefined;
}

/** A host and a port as they are written in a rule; IPv6 in brackets. */
export function formatEgressTarget(host: EgressHost, port: number | string): string {
  return `${host.kind === "name" ? host.name : bracketed(formatAddress(host.address))}:${port}`;
}

function bracketed(text: string): string {
  return text.includes(":") ? `[${text}]` : text;
}

/**
 * Reads `HOST:PORT`, `*.HOST:PORT`, `*:PORT`, `ADDRESS:PORT` or `NETWORK:PORT`; IPv6 in brackets, as in
 * `[fd00::/8]:443`. PORT is 1 to 65535, a range such as `8000-8999`, or `*`.
 *
 * Names are lower-cased and a dot at the end is dropped. A network of IPv4-mapped addresses is the IPv4 network.
 *
 * @param text What somebody wrote.
 * @throws {EgressRuleError} When it is none.
 */
export function parseEgressRule(text: string): EgressRule {
  const rule = `egress rule ${quoted(text)}`;
  if (text.includes("://")) {
    throw new EgressRuleError(`${rule} has a scheme: leave it out, as in example.com:443`);
  }
  const colon = text.lastIndexOf(":");
  const written = text.slice(0, Math.max(colon, 0));
  const brackets = /^\[(.*)\]$/s.exec(written)?.[1];
  if (brackets === undefined && (written.includes(":") || text.endsWith("]"))) {
    throw new EgressRuleError(
      `${rule} has no valid host and port: write IPv6 in brackets and a port after them, as in [2001:db8::1]:443`,
    );
  }
  if (colon < 0 || written === "") {
    const host = colon < 0 && parseEgressHost(text)?.kind === "name" ? text : "example.com";
    throw new EgressRuleError(
      colon < 0
        ? `${rule} has no port: write ${host}:443, or ${host}:* for every port`
        : `${rule} has no host: write example.com${quotedPort(text)}, or *${
          quotedPort(text)
        } for every host name`,
    );
  }
  const ports = parsePorts(text.slice(colon + 1), rule);
  const host = brackets ?? written;
  const network = parseNetwork(host, brackets !== undefined, rule);
  if (network !== undefined) return { kind: "network", network, ports };
  return parseNames(host, rule, ports);
}

/** The port of a rule without a host, when it can be shown again. */
function quotedPort(text: string): string {
  return /^:(?:\d{1,5}|\*)$/.test(text) ? text : ":443";
}

function parsePorts(text: string, rule: string): PortRange {
  if (text === "*") return { first: 1, last: PORT_MAX };
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text);
  const first = Number(match?.[1]);
  const last = match?.[2] === undefined ? first : Number(match[2]);
  if (match === null || first < 1 || last > PORT_MAX || first > PORT_MAX) {
    throw new EgressRuleError(
      `${rule} has no valid port: write 1 to ${PORT_MAX}, a range such as 8000-8999, or * for every port`,
    );
  }
  if (first > last) {
    throw new EgressRuleError(`${rule} has a port range that runs backwards: write ${last}-${first}`);
  }
  return { first, last };
}

/** @returns `undefined` when the text is for a name. */
function parseNetwork(text: string, inBrackets: boolean, rule: string): Network | undefined {
  const [base = "", length, more] = text.split("/");
  const address = parseAddress(base);
  const dotted = !base.includes(":");
  if (address === undefined || inBrackets === dotted || more !== undefined) {
    if (!inBrackets && length === undefined) return undefined;
    const example = inBrackets ? "[fd00::/8]:443 or [2001:db8::1]:443" : "10.0.0.0/8:443";
    throw new EgressRuleError(`${rule} has no valid network: write one such as ${example}`);
  }
  const bitsMax = dotted ? 32 : 128;
  const written = length === undefined ? bitsMax : /^(?:0|[1-9]\d{0,2})$/.test(length) ? Number(length) : -1;
  if (written < 0 || written > bitsMax) {
    throw new EgressRuleError(`${rule} has no valid network length: write 0 to ${bitsMax} after the slash`);
  }
  // ::ffff:10.0.0.0/104 is read as 10.0.0.0/8; a shorter one is not only of mapped addresses.
  const mappedBits = bitsMax - address.bits;
  const lengthBits = written - mappedBits;
  if (lengthBits < 0) {
    throw new EgressRuleError(
      `${rule} is a network of IPv4-mapped and other addresses: write the IPv4 network alone, as in 10.0.0.0/8:443`,
    );
  }
  const hostBits = BigInt(address.bits - lengthBits);
  const first: IpAddress = { bits: address.bits, value: address.value >> hostBits << hostBits };
  if (first.value !== address.value) {
    const network = bracketed(`${formatAddress(first)}/${lengthBits}`);
    throw new EgressRuleError(`${rule} has address bits beyond its length: write ${network} and the port`);
  }
  return { address: first, lengthBits };
}

function parseNames(written: string, rule: string, ports: PortRange): EgressRule {
  if (written === "*") return { kind: "anyName", ports };
  // deno-lint-ignore no-control-regex
  if (/[^\u0000-\u007f]/.test(written)) {
    throw new EgressRuleError(
      `${rule} has letters beyond ASCII: write the name in punycode, as in xn--bcher-kva.example:443`,
    );
  }
  const host = written.toLowerCase().replace(/\.$/, "");
  const below = host.startsWith("*.");
  const name = below ? host.slice(2) : host;
  if (isName(name)) return { kind: below ? "subdomains" : "name", name, ports };
  if (ENDS_IN_NUMBER.test(name)) {
    throw new EgressRuleError(
      `${rule} has no canonical address: write four decimal numbers, as in 10.0.0.5:443 or 10.0.0.0/8:443`,
    );
  }
  throw new EgressRuleError(
    `${rule} has no valid host: write example.com:443, *.example.com:443, *:443 or 10.0.0.0/8:443`,
  );
}

/** A rule as it would be written; reading it again gives the same rule. */
export function formatEgressRule(rule: EgressRule): string {
  const { first, last } = rule.ports;
  const ports = first === last ? `${first}` : first === 1 && last === PORT_MAX ? "*" : `${first}-${last}`;
  switch (rule.kind) {
    case "name":
      return `${rule.name}:${ports}`;
    case "subdomains":
      return `*.${rule.name}:${ports}`;
    case "anyName":
      return `*:${ports}`;
    case "network": {
      const { address, lengthBits } = rule.network;
      const text = formatAddress(address);
      return `${bracketed(lengthBits === address.bits ? text : `${text}/${lengthBits}`)}:${ports}`;
    }
  }
}
