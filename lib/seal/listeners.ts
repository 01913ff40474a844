/**
 * The kernel's tables of sockets, read as text: which of them accept from others, and on which address.
 *
 * `/proc/net/tcp` and its kin list every socket of a network namespace, of all processes in it. A line that has
 * another shape than expected is never skipped in silence: it could be the one listener that breaks the wall, so it
 * makes the table incomplete. The tables are a snapshot, taken a few kilobytes at a time: a socket that comes or goes
 * meanwhile may be missed.
 *
 * Addresses are printed as words in the byte order of the machine. Only little-endian machines are supported: on a
 * big-endian one the addresses come out reversed.
 *
 * Source: proc_pid_net(5); in Linux get_tcp4_sock (net/ipv4/tcp_ipv4.c), udp4_format_sock (net/ipv4/udp.c),
 * raw_sock_seq_show (net/ipv4/raw.c) and __ip6_dgram_sock_seq_show (net/ipv6/datagram.c); RFC 5952 (text of IPv6).
 *
 * @module
 */
import { quoted } from "../printable.ts";

/** The tables that are read, by file name in `/proc/net`. UDP-Lite is gone from new kernels. */
export const SOCKET_TABLES = ["tcp", "tcp6", "udp", "udp6", "udplite", "udplite6", "raw", "raw6"] as const;

/** What a socket speaks, by the name of its table. */
export type SocketProtocol = (typeof SOCKET_TABLES)[number];

/** A socket that takes connections or datagrams from others. */
export interface ListeningSocket {
  readonly protocol: SocketProtocol;
  /** Canonical text; IPv4 in an IPv6 socket as `::ffff:127.0.0.1`. */
  readonly address: string;
  /** 0 to 65,535. For `raw` and `raw6` the number of the IP protocol, such as 1 for ICMP. */
  readonly port: number;
  /** Whether the address is in 127.0.0.0/8 or ::ffff:127.0.0.0/104, or is ::1. */
  readonly loopback: boolean;
  /** What `/proc/PID/fd` names it by; 0 when no process holds it. */
  readonly inode: number;
  /** User who made it, as numbered in the reader's user namespace. */
  readonly uid: number;
}

/** A longer line is no line of a table: the longest has about 230 characters. */
export const LINE_CHARS_MAX = 512;

/**
 * One line: slot, local address and port, peer address and port, state, queues, timer, retransmits, uid, timeout,
 * inode. What follows differs by table and kernel (reference count, pointer, drops, TCP's timing) and is not used.
 */
const LINE =
  /^ *\d{1,10}: ([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4}) ([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4}) ([0-9A-F]{2}) [0-9A-F]{8}:[0-9A-F]{8} [0-9A-F]{2}:[0-9A-F]{8,16} [0-9A-F]{8} +(\d{1,10}) +-?\d{1,10} (\d{1,15})(?: [-\w(). ]*)?$/;

/** The first line of every table. */
const HEADER =
  /^ *sl +local_address +(?:rem|remote)_address +st tx_queue rx_queue tr tm->when retrnsmt +uid /;

const TCP_LISTEN = "0A";
const ZERO = /^0+$/;
const DIGITS_IPV4 = 8;
const DIGITS_IPV6 = 32;

/**
 * Reads one line of a table.
 *
 * TCP sockets accept from others in the state LISTEN. The other protocols have none: there a socket without a peer
 * address takes from anyone. One that has a peer takes from that peer alone and is no listener.
 *
 * @param line Without its line end.
 * @returns The listener; `"other"` for a socket that is none; `undefined` for what is no line of this table.
 */
export function parseSocketLine(
  protocol: SocketProtocol,
  line: string,
): ListeningSocket | "other" | undefined {
  if (line.length > LINE_CHARS_MAX) return undefined;
  const match = LINE.exec(line);
  if (match === null) return undefined;
  const [, local = "", port = "", peer = "", , state = "", uid = "", inode = ""] = match;
  const digits = protocol.endsWith("6") ? DIGITS_IPV6 : DIGITS_IPV4;
  if (local.length !== digits || peer.length !== digits) return undefined;
  const listens = protocol.startsWith("tcp") ? state === TCP_LISTEN : ZERO.test(peer);
  if (!listens) return "other";
  const bytes = addressBytes(local);
  return {
    protocol,
    address: addressText(bytes),
    port: parseInt(port, 16),
    loopback: isLoopback(bytes),
    inode: Number(inode),
    uid: Number(uid),
  };
}

/** Words of four bytes, each printed from its last byte to its first. */
function addressBytes(hex: string): number[] {
  const bytes: number[] = [];
  for (let word = 0; word < hex.length; word += 8) {
    for (let at = word + 6; at >= word; at -= 2) bytes.push(parseInt(hex.slice(at, at + 2), 16));
  }
  return bytes;
}

/** 10 bytes of zero and two of ones in front of an IPv4 address, RFC 4291 §2.5.5.2. */
function isMapped(bytes: readonly number[]): boolean {
  return bytes.length === 16 && bytes.every((byte, at) => at > 11 || byte === (at < 10 ? 0 : 0xff));
}

function isLoopback(bytes: readonly number[]): boolean {
  if (bytes.length === 4) return bytes[0] === 127;
  if (isMapped(bytes)) return bytes[12] === 127;
  return bytes.every((byte, at) => byte === (at === 15 ? 1 : 0));
}

function addressText(bytes: readonly number[]): string {
  if (bytes.length === 4) return bytes.join(".");
  if (isMapped(bytes)) return `::ffff:${bytes.slice(12).join(".")}`;
  const groups = Array.from({ length: 8 }, (_, at) => ((bytes[2 * at] ?? 0) << 8) | (bytes[2 * at + 1] ?? 0));
  // RFC 5952 §4.2: the longest run of two or more zero groups, the first of equals.
  let start = 0;
  let length = 1;
  for (let from = 0; from < 8; from += 1) {
    let to = from;
    while (to < 8 && groups[to] === 0) to += 1;
    if (to - from > length) [start, length] = [from, to - from];
  }
  const text = (part: readonly number[]): string => part.map((group) => group.toString(16)).join(":");
  return length < 2 ? text(groups) : `${text(groups.slice(0, start))}::${text(groups.slice(start + length))}`;
}

/**
 * Reads a table in chunks of any size, so that one of many megabytes is never held as a whole.
 *
 * Keeps at most one unfinished line between calls.
 */
export class SocketTableReader {
  readonly #protocol: SocketProtocol;
  readonly #onListener: (listener: ListeningSocket) => void;
  #rest = "";
  #lines = 0;
  #bad = 0;
  #firstBad = "";

  /** @param onListener Gets each listener, in the order of the table. */
  constructor(protocol: SocketProtocol, onListener: (listener: ListeningSocket) => void) {
    this.#protocol = protocol;
    this.#onListener = onListener;
  }

  /** Takes the next text of the table. */
  push(text: string): void {
    const lines = (this.#rest + text).split("\n");
    const rest = lines.pop() ?? "";
    for (const line of lines) this.#take(line);
    // What is cut off here was too long to be a line in any case, and stays too long.
    this.#rest = rest.slice(0, LINE_CHARS_MAX + 1);
  }

  /**
   * Ends the table.
   *
   * @returns What is wrong with it: no header, lines of another shape, an end within a line. `undefined` when every
   *   line was understood.
   */
  end(): string | undefined {
    if (this.#rest !== "") this.#fail("the last line is cut off", this.#rest);
    if (this.#lines === 0 && this.#bad === 0) return "it is empty, not even a header";
    if (this.#bad === 0) return undefined;
    const more = this.#bad > 1 ? `, and ${this.#bad - 1} more like it` : "";
    return `${this.#firstBad}${more}`;
  }

  #take(line: string): void {
    this.#lines += 1;
    if (this.#lines === 1) {
      if (!HEADER.test(line)) this.#fail("the header is not the one expected", line);
      return;
    }
    const socket = parseSocketLine(this.#protocol, line);
    if (socket === undefined) this.#fail(`line ${this.#lines} has another shape`, line);
    else if (socket !== "other") this.#onListener(socket);
  }

  #fail(what: string, line: string): void {
    this.#bad += 1;
    if (this.#bad === 1) this.#firstBad = `${what}: ${quoted(line)}`;
  }
}
