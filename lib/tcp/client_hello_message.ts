/**
 * What a ClientHello says, read from the whole message: the server name and the protocols. Pure.
 *
 * It reads TLS 1.0 to 1.3 and every length exactly. Extensions other than these two are walked over and not judged,
 * save that none may come twice. With Encrypted ClientHello the outer name is read, as by every server without the
 * key.
 *
 * Source: RFC 8446 §4.1.2 and §4.2 (hello, extensions), RFC 5246 §7.4.1.2 (before TLS 1.3), RFC 6066 §3 (server
 * name), RFC 7301 §3.1 (ALPN).
 *
 * @module
 */
import { Buffer } from "node:buffer";

/** What a client says first, as far as it decides where the connection goes. */
export interface ClientHello {
  /** The host name it asks for, in lower case and without a dot at the end; undefined when it names none. */
  readonly serverName: string | undefined;
  /** The protocols it offers, first choice first, each of 1 to 255 bytes read as Latin-1. */
  readonly alpn: readonly string[];
}

/** A message that cannot be used: `not_tls` for SSL 3.0, else `malformed`. */
export interface ClientHelloRefusal {
  readonly kind: "refusal";
  readonly code: "not_tls" | "malformed";
  /** What is wrong, as the end of a sentence. */
  readonly state: string;
}

/** What a message comes to. */
export type ParsedClientHello = { readonly kind: "hello"; readonly hello: ClientHello } | ClientHelloRefusal;

const malformed = (state: string): ClientHelloRefusal => ({ kind: "refusal", code: "malformed", state });

/** Takes vectors of TLS off the front of some bytes. Once something is missing, `isExact` stays false. */
class Cursor {
  readonly #bytes: Uint8Array;
  #at = 0;
  #isShort = false;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get hasMore(): boolean {
    return !this.#isShort && this.#at < this.#bytes.length;
  }

  /** Whether everything that was asked for was there, and nothing is left. */
  get isExact(): boolean {
    return !this.#isShort && this.#at === this.#bytes.length;
  }

  take(length: number): Uint8Array {
    if (length > this.#bytes.length - this.#at) this.#isShort = true;
    if (this.#isShort) return new Uint8Array(0);
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  uint(bytes: 1 | 2): number {
    return this.take(bytes).reduce((value, byte) => value << 8 | byte, 0);
  }

  /** A vector whose length stands before it in so many bytes. */
  vector(lengthBytes: 1 | 2): Uint8Array {
    return this.take(this.uint(lengthBytes));
  }
}

/**
 * Reads the message.
 *
 * @param message All of it without its header of 4 bytes. Not kept.
 * @see RFC 8446 §4.1.2
 */
export function parseClientHello(message: Uint8Array): ParsedClientHello {
  const cursor = new Cursor(message);
  const version = cursor.uint(2);
  cursor.take(32);
  const sessionId = cursor.vector(1);
  const suites = cursor.vector(2);
  const compressions = cursor.vector(1);
  // Before TLS 1.3 a hello may end here, with no extensions at all.
  const extensions = cursor.hasMore ? cursor.vector(2) : new Uint8Array(0);
  if (!cursor.isExact) return malformed("its fields do not fill it exactly");
  if (version === 0x0300) return { kind: "refusal", code: "not_tls", state: "it is for SSL 3.0" };
  if (version >> 8 !== 3) return malformed("it has an unknown version");
  if (sessionId.length > 32) return malformed("the session id is too long");
  if (suites.length === 0 || suites.length % 2 !== 0) return malformed("the cipher suites are no list");
  if (compressions.length === 0) return malformed("it has no compression method");
  return parseExtensions(extensions);
}

const SERVER_NAME = 0;
const ALPN = 16;
const PRE_SHARED_KEY = 41;

function parseExtensions(list: Uint8Array): ParsedClientHello {
  const cursor = new Cursor(list);
  const seen = new Set<number>();
  let serverName: string | undefined;
  let alpn: readonly string[] = [];
  while (cursor.hasMore) {
    const type = cursor.uint(2);
    const body = cursor.vector(2);
    if (cursor.hasMore && type === PRE_SHARED_KEY) {
      return malformed("pre_shared_key is not its last extension");
    }
    // The attack: two server names, of which the gateway reads the first and the service the second.
    if (seen.has(type)) return malformed("it has an extension twice");
    seen.add(type);
    if (type === SERVER_NAME) {
      serverName = parseServerName(body);
      if (serverName === undefined) return malformed("the server name is not one host name");
    } else if (type === ALPN) {
      const names = parseAlpn(body);
      if (names === undefined) return malformed("the ALPN protocols are no list");
      alpn = names;
    }
  }
  if (!cursor.isExact) return malformed("its extensions do not fill their list exactly");
  return { kind: "hello", hello: { serverName, alpn } };
}

/** Labels as in `Host`: with underscores, which some names have, and none empty. */
const HOST_NAME = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*$/;
/** The last label of an IPv4 address in any spelling that resolvers take; no top-level domain looks like that. */
const NUMBER_LABEL = /(?:^|\.)(?:[0-9]+|0x[0-9a-f]*)$/;
/** Source: RFC 1035 §2.3.4. */
const HOST_NAME_CHARS_MAX = 253;

/** Exactly one name of type host_name. Source: RFC 6066 §3, which forbids addresses. */
function parseServerName(body: Uint8Array): string | undefined {
  const list = new Cursor(body);
  const entry = new Cursor(list.vector(2));
  const nameType = entry.uint(1);
  const name = Buffer.from(entry.vector(2)).toString("latin1").toLowerCase();
  if (!list.isExact || !entry.isExact || nameType !== 0) return undefined;
  // RFC 6066 has no dot at the end, but some clients send what was typed; it is the same name, as it is in `Host`.
  const host = name.endsWith(".") ? name.slice(0, -1) : name;
  if (host.length > HOST_NAME_CHARS_MAX || !HOST_NAME.test(host) || NUMBER_LABEL.test(host)) return undefined;
  return host;
}

function parseAlpn(body: Uint8Array): readonly string[] | undefined {
  const list = new Cursor(body);
  const entries = new Cursor(list.vector(2));
  const names: string[] = [];
  while (entries.hasMore) names.push(Buffer.from(entries.vector(1)).toString("latin1"));
  const isWhole = list.isExact && entries.isExact && names.length > 0 && !names.includes("");
  return isWhole ? names : undefined;
}
