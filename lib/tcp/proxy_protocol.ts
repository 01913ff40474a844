/**
 * The PROXY protocol header: tells a service behind a splice who the visitor is. Written, never read.
 *
 * The service takes it as the truth, so it is made of parsed numbers alone: no text of a stranger ever lands in it.
 * Nothing is guessed either: when one end is not known, the header says that both are not.
 *
 * Source: proxy-protocol.txt of HAProxy, §2.1 (version 1) and §2.2 (version 2).
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { isIPv4, isIPv6 } from "node:net";

/** One end of a TCP connection. */
export interface Endpoint {
  /** IPv4 or IPv6, without brackets. A zone such as `%eth0` is left out of the header: it means nothing elsewhere. */
  readonly address: string;
  /** 0 to 65535. */
  readonly port: number;
}

/** What version 2 can tell besides. */
export interface ProxyHeaderOptions {
  /** The server name that the visitor asked TLS for, 1 to 255 bytes. Version 1 has no place for it. */
  readonly authority?: string;
}

/** Bytes of the longest server name that is told. Source: RFC 1035 §2.3.4. */
export const AUTHORITY_BYTES_MAX = 255;

const PORT_MAX = 65_535;
/** An IPv6 address of 45, a zone as long as an interface name of Linux, brackets and a port fit well. */
const ENDPOINT_CHARS_MAX = 80;
/** An IPv4 address in IPv6. Source: RFC 4291 §2.5.5.2. */
const MAPPED = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];
const SIGNATURE = [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a];
/** Version 2, command PROXY. LOCAL would say that nobody stands behind the connection. */
const COMMAND_PROXY = 0x21;
const FAMILY_UNSPEC = 0x00;
const FAMILY_TCP4 = 0x11;
const FAMILY_TCP6 = 0x21;
const TLV_AUTHORITY = 0x02;

/**
 * The header, to be sent to the service before the visitor's first byte.
 *
 * Ends of two families become IPv6 both. An IPv4 address in IPv6, as sockets that take both give it, is IPv4 when the
 * other end is too. When an end is missing the family is unknown, and the service keeps to what it sees.
 *
 * @param version 1 is text of at most 107 bytes, 2 is binary.
 * @param source The visitor.
 * @param destination Where the visitor connected to.
 * @throws {RangeError} For an address, a port or a server name that is none: a bug, as `parseEndpoint` and the socket
 *   give none of these.
 * @see proxy-protocol.txt §2.1, §2.2
 */
export function encodeProxyHeader(
  version: 1 | 2,
  source?: Endpoint,
  destination?: Endpoint,
  options: ProxyHeaderOptions = {},
): Uint8Array {
  const ends = source && destination ? sameFamily([binaryOf(source), binaryOf(destination)]) : [];
  return version === 1 ? encodeText(ends) : encodeBinary(ends, options.authority);
}

/** An endpoint as numbers: 4 or 16 bytes. */
interface BinaryEndpoint {
  readonly address: readonly number[];
  readonly port: number;
}

function binaryOf({ address, port }: Endpoint): BinaryEndpoint {
  if (!Number.isInteger(port) || port < 0 || port > PORT_MAX) {
    throw new RangeError(`Cannot write a PROXY header: the port is ${port}`);
  }
  const plain = address.replace(/%.*$/s, "");
  if (isIPv4(plain)) return { address: ipv4Bytes(plain), port };
  // isIPv6 would take a zone of any text.
  if (!isIPv6(plain)) throw new RangeError("Cannot write a PROXY header: an address is not an IP address");
  const bytes = ipv6Bytes(plain);
  return { address: MAPPED.every((byte, i) => byte === bytes[i]) ? bytes.slice(12) : bytes, port };
}

function sameFamily(ends: readonly BinaryEndpoint[]): readonly BinaryEndpoint[] {
  if (ends.every(({ address }) => address.length === 4)) return ends;
  return ends.map(({ address, port }) => ({
    address: address.length === 4 ? [...MAPPED, ...address] : address,
    port,
  }));
}

function ipv4Bytes(address: string): number[] {
  return address.split(".").map(Number);
}

/** The 16 bytes of an address that `isIPv6` has accepted. */
function ipv6Bytes(address: string): number[] {
  const [head = "", tail] = address.split("::");
  const [front, back] = [groupBytes(head), groupBytes(tail ?? "")];
  return [...front, ...new Array<number>(16 - front.length - back.length).fill(0), ...back];
}

function groupBytes(groups: string): number[] {
  if (groups === "") return [];
  return groups.split(":").flatMap((group) => {
    if (group.includes(".")) return ipv4Bytes(group);
    const value = parseInt(group, 16);
    return [value >> 8, value & 0xff];
  });
}

function encodeText(ends: readonly BinaryEndpoint[]): Uint8Array {
  const [source, destination] = ends;
  if (!source || !destination) return Buffer.from("PROXY UNKNOWN\r\n", "latin1");
  const family = source.address.length === 4 ? "TCP4" : "TCP6";
  const addresses = `${textOf(source.address)} ${textOf(destination.address)}`;
  return Buffer.from(`PROXY ${family} ${addresses} ${source.port} ${destination.port}\r\n`, "latin1");
}

/** Version 1 wants hexadecimal groups, without the dotted end that others write for addresses in IPv6. */
function textOf(address: readonly number[]): string {
  if (address.length === 4) return address.join(".");
  const groups: string[] = [];
  for (let i = 0; i < 16; i += 2) groups.push(((address[i] ?? 0) << 8 | (address[i + 1] ?? 0)).toString(16));
  const runs = [...groups.join(":").matchAll(/(?<=^|:)0(?::0)+(?=:|$)/g)].map(([run]) => run);
  const longest = runs.reduce((best, run) => run.length > best.length ? run : best, "");
  if (longest === "") return groups.join(":");
  return groups.join(":").replace(new RegExp(`(^|:)${longest}(:|$)`), "::");
}

function encodeBinary(ends: readonly BinaryEndpoint[], authority: string | undefined): Uint8Array {
  const [source, destination] = ends;
  const family = !source ? FAMILY_UNSPEC : source.address.length === 4 ? FAMILY_TCP4 : FAMILY_TCP6;
  const body = !source || !destination ? [] : [
    ...source.address,
    ...destination.address,
    ...uint16(source.port),
    ...uint16(destination.port),
  ];
  if (authority !== undefined) {
    const name = Buffer.from(authority, "utf8");
    if (name.length === 0 || name.length > AUTHORITY_BYTES_MAX) {
      throw new RangeError(`Cannot write a PROXY header: the server name has ${name.length} bytes`);
    }
    body.push(TLV_AUTHORITY, ...uint16(name.length), ...name);
  }
  return Uint8Array.from([...SIGNATURE, COMMAND_PROXY, family, ...uint16(body.length), ...body]);
}

function uint16(value: number): [number, number] {
  return [value >> 8, value & 0xff];
}

/**
 * Reads `1.2.3.4:5` or `[::1]:5`, as they come over the link. Nothing is trimmed or repaired.
 *
 * @param text What somebody wrote, of any length.
 * @returns The endpoint, or undefined when it is none: a name, an address without brackets or port, leading zeros in
 *   the port. A zone is dropped.
 */
export function parseEndpoint(text: string): Endpoint | undefined {
  if (text.length > ENDPOINT_CHARS_MAX) return undefined;
  const match = /^(?:([0-9.]+)|\[([0-9a-fA-F:.]+)(?:%[0-9A-Za-z_.-]+)?\]):(0|[1-9][0-9]{0,4})$/.exec(text);
  const [, v4, v6, digits] = match ?? [];
  const address = v4 ?? v6;
  const port = Number(digits);
  if (address === undefined || port > PORT_MAX) return undefined;
  return (v4 === undefined ? isIPv6(address) : isIPv4(address)) ? { address, port } : undefined;
}
