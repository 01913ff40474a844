/**
 * Host names as rules and requests write them, read in one way, and which names a list of patterns means.
 *
 * `*.example.com` is every name below `example.com`, at any depth, and not `example.com` itself. An address is compared
 * by its bits, so that no spelling of it gets around a rule, and is below no name.
 *
 * Source: RFC 1034 §3.1 (case and the final dot do not matter), RFC 5952 (text of IPv6 addresses).
 *
 * @module
 */
import { formatAddress, type IpAddress, parseAddress } from "../egress/address_class.ts";

/** A host in its one spelling. */
export interface CanonicalHost {
  /** Lower-case, without a final dot and brackets; an address as it is dialled. */
  readonly text: string;
  /** What it is when it is an address. */
  readonly address: IpAddress | undefined;
}

/** Reads a host, whoever wrote it. What is no host at all is kept as it is, and equals only itself. */
export function canonicalHost(written: string): CanonicalHost {
  let text = written.toLowerCase();
  if (text.endsWith(".")) text = text.slice(0, -1);
  if (text.startsWith("[") && text.endsWith("]")) text = text.slice(1, -1);
  const address = /^[0-9.]+$|:/.test(text) ? parseAddress(text) : undefined;
  return address === undefined ? { text, address } : { text: formatAddress(address), address };
}

/** The part of a pattern after its star: `example.com` for `*.example.com`, or `undefined` when it has none. */
export function suffixOf(pattern: string): string | undefined {
  return pattern.startsWith("*.") ? canonicalHost(pattern.slice(2)).text : undefined;
}

/** Names above a host, the shortest first: `com`, `example.com` for `www.example.com`. An address has none. */
export function* namesAbove(host: CanonicalHost, labelsMax: number): Generator<string> {
  if (host.address !== undefined) return;
  let dot = host.text.length;
  // Stops at index 0: an empty label is no name below anything.
  for (let labels = 1; labels <= labelsMax; labels += 1) {
    dot = host.text.lastIndexOf(".", dot - 1);
    if (dot <= 0) return;
    yield host.text.slice(dot + 1);
  }
}

/** How many labels a name has. */
export function labelCount(name: string): number {
  return name.split(".").length;
}

/** A list of patterns. */
export class HostPatterns {
  readonly #exact = new Set<string>();
  readonly #suffixes = new Set<string>();
  #labelsMax = 0;

  constructor(patterns: Iterable<string>) {
    for (const pattern of patterns) {
      const suffix = suffixOf(pattern);
      if (suffix === undefined) this.#exact.add(canonicalHost(pattern).text);
      else {
        this.#suffixes.add(suffix);
        this.#labelsMax = Math.max(this.#labelsMax, labelCount(suffix));
      }
    }
  }

  /** Whether one of them means the host. */
  has(host: CanonicalHost): boolean {
    if (this.#exact.has(host.text)) return true;
    for (const name of namesAbove(host, this.#labelsMax)) if (this.#suffixes.has(name)) return true;
    return false;
  }
}
