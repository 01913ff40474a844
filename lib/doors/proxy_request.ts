/**
 * Reads the first request that a program sends to the agent's local proxy, however it is cut into pieces.
 *
 * Nothing is resolved and nothing is decided here: the host goes on as text, and the gateway alone says whether it may
 * be reached. Each connection carries one request, because a second one could name another host. What a head may hold
 * is in proxy_head.ts. Source: RFC 9112 §2 and §3.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { assert } from "../assert.ts";
import { type ProxyFault, proxyFault, readProxyHead } from "./proxy_head.ts";
import { RequestEnd } from "./request_end.ts";

/** The longest head, with its empty line. */
export const PROXY_HEAD_BYTES_MAX = 64 * 1024;

/** The longest request line, with its CRLF. Half the head, so that a long address leaves room for the fields. */
export const PROXY_LINE_BYTES_MAX = 32 * 1024;

const GATHER_BYTES_MIN = 1024;
const HEAD_END = Buffer.from("\r\n\r\n", "latin1");
const LF = 0x0a;
const CR = 0x0d;
const TLS_HANDSHAKE = 0x16;

/** What a program asked for, so far. */
export type ProxyRead =
  | { readonly kind: "more" }
  | {
    /** A tunnel to a host. Answer `CONNECT_ESTABLISHED` once it stands, and send `rest` before what comes. */
    readonly kind: "connect";
    /** Lower-case, no final dot; an IPv6 address has no brackets. Not resolved. */
    readonly host: string;
    readonly port: number;
    readonly rest: Uint8Array;
  }
  | {
    /** One request to a host. Send `head`, then what `end` says of `rest` and of all that comes. */
    readonly kind: "forward";
    readonly host: string;
    readonly port: number;
    /** The head for the host: origin-form, its own Host, nothing that was meant for a proxy. */
    readonly head: Uint8Array;
    /** What came behind the head, a view of the chunk. Nothing of it has been shown to `end`. */
    readonly rest: Uint8Array;
    readonly end: RequestEnd;
  }
  | ProxyFault;

/** Reads one head, in memory of at most `PROXY_HEAD_BYTES_MAX`. */
export class ProxyRequestReader {
  #buffer = Buffer.allocUnsafe(GATHER_BYTES_MIN);
  #bytes = 0;
  #hasLine = false;
  #isSettled = false;

  /**
   * Takes the next bytes. What is read does not depend on how they are cut.
   *
   * @param chunk Is copied but for `rest`, which is a view of it.
   * @returns Anything but `more` is the last word: do not push again.
   */
  push(chunk: Uint8Array): ProxyRead {
    assert(!this.#isSettled, "a proxy request is read once");
    const read = this.#read(chunk);
    if (read.kind !== "more") {
      this.#isSettled = true;
      this.#buffer = Buffer.alloc(0);
    }
    return read;
  }

  #read(chunk: Uint8Array): ProxyRead {
    const before = this.#bytes;
    const added = Math.min(chunk.length, PROXY_HEAD_BYTES_MAX - before);
    this.#grow(before + added);
    this.#buffer.set(chunk.subarray(0, added), before);
    this.#bytes += added;
    const gathered = this.#buffer.subarray(0, this.#bytes);
    const at = gathered.indexOf(HEAD_END, Math.max(0, before - HEAD_END.length + 1));
    const end = at < 0 ? gathered.length : at + HEAD_END.length;
    const early = this.#checkStart(gathered) ?? this.#checkLines(gathered, before, end);
    if (early !== undefined) return early;
    if (at < 0) {
      return this.#bytes < PROXY_HEAD_BYTES_MAX
        ? { kind: "more" }
        : proxyFault(431, `The head is over ${PROXY_HEAD_BYTES_MAX} bytes`);
    }
    const head = readProxyHead(gathered.toString("latin1", 0, at));
    if (head.kind === "fault") return head;
    const rest = chunk.subarray(end - before);
    if (head.kind === "connect") return { ...head, rest };
    const { framing, ...request } = head;
    return { ...request, rest, end: new RequestEnd(framing) };
  }

  /** Doubles the buffer, so that all copies together cost no more than the head twice. */
  #grow(bytes: number): void {
    if (bytes <= this.#buffer.length) return;
    const doubled = Math.max(bytes, this.#buffer.length * 2);
    const larger = Buffer.allocUnsafe(Math.min(PROXY_HEAD_BYTES_MAX, doubled));
    this.#buffer.copy(larger, 0, 0, this.#bytes);
    this.#buffer = larger;
  }

  /** Another protocol is told apart by its first byte and not by a timeout. */
  #checkStart(gathered: Buffer): ProxyFault | undefined {
    const first = gathered[0];
    if (first === undefined || (first > 0x20 && first < 0x7f)) return undefined;
    if (first === TLS_HANDSHAKE) {
      return proxyFault(400, "This proxy speaks no TLS: write its address as http://");
    }
    if (first === 4 || first === 5) {
      return proxyFault(400, "This is an HTTP proxy, not SOCKS: set http_proxy");
    }
    return proxyFault(400, "This is no HTTP request");
  }

  /** A head whose lines end with LF alone would never find its end, and a line has its own bound. */
  #checkLines(gathered: Buffer, from: number, to: number): ProxyFault | undefined {
    for (let at = gathered.indexOf(LF, from); at >= 0 && at < to; at = gathered.indexOf(LF, at + 1)) {
      if (!this.#hasLine && at >= PROXY_LINE_BYTES_MAX) return LINE_TOO_LONG;
      if (gathered[at - 1] !== CR) return LONE_LF;
      this.#hasLine = true;
    }
    return this.#hasLine || to < PROXY_LINE_BYTES_MAX ? undefined : LINE_TOO_LONG;
  }
}

const LINE_TOO_LONG = proxyFault(414, `The request line is over ${PROXY_LINE_BYTES_MAX} bytes`);
const LONE_LF = proxyFault(400, "A line ends with a lone LF");
