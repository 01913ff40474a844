/**
 * What kind of address an IP address is: whether it is on the public internet, and if not, why it is refused.
 *
 * The exit of the gateway stands in a network that containers must not reach: its own loopback, the machines beside
 * it, the metadata service of its cloud. So every address is judged here before it is dialled, by its bits and never
 * by its text. Text is read in one strict way: four decimal numbers, or RFC 4291 without a zone. What the resolver of
 * an operating system would also take (`127.1`, `0x7f.1`, `2130706433`, `fe80::1%eth0`) is no address here.
 *
 * An IPv4 address inside an IPv6 one is judged as the IPv4 address, as a translator on the way would dial that. A
 * NAT64 with a prefix of the network's own cannot be told from its bits: it is an ordinary IPv6 address here.
 *
 * Source: IANA special-purpose address registries (RFC 6890), RFC 4291, RFC 6052, RFC 8215, RFC 3056 (6to4),
 * RFC 4380 (Teredo), RFC 5214 (ISATAP), RFC 5952 (text).
 *
 * @module
 */

import ipaddr from "ipaddr.js";

/** Why an address is not dialled unless a rule names it; `invalid` is no address and never dialled. */
export type AddressClass =
  | "unspecified"
  | "loopback"
  | "private"
  | "shared"
  | "link-local"
  | "site-local"
  | "multicast"
  | "broadcast"
  | "metadata"
  | "benchmark"
  | "documentation"
  | "discard"
  | "reserved"
  | "invalid";

/** An IP address as a number, so that it has one form whatever its spelling was. */
export interface IpAddress {
  readonly bits: 32 | 128;
  /** From 0 to 2^bits - 1. */
  readonly value: bigint;
}

/** A class, and the block of addresses that it comes from. */
export interface RefusedBlock {
  readonly class: Exclude<AddressClass, "invalid">;
  /**
   * The length of the block in bits: a network names the address on purpose only when it is at least as long. So
   * `10.0.0.0/8` opens private addresses, `0.0.0.0/0` does not, and a metadata address is opened by nothing but itself.
   */
  readonly lengthBits: number;
}

/** The longest text of an address: eight groups of four, the last two as an IPv4 address. */
const ADDRESS_CHARS_MAX = 45;

/** No leading zero: some readers take it for octal. */
const IPV4 = /^(?:0|[1-9]\d{0,2})(?:\.(?:0|[1-9]\d{0,2})){3}$/;
const IPV6_GROUP = /^[0-9a-f]{1,4}$/i;

const V4_MASK = 0xffff_ffffn;

/** The high 96 bits of `::ffff:0:0/96`, where every system dials the IPv4 address inside. */
const MAPPED = 0xffffn;

/**
 * Reads an address.
 *
 * @param text Anything.
 * @returns `undefined` when it is none. An IPv4-mapped address (`::ffff:10.0.0.1`) is the IPv4 address: both would be
 *   the same connection.
 */
export function parseAddress(text: string): IpAddress | undefined {
  if (text.length > ADDRESS_CHARS_MAX) return undefined;
  const v4 = parseV4(text);
  if (v4 !== undefined) return { bits: 32, value: v4 };
  const value = parseV6(text);
  if (value === undefined) return undefined;
  return value >> 32n === MAPPED ? { bits: 32, value: value & V4_MASK } : { bits: 128, value };
}

function parseV4(text: string): bigint | undefined {
  if (!IPV4.test(text)) return undefined;
  let value = 0n;
  for (const part of text.split(".")) {
    if (Number(part) > 255) return undefined;
    value = value << 8n | BigInt(part);
  }
  return value;
}

function parseV6(text: string): bigint | undefined {
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const [head = [], tail] = halves.map((half) => half === "" ? [] : half.split(":"));
  const last = tail !== undefined && tail.length > 0 ? tail : tail === undefined ? head : [];
  const dotted = last.at(-1);
  if (dotted?.includes(".")) {
    const v4 = parseV4(dotted);
    if (v4 === undefined) return undefined;
    last.splice(-1, 1, (v4 >> 16n).toString(16), (v4 & 0xffffn).toString(16));
  }
  const count = head.length + (tail?.length ?? 0);
  // "::" stands for at least one group.
  if (tail === undefined ? count !== 8 : count > 7) return undefined;
  const groups = [...head, ...Array<string>(8 - count).fill("0"), ...tail ?? []];
  if (!groups.every((group) => IPV6_GROUP.test(group))) return undefined;
  return groups.reduce((value, group) => value << 16n | BigInt(`0x${group}`), 0n);
}

/** The one text of an address: what is dialled, logged and written in rules. IPv6 as in RFC 5952, without brackets. */
export function formatAddress(address: IpAddress): string {
  const groups: number[] = [];
  const width = address.bits === 32 ? 8n : 16n;
  for (let shift = BigInt(address.bits) - width; shift >= 0n; shift -= width) {
    groups.push(Number(address.value >> shift & (1n << width) - 1n));
  }
  return address.bits === 32 ? groups.join(".") : new ipaddr.IPv6(groups).toRFC5952String();
}

type Block = readonly [network: string, lengthBits: number, name: RefusedBlock["class"]];

/**
 * Addresses that hand the credentials or settings of the machine to whoever asks: AWS, Google, Azure, OpenStack and
 * others (169.254.169.254), AWS container and pod credentials, Tencent, Scaleway, Azure's wire server, Alibaba, Oracle.
 */
const METADATA = [
  "169.254.169.254",
  "169.254.170.2",
  "169.254.170.23",
  "169.254.0.23",
  "169.254.42.42",
  "168.63.129.16",
  "100.100.100.200",
  "192.0.0.192",
  "fd00:ec2::254",
  "fd00:ec2::23",
  "fd20:ce::254",
  "fd00:42::42",
];

/** The first that fits counts. Addresses that the registries call globally reachable inside 192.0.0.0/24 stay refused. */
const V4_BLOCKS: readonly Block[] = [
  ["0.0.0.0", 8, "unspecified"],
  ["10.0.0.0", 8, "private"],
  ["100.64.0.0", 10, "shared"],
  ["127.0.0.0", 8, "loopback"],
  ["169.254.0.0", 16, "link-local"],
  ["172.16.0.0", 12, "private"],
  ["192.0.0.0", 24, "reserved"],
  ["192.0.2.0", 24, "documentation"],
  ["192.88.99.0", 24, "reserved"],
  ["192.168.0.0", 16, "private"],
  ["198.18.0.0", 15, "benchmark"],
  ["198.51.100.0", 24, "documentation"],
  ["203.0.113.0", 24, "documentation"],
  ["224.0.0.0", 4, "multicast"],
  ["255.255.255.255", 32, "broadcast"],
  ["240.0.0.0", 4, "reserved"],
];

/** The first that fits counts. What is outside 2000::/3 and not listed is `reserved`: nothing public is there. */
const V6_BLOCKS: readonly Block[] = [
  ["::", 128, "unspecified"],
  ["::1", 128, "loopback"],
  ["100::", 64, "discard"],
  ["2001:2::", 48, "benchmark"],
  ["2001:db8::", 32, "documentation"],
  ["2001::", 23, "reserved"],
  ["3fff::", 20, "documentation"],
  ["fc00::", 7, "private"],
  ["fe80::", 10, "link-local"],
  ["fec0::", 10, "site-local"],
  ["ff00::", 8, "multicast"],
];

interface KnownBlock extends RefusedBlock {
  /** The network without its low bits. */
  readonly prefix: bigint;
}

function knownBlocks(bits: 32 | 128, blocks: readonly Block[]): readonly KnownBlock[] {
  const metadata = METADATA.map((text): Block => [text, text.includes(":") ? 128 : 32, "metadata"]);
  return [...metadata, ...blocks].flatMap(([network, lengthBits, name]) => {
    const address = parseAddress(network);
    if (address?.bits !== bits) return [];
    return [{ prefix: address.value >> BigInt(bits - lengthBits), class: name, lengthBits }];
  });
}

const V4_KNOWN = knownBlocks(32, V4_BLOCKS);
const V6_KNOWN = knownBlocks(128, V6_BLOCKS);

function knownBlockOf(value: bigint, bits: 32 | 128): RefusedBlock | undefined {
  const known = bits === 32 ? V4_KNOWN : V6_KNOWN;
  return known.find((block) => value >> BigInt(bits - block.lengthBits) === block.prefix);
}

/** The IPv4 address that ends at a bit, counted from the left, judged; its block lies as deep in the IPv6 address. */
function innerBlock(value: bigint, endBit: number): RefusedBlock | undefined {
  const found = knownBlockOf(value >> BigInt(128 - endBit) & V4_MASK, 32);
  return found && { class: found.class, lengthBits: endBit - 32 + found.lengthBits };
}

/** Like `innerBlock`, for forms where the block is no prefix of the IPv6 address: only the address itself names it. */
function innerExact(v4: bigint): RefusedBlock | undefined {
  const found = knownBlockOf(v4, 32);
  return found && { class: found.class, lengthBits: 128 };
}

/** 64:ff9b:1::/48, whose networks are private by definition. */
const LOCAL_NAT64 = 0x0064_ff9b_0001n;

/**
 * An address of a local NAT64 is never public. Which bits hold the IPv4 address is the choice of that network, so a
 * metadata address is looked for in all four places that RFC 6052 §2.2 allows; the usual one gives the class.
 */
function localNat64Block(value: bigint): RefusedBlock {
  const last32 = value & V4_MASK;
  const split = (leftBits: bigint): bigint => {
    // Bits 64 to 71 are jumped over: the left part ends before them, the right part starts after them.
    const left = value >> 64n & (1n << leftBits) - 1n;
    const rightBits = 32n - leftBits;
    return left << rightBits | value >> 56n - rightBits & (1n << rightBits) - 1n;
  };
  const classes = [last32, split(16n), split(8n), split(0n)].map((v4) => knownBlockOf(v4, 32)?.class);
  if (classes.includes("metadata")) return { class: "metadata", lengthBits: 128 };
  const usual = classes[0] === "unspecified" ? undefined : classes[0];
  return { class: usual ?? "reserved", lengthBits: 48 };
}

/** `::/96`, `::ffff:0:0:0/96`, NAT64, 6to4 and Teredo; `null` when the address is none of them. */
function embeddedBlock(value: bigint): RefusedBlock | null | undefined {
  const high96 = value >> 32n;
  // Compatible and translated addresses are of no use on the internet, so those with a public one inside are refused too.
  if (high96 === 0n || high96 === 0xffff_0000n) {
    return innerBlock(value, 128) ?? { class: "reserved", lengthBits: 96 };
  }
  if (high96 === 0x0064_ff9b_0000_0000_0000_0000n) return innerBlock(value, 128);
  if (value >> 80n === LOCAL_NAT64) return localNat64Block(value);
  if (value >> 112n === 0x2002n) return innerBlock(value, 48);
  if (value >> 96n === 0x2001_0000n) {
    const [server, client] = [value >> 64n & V4_MASK, value & V4_MASK ^ V4_MASK];
    return innerExact(server) ?? innerExact(client) ?? { class: "reserved", lengthBits: 32 };
  }
  return null;
}

/** The interface identifier of ISATAP, whatever its universal and group bits are. */
function isIsatap(value: bigint): boolean {
  return (value >> 32n & 0xfcff_ffffn) === 0x0000_5efen;
}

/**
 * The block for which an address is refused.
 *
 * @returns `undefined` when it is a public address.
 */
export function refusedBlock(address: IpAddress): RefusedBlock | undefined {
  const { value, bits } = address;
  if (bits === 32) return knownBlockOf(value, 32);
  const embedded = value > 1n ? embeddedBlock(value) : null;
  if (embedded !== null) return embedded;
  const known = knownBlockOf(value, 128);
  if (known !== undefined) return known;
  if (value >> 125n !== 1n) return { class: "reserved", lengthBits: 3 };
  return isIsatap(value) ? innerExact(value & V4_MASK) : undefined;
}

/**
 * The class for which an address is refused.
 *
 * @param address Text, as a resolver or a visitor gave it.
 * @returns `undefined` when it is a public address and may be dialled; `invalid` when it is no address at all, such as
 *   `127.1`, `010.0.0.1` or one with a zone.
 *
 * @example
 * refusedClass("10.0.0.5"); // "private"
 * refusedClass("64:ff9b::a9fe:a9fe"); // "metadata"
 * refusedClass("1.1.1.1"); // undefined
 */
export function refusedClass(address: string): AddressClass | undefined {
  const parsed = parseAddress(address);
  return parsed === undefined ? "invalid" : refusedBlock(parsed)?.class;
}
