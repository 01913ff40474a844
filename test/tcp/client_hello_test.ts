/**
 * The ClientHello reader: hellos of real clients, hellos that lie, and the same answer however the bytes are cut.
 *
 * @module
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Buffer } from "node:buffer";
import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import net, { type AddressInfo } from "node:net";
import { join } from "node:path";
import tls from "node:tls";
import fc from "fast-check";
import {
  CLIENT_HELLO_BYTES_MAX,
  ClientHelloReader,
  type ClientHelloResult,
  type TlsAlert,
  tlsAlert,
} from "../../lib/tcp/client_hello.ts";
import { parseHex } from "../support/hex_frames.ts";

const FIXTURES = join(import.meta.dirname!, "..", "fixtures", "client_hello");

type Bytes = readonly number[];

const ascii = (text: string): number[] => [...Buffer.from(text, "latin1")];
const u16 = (value: number): number[] => [value >> 8 & 0xff, value & 0xff];
const u24 = (value: number): number[] => [value >> 16 & 0xff, ...u16(value)];
const vector8 = (bytes: Bytes): number[] => [bytes.length, ...bytes];
const vector16 = (bytes: Bytes): number[] => [...u16(bytes.length), ...bytes];
const extension = (type: number, body: Bytes): number[] => [...u16(type), ...vector16(body)];
const name = (text: string, type = 0): number[] => [type, ...vector16(ascii(text))];
const sni = (...names: Bytes[]): number[] => extension(0, vector16(names.flat()));
const alpn = (...names: string[]): number[] =>
  extension(16, vector16(names.flatMap((each) => vector8(ascii(each)))));

interface Parts {
  version?: number;
  random?: Bytes;
  sessionId?: Bytes;
  suites?: Bytes;
  compressions?: Bytes;
  extensions?: Bytes[] | undefined;
}

/** The fields of a hello without the header of the message. */
function fields(parts: Parts): number[] {
  return [
    ...u16(parts.version ?? 0x0303),
    ...(parts.random ?? new Array<number>(32).fill(7)),
    ...vector8(parts.sessionId ?? []),
    ...vector16(parts.suites ?? [0x13, 0x01]),
    ...vector8(parts.compressions ?? [0]),
    ...("extensions" in parts && parts.extensions === undefined
      ? []
      : vector16((parts.extensions ?? []).flat())),
  ];
}

const message = (body: Bytes, type = 1): number[] => [type, ...u24(body.length), ...body];
const record = (payload: Bytes, type = 22, version = 0x0301): number[] => [
  type,
  ...u16(version),
  ...vector16(payload),
];
/** A hello in one record. */
const hello = (parts: Parts): number[] => record(message(fields(parts)));
/** A hello with these extensions. */
const extended = (...extensions: Bytes[]): number[] => hello({ extensions });

/** What is told of the bytes, in one word and what belongs to it. */
function outcome(result: ClientHelloResult): string {
  if (result.kind === "more") return "more";
  if (result.kind === "fault") return result.code;
  const { serverName, alpn: protocols } = result.hello;
  return JSON.stringify([serverName ?? null, ...protocols]);
}

/** Pushes chunks until the answer is final; checks the bound and that nothing is lost on the way. */
function readChunks(chunks: readonly Uint8Array[]): ClientHelloResult {
  const reader = new ClientHelloReader();
  let pushedBytes = 0;
  let result: ClientHelloResult = { kind: "more" };
  for (const chunk of chunks) {
    const mine = Uint8Array.from(chunk);
    result = reader.push(mine);
    // The chunk is the caller's again: what is kept must not change with it.
    mine.fill(0xee);
    pushedBytes += chunk.length;
    expect(reader.bytes.length).toBe(pushedBytes);
    if (result.kind !== "more") break;
    expect(reader.bytes.buffer.byteLength).toBeLessThanOrEqual(CLIENT_HELLO_BYTES_MAX);
  }
  expect(Buffer.compare(reader.bytes, Buffer.concat(chunks).subarray(0, pushedBytes))).toBe(0);
  return result;
}

/** The same bytes whole; `chunkBytes` at a time. */
function read(bytes: Bytes | Uint8Array, chunkBytes = bytes.length): ClientHelloResult {
  const all = Uint8Array.from(bytes);
  const chunks: Uint8Array[] = [];
  for (let at = 0; at < all.length; at += chunkBytes) chunks.push(all.subarray(at, at + chunkBytes));
  return readChunks(chunks);
}

/**
 * The obvious reader: takes the bytes as a whole, throws at what it does not like. Written from the grammar, with
 * nothing shared with the one under test.
 */
function naiveRead(bytes: Uint8Array): string {
  class Fault extends Error {
    constructor(readonly code: string) {
      super(code);
    }
  }
  const need = (condition: boolean, code = "malformed"): void => {
    if (!condition) throw new Fault(code);
  };
  /** Takes a vector: the length in `width` bytes, and so many bytes; removes both from `from`. */
  const shift = (from: number[], width: number): number[] => {
    need(from.length >= width);
    const length = from.splice(0, width).reduce((sum, byte) => sum * 256 + byte, 0);
    need(from.length >= length);
    return from.splice(0, length);
  };
  const whole = [...bytes.subarray(0, CLIENT_HELLO_BYTES_MAX)];
  const missing = bytes.length >= CLIENT_HELLO_BYTES_MAX ? "too_long" : "more";
  try {
    const body: number[] = [];
    let at = 0;
    for (let isFirst = true;; isFirst = false) {
      need(whole.length > at, missing);
      need(whole[at] === 22, isFirst ? "not_tls" : "malformed");
      need(whole.length > at + 1, missing);
      need(whole[at + 1] === 3, isFirst ? "not_tls" : "malformed");
      need(whole.length >= at + 5, missing);
      const length = whole[at + 3]! * 256 + whole[at + 4]!;
      need(length > 0 && length <= 16384);
      for (let i = 0; i < length; i++) {
        need(whole.length > at + 5 + i, missing);
        body.push(whole[at + 5 + i]!);
        if (body.length === 1) need(body[0] === 1);
        // The most that fits behind one record header and one message header.
        const lengthSoFar = body.slice(1, 4).reduce((sum, byte) => sum * 256 + byte, 0);
        need(lengthSoFar <= 16384 - 9, "too_long");
        if (body.length === 4 + lengthSoFar && body.length >= 4) {
          need(i === length - 1);
          return naiveMessage(body.slice(4));
        }
      }
      at += 5 + length;
    }
  } catch (error) {
    if (error instanceof Fault) return error.code;
    throw error;
  }

  function naiveMessage(rest: number[]): string {
    need(rest.length >= 34);
    const version = rest[0]! * 256 + rest[1]!;
    rest.splice(0, 34);
    const sessionId = shift(rest, 1);
    const suites = shift(rest, 2);
    const compressions = shift(rest, 1);
    const list = rest.length > 0 ? shift(rest, 2) : [];
    need(rest.length === 0);
    need(version !== 0x0300, "not_tls");
    need(version > 0x0300 && version < 0x0400 && sessionId.length <= 32);
    need(suites.length > 0 && suites.length % 2 === 0 && compressions.length > 0);
    const found = new Map<number, number[]>();
    while (list.length > 0) {
      need(list.length >= 4 && !found.has(41));
      const [high, low] = list.splice(0, 2);
      const type = high! * 256 + low!;
      need(!found.has(type));
      found.set(type, shift(list, 2));
    }
    const protocols: string[] = [];
    const offered = found.get(16);
    if (offered !== undefined) {
      const entries = shift(offered, 2);
      need(offered.length === 0 && entries.length > 0);
      while (entries.length > 0) {
        const entry = shift(entries, 1);
        need(entry.length > 0);
        protocols.push(String.fromCharCode(...entry));
      }
    }
    const asked = found.get(0);
    if (asked === undefined) return JSON.stringify([null, ...protocols]);
    const names = shift(asked, 2);
    need(asked.length === 0 && names.shift() === 0);
    const text = String.fromCharCode(...shift(names, 2));
    need(names.length === 0);
    const labels = text.toLowerCase().split(".");
    if (labels.length > 1 && labels.at(-1) === "") labels.pop();
    need(labels.join(".").length <= 253);
    need(!/^(\d+|0x[\da-f]*)$/.test(labels.at(-1)!));
    for (const label of labels) {
      need(label.length > 0 && label.length <= 63);
      need(/^[a-z0-9_-]+$/.test(label) && !label.startsWith("-") && !label.endsWith("-"));
    }
    return JSON.stringify([labels.join("."), ...protocols]);
  }
}

/** Like a browser's: GREASE, an outer name with Encrypted ClientHello, a post-quantum key share, about 1,800 bytes. */
function browserHello(serverName: string): number[] {
  const filler = (length: number): number[] => Array.from({ length }, (_, i) => i * 37 & 0xff);
  const keyShares = [
    ...[...u16(0x4a4a), ...vector16([0])],
    ...[...u16(0x11ec), ...vector16(filler(1216))],
    ...[...u16(0x001d), ...vector16(filler(32))],
  ];
  return hello({
    random: filler(32),
    sessionId: filler(32),
    suites: [0x2a2a, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030].flatMap(u16),
    extensions: [
      extension(0x5a5a, []),
      sni(name(serverName)),
      extension(0x0017, []),
      extension(0xff01, [0]),
      extension(0x000a, vector16([0x4a4a, 0x11ec, 0x001d, 0x0017].flatMap(u16))),
      extension(0x000b, [1, 0]),
      extension(0x0023, []),
      alpn("h2", "http/1.1"),
      extension(0x0005, [1, 0, 0, 0, 0]),
      extension(0x000d, vector16([0x0403, 0x0804, 0x0401].flatMap(u16))),
      extension(0x0012, []),
      extension(0x0033, vector16(keyShares)),
      extension(0x002d, [1, 1]),
      extension(0x002b, vector8([0x6a6a, 0x0304, 0x0303].flatMap(u16))),
      extension(0x001b, [2, 0, 2]),
      extension(0x44cd, [0, 3, 2, 0x68, 0x32]),
      extension(0xfe0d, [0, 0, 1, 0, 1, 5, ...vector16(filler(32)), ...vector16(filler(208))]),
      extension(0xdada, [0]),
    ],
  });
}

/** What each captured hello says. */
const CAPTURED: Readonly<Record<string, string>> = {
  bun: '["bun.example.com","h2","http/1.1"]',
  curl: '["curl.example.com","h2","http/1.1"]',
  deno: '["deno.example.com","h2"]',
  openssl: '["openssl.example.com","h2","http/1.1"]',
  "openssl-fragments": '["fragments.example.com"]',
  "openssl-no-name": "[null]",
  "openssl-tls10": '["old.example.com"]',
  python: '["db_1.example.com","postgresql"]',
};

const fixture = (each: string): Uint8Array => parseHex(readFileSync(join(FIXTURES, `${each}.hex`), "utf8"));

/** Every hello that is to be cut: the captured ones and those made here. */
function samples(): Map<string, { bytes: Uint8Array; says: string }> {
  const made: [string, number[], string][] = [
    ["browser", browserHello("Outer.Example.com"), '["outer.example.com","h2","http/1.1"]'],
    ["no extensions", hello({ extensions: undefined }), "[null]"],
  ];
  return new Map([
    ...Object.entries(CAPTURED).map(([each, says]) => [each, { bytes: fixture(each), says }] as const),
    ...made.map(([each, bytes, says]) => [each, { bytes: Uint8Array.from(bytes), says }] as const),
  ]);
}

describe("ClientHelloReader reads real clients", () => {
  test("no captured hello goes unread", () => {
    const files = readdirSync(FIXTURES).map((file) => file.replace(".hex", "")).sort();
    expect(files).toEqual(Object.keys(CAPTURED).sort());
    expect(files).toHaveLength(8);
  });

  test("each says what its client was told to ask for, byte by byte as well", () => {
    let cases = 0;
    for (const [each, { bytes, says }] of samples()) {
      expect(`${each} ${outcome(read(bytes))}`).toBe(`${each} ${says}`);
      expect(`${each} ${outcome(read(bytes, 1))}`).toBe(`${each} ${says}`);
      expect(naiveRead(bytes)).toBe(says);
      cases += 1;
    }
    expect(cases).toBe(10);
  });

  test("wherever it is cut in two, nothing is known before its end and the same after it", () => {
    let cases = 0;
    for (const { bytes, says } of samples().values()) {
      for (let at = 1; at < bytes.length; at++) {
        const reader = new ClientHelloReader();
        if (reader.push(bytes.subarray(0, at)).kind !== "more") throw new Error(`Answered at ${at}`);
        if (outcome(reader.push(bytes.subarray(at))) !== says) throw new Error(`Other answer, cut at ${at}`);
        cases += 1;
      }
    }
    expect(cases).toBeGreaterThan(4_000);
  });

  test("a post-quantum hello is longer than one packet", () => {
    expect(browserHello("a.example").length).toBeGreaterThan(1_500);
    expect(fixture("bun").length).toBeGreaterThan(1_400);
    expect(outcome(read(browserHello("a.example"), 1_448))).toBe('["a.example","h2","http/1.1"]');
  });
});

describe("ClientHelloReader reads what this runtime sends", () => {
  let server: net.Server;
  let seen: ((result: ClientHelloResult) => void) | undefined;

  beforeAll(async () => {
    server = net.createServer((socket) => {
      const reader = new ClientHelloReader();
      socket.on("error", () => {}).on("data", (chunk: Buffer) => {
        const result = reader.push(chunk);
        if (result.kind === "more") return;
        socket.destroy();
        seen?.(result);
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  });
  afterAll(async () => {
    await new Promise((resolve) => server.close(resolve));
  });

  const port = (): number => (server.address() as AddressInfo).port;
  const next = (): Promise<ClientHelloResult> => new Promise((resolve) => seen = resolve);

  test.each([
    [
      { servername: "Web.Example.com", ALPNProtocols: ["h2", "http/1.1"] },
      '["web.example.com","h2","http/1.1"]',
    ],
    [{ servername: "a.example", maxVersion: "TLSv1.2" as const }, '["a.example"]'],
    // An address is never sent as a name.
    [{ host: "127.0.0.1" }, "[null]"],
  ])("node:tls with %j", async (options: tls.ConnectionOptions, says: string) => {
    const result = next();
    const socket = tls.connect({ host: "127.0.0.1", port: port(), rejectUnauthorized: false, ...options });
    socket.on("error", () => {});
    expect(outcome(await result)).toBe(says);
    socket.destroy();
  });

  test("fetch", async () => {
    const result = next();
    const answer = fetch(`https://localhost:${port()}/`).then(() => "answered", () => "failed");
    expect(outcome(await result)).toMatch(/^\["localhost"/);
    expect(await answer).toBe("failed");
  });
});

describe("ClientHelloReader takes", () => {
  const long = `${"a".repeat(63)}.`.repeat(3) + "b".repeat(61);
  const cases: [string, number[], string][] = [
    ["a hello without extensions", hello({ extensions: undefined }), "[null]"],
    ["a hello with an empty list of extensions", extended(), "[null]"],
    ["a name in upper case", extended(sni(name("WEB.Example.COM"))), '["web.example.com"]'],
    ["a name with a dot at the end", extended(sni(name("web.example."))), '["web.example"]'],
    ["a name of one label", extended(sni(name("localhost"))), '["localhost"]'],
    ["a name of digits below a domain", extended(sni(name("1.2.3.4.example"))), '["1.2.3.4.example"]'],
    ["an international name", extended(sni(name("xn--mnchen-3ya.example"))), '["xn--mnchen-3ya.example"]'],
    ["the longest name", extended(sni(name(long))), `["${long}"]`],
    ["the longest name and a dot", extended(sni(name(`${long}.`))), `["${long}"]`],
    ["a name behind other extensions", extended(extension(23, []), sni(name("a.b"))), '["a.b"]'],
    ["ALPN of any bytes", extended(alpn("\x00\xff", "a")), '[null,"\\u0000ÿ","a"]'],
    ["ALPN of 255 bytes", extended(alpn("x".repeat(255))), `[null,"${"x".repeat(255)}"]`],
    ["different GREASE", extended(extension(0x0a0a, []), extension(0x1a1a, [0])), "[null]"],
    ["pre_shared_key at the end", extended(sni(name("a.b")), extension(41, [0])), '["a.b"]'],
    ["the session id of TLS 1.3", hello({ sessionId: new Array<number>(32).fill(1) }), "[null]"],
    ["any minor version of the record", record(message(fields({})), 22, 0x0300), "[null]"],
    ["TLS 1.0", hello({ version: 0x0301 }), "[null]"],
    ["a later version, which servers bargain down", hello({ version: 0x0305 }), "[null]"],
    ["something encrypted behind it", [...extended(sni(name("a.b"))), 23, 3, 3, 0, 1, 9], '["a.b"]'],
    ["anything behind it", [...extended(sni(name("a.b"))), 0, 0, 0], '["a.b"]'],
  ];

  test.each(cases)("%s", (_name: string, bytes: number[], says: string) => {
    expect(outcome(read(bytes))).toBe(says);
    expect(outcome(read(bytes, 1))).toBe(says);
    expect(naiveRead(Uint8Array.from(bytes))).toBe(says);
  });

  test("all of them", () => expect(cases).toHaveLength(20));

  test("a hello of records with one byte each", () => {
    const payload = message(fields({ extensions: [sni(name("tiny.example"))] }));
    const bytes = payload.flatMap((byte) => record([byte]));
    expect(outcome(read(bytes))).toBe('["tiny.example"]');
    expect(outcome(read(bytes, 1))).toBe('["tiny.example"]');
  });

  test("what follows the hello stays in the bytes", () => {
    const reader = new ClientHelloReader();
    const bytes = [...extended(sni(name("a.b"))), ...new Array<number>(100_000).fill(5)];
    expect(outcome(reader.push(Uint8Array.from(bytes)))).toBe('["a.b"]');
    expect(reader.bytes.length).toBe(bytes.length);
    expect(Buffer.compare(reader.bytes, Uint8Array.from(bytes))).toBe(0);
  });

  test("nothing, and goes on waiting", () => {
    const reader = new ClientHelloReader();
    expect(reader.push(new Uint8Array(0)).kind).toBe("more");
    expect(reader.bytes).toHaveLength(0);
    expect(outcome(reader.push(Uint8Array.from(extended())))).toBe("[null]");
  });
});

describe("ClientHelloReader refuses", () => {
  const entry = name("a.example");
  const malformed: [string, number[]][] = [
    ["two names of one type", extended(sni(entry, name("b.example")))],
    ["the same name twice", extended(sni(entry, entry))],
    ["a second server_name extension", extended(sni(entry), sni(name("b.example")))],
    ["an extension twice", extended(extension(23, []), extension(23, []))],
    ["GREASE twice", extended(extension(0x0a0a, []), extension(0x0a0a, []))],
    ["ALPN twice", extended(alpn("h2"), alpn("h2"))],
    ["a name of an unknown type", extended(sni(name("a.example", 1)))],
    ["a name and one of an unknown type", extended(sni(entry, name("a.example", 1)))],
    ["an empty server_name extension", extended(extension(0, []))],
    ["an empty list of names", extended(sni())],
    ["an empty name", extended(sni(name("")))],
    ["a name that is a dot", extended(sni(name(".")))],
    ["two dots at the end", extended(sni(name("a.example..")))],
    ["an empty label", extended(sni(name("a..example")))],
    ["a dot in front", extended(sni(name(".a.example")))],
    ["NUL in the name", extended(sni(name("a.example\0.evil")))],
    ["NUL behind the name", extended(sni(name("a.example\0")))],
    ["a line end in the name", extended(sni(name("a.example\n")))],
    ["a space", extended(sni(name("a example")))],
    ["a wildcard", extended(sni(name("*.example")))],
    ["bytes above ASCII", extended(sni(name("m\xfcnchen.example")))],
    ["UTF-8", extended(sni([0, ...vector16([...Buffer.from("münchen.example", "utf8")])]))],
    ["a hyphen at the start of a label", extended(sni(name("-a.example")))],
    ["a hyphen at the end of a label", extended(sni(name("a-.example")))],
    ["a label of 64", extended(sni(name(`${"a".repeat(64)}.example`)))],
    ["a name of 254", extended(sni(name(`${"a".repeat(63)}.`.repeat(3) + "b".repeat(62))))],
    ["an IPv4 address", extended(sni(name("127.0.0.1")))],
    ["an IPv4 address with a dot", extended(sni(name("127.0.0.1.")))],
    ["an IPv4 address in hexadecimal", extended(sni(name("0x7f.0x1")))],
    ["an IPv4 address as one number", extended(sni(name("2130706433")))],
    ["an IPv6 address", extended(sni(name("::1")))],
    ["an IPv6 address in brackets", extended(sni(name("[::1]")))],
    ["a name with a port", extended(sni(name("a.example:443")))],
    ["a list longer than its extension", extended(extension(0, [...u16(entry.length + 1), ...entry]))],
    ["a list shorter than its extension", extended(extension(0, [...u16(entry.length - 1), ...entry]))],
    ["a byte behind the list of names", extended(extension(0, [...vector16(entry), 0]))],
    ["a byte behind the name", extended(extension(0, vector16([...entry, 0])))],
    ["a name longer than its list", extended(extension(0, vector16([0, 0, 10, 0x61])))],
    ["a name shorter than its list", extended(extension(0, vector16([0, 0, 1, 0x61, 0x62])))],
    ["ALPN that is empty", extended(extension(16, []))],
    ["ALPN with no protocol", extended(extension(16, [0, 0]))],
    ["ALPN with an empty protocol", extended(alpn("h2", ""))],
    ["ALPN whose protocol is too long", extended(extension(16, vector16([3, 0x68, 0x32])))],
    ["ALPN with a byte behind it", extended(extension(16, [...vector16([1, 0x61]), 0]))],
    ["pre_shared_key before another", extended(extension(41, [0]), sni(entry))],
    ["an extension longer than the list", extended([0, 23, 0, 1])],
    ["half the head of an extension", extended([0, 23, 0])],
    ["half the type of an extension", extended([0])],
    [
      "extensions that overlap the end",
      record(message([...fields({ extensions: undefined }), 0, 9, 0, 23, 0, 0])),
    ],
    ["a byte behind the extensions", record(message([...fields({ extensions: [] }), 0]))],
    ["half the length of the extensions", record(message([...fields({ extensions: undefined }), 0]))],
    ["no compression", hello({ compressions: [] })],
    ["no cipher suites", hello({ suites: [] })],
    ["half a cipher suite", hello({ suites: [0x13, 0x01, 0x13] })],
    ["a session id of 33", hello({ sessionId: new Array<number>(33).fill(1) })],
    ["an unknown major version", hello({ version: 0x0403 })],
    ["version 0", hello({ version: 0 })],
    ["an empty message", record(message([]))],
    ["a message that stops in the random", record(message(fields({}).slice(0, 20)))],
    ["a ServerHello", record(message(fields({}), 2))],
    ["an empty record", [...record([]), ...hello({})]],
    ["an empty record in between", [
      ...record(message(fields({})).slice(0, 9)),
      ...record([]),
      ...record(message(fields({})).slice(9)),
    ]],
    ["another message in its record", record([...message(fields({})), ...message(fields({}))])],
    ["a byte behind it in its record", record([...message(fields({})), 0])],
    ["an alert in between", [
      ...record(message(fields({})).slice(0, 9)),
      ...record([1, 0], 21),
      ...record(message(fields({})).slice(9)),
    ]],
    ["a record of no TLS in between", [
      ...record(message(fields({})).slice(0, 9)),
      ...record(message(fields({})).slice(9), 22, 0x0203),
    ]],
    ["a record above the limit of TLS", [22, 3, 1, 0x40, 0x01]],
  ];

  test.each(malformed)("%s", (_name: string, bytes: number[]) => {
    expect(outcome(read(bytes))).toBe("malformed");
    expect(outcome(read(bytes, 1))).toBe("malformed");
    expect(naiveRead(Uint8Array.from(bytes))).toBe("malformed");
  });

  test("all of them", () => expect(malformed).toHaveLength(67));

  const notTls: [string, number[]][] = [
    ["HTTP in plain text", ascii("GET / HTTP/1.1\r\nHost: a\r\n\r\n")],
    ["SSH", ascii("SSH-2.0-OpenSSH_9.2\r\n")],
    ["a hello of SSL 2.0", [0x80, 0x2e, 1, 0, 2, 0, 0x15, 0, 0, 0, 0x10]],
    ["a hello of SSL 2.0 that asks for TLS", [0x80, 0x2e, 1, 3, 1, 0, 0x15, 0, 0, 0, 0x10]],
    ["a hello of SSL 3.0", hello({ version: 0x0300, extensions: undefined })],
    ["a hello of DTLS", [22, 0xfe, 0xff, 0, 0]],
    ["an alert", record([1, 0], 21)],
    ["encrypted data", record([0], 23)],
    ["the PROXY protocol", ascii("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n")],
    ["the SSLRequest of PostgreSQL", [0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f]],
  ];

  test.each(notTls)("%s, as no TLS", (_name: string, bytes: number[]) => {
    expect(outcome(read(bytes))).toBe("not_tls");
    expect(outcome(read(bytes, 1))).toBe("not_tls");
    expect(naiveRead(Uint8Array.from(bytes))).toBe("not_tls");
  });

  test("all of these", () => expect(notTls).toHaveLength(10));

  test("at the first byte that tells, without waiting for more", () => {
    expect(outcome(read([0x47]))).toBe("not_tls");
    expect(outcome(read([22, 2]))).toBe("not_tls");
    expect(outcome(read([22, 3, 1, 0, 0]))).toBe("malformed");
    expect(outcome(read([22, 3, 1, 0, 9, 2]))).toBe("malformed");
    expect(outcome(read([22, 3, 1, 0x40, 0, 1, 1, 0, 0]))).toBe("too_long");
  });

  test("with a message that says what was wrong and repeats nothing of it", () => {
    const result = read(extended(sni(name("secret name"))));
    if (result.kind !== "fault") throw new Error("It was taken");
    expect(result.message).toBe("Cannot read the ClientHello: the server name is not one host name");
  });

  test("to read on once it has answered", () => {
    const reader = new ClientHelloReader();
    reader.push(Uint8Array.from(extended()));
    expect(() => reader.push(new Uint8Array(1))).toThrow("Cannot read more of a ClientHello");
  });
});

describe("ClientHelloReader keeps to its bound", () => {
  /** A hello of so many bytes in all, in one record. */
  const sized = (total: number): number[] => {
    const empty = extended(sni(name("big.example")), extension(21, [])).length;
    return extended(sni(name("big.example")), extension(21, new Array<number>(total - empty).fill(0)));
  };

  test("a hello of exactly the bound is read, one byte more is not", () => {
    const [fits, over] = [sized(CLIENT_HELLO_BYTES_MAX), sized(CLIENT_HELLO_BYTES_MAX + 1)];
    expect([fits.length, over.length]).toEqual([16_384, 16_385]);
    for (const chunkBytes of [1, 1_448, 16_383, 65_536]) {
      expect(outcome(read(fits, chunkBytes))).toBe('["big.example"]');
      expect(outcome(read(over, chunkBytes))).toBe("too_long");
    }
    expect(outcome(read([...fits, 1, 2, 3]))).toBe('["big.example"]');
  });

  test("a hello that says it is too long is refused by its head", () => {
    expect(outcome(read(over().slice(0, 9), 1))).toBe("too_long");
    expect(outcome(read(over().slice(0, 8), 1))).toBe("more");
    function over(): number[] {
      return sized(CLIENT_HELLO_BYTES_MAX + 1);
    }
  });

  test("record headers count: a hello in tiny records ends at the bound", () => {
    const payload = message(fields({ extensions: [extension(21, new Array<number>(4_000).fill(0))] }));
    const bytes = payload.flatMap((byte) => record([byte]));
    expect(bytes.length).toBeGreaterThan(CLIENT_HELLO_BYTES_MAX);
    for (const chunkBytes of [1, 7, 1_448, bytes.length]) {
      expect(outcome(read(bytes, chunkBytes))).toBe("too_long");
    }
    expect(outcome(read(bytes.slice(0, CLIENT_HELLO_BYTES_MAX - 1), 1))).toBe("more");
    expect(outcome(read(bytes.slice(0, CLIENT_HELLO_BYTES_MAX), 1))).toBe("too_long");
  });

  test("a hello that comes byte by byte is copied a few times only", () => {
    const bytes = Uint8Array.from(sized(CLIENT_HELLO_BYTES_MAX));
    const reader = new ClientHelloReader();
    const buffers = new Set<ArrayBufferLike>();
    for (let at = 0; at < bytes.length; at++) {
      reader.push(bytes.subarray(at, at + 1));
      buffers.add(reader.bytes.buffer);
    }
    expect(buffers.size).toBeLessThanOrEqual(4);
  });
});

describe("ClientHelloReader, whatever comes", () => {
  const seeds = [...samples().values()].map(({ bytes }) => bytes);

  /** What may happen to a hello on its way here. */
  const mutation = fc.record({
    kind: fc.constantFrom("set", "insert", "remove", "repeat", "nudge"),
    at: fc.nat(),
    bytes: fc.uint8Array({ minLength: 1, maxLength: 12 }),
  });

  function mutate(bytes: number[], { kind, at, bytes: extra }: {
    kind: string;
    at: number;
    bytes: Uint8Array;
  }): void {
    // Most of what counts is at the front, so half of the places are there.
    const place = at % 2 === 0 ? at % Math.min(bytes.length, 160) : at % bytes.length;
    if (kind === "set") bytes.splice(place, extra.length, ...extra);
    if (kind === "insert") bytes.splice(place, 0, ...extra);
    if (kind === "remove" && bytes.length > 40) bytes.splice(place, extra.length);
    if (kind === "repeat") bytes.splice(place, 0, ...bytes.slice(place, place + extra.length * 4));
    if (kind === "nudge") bytes[place] = (bytes[place] ?? 0) + (at % 3 === 0 ? 1 : 255) & 0xff;
  }

  const cutAt = (bytes: Uint8Array, places: readonly number[]): Uint8Array[] => {
    const sorted = places.map((place) => place % (bytes.length + 1)).sort((a, b) => a - b);
    return [0, ...sorted].map((start, i) => bytes.subarray(start, sorted[i] ?? bytes.length));
  };

  test("a hello that was tampered with is read as the plain reader does, however it is cut", () => {
    const seen = new Set<string>();
    let runs = 0;
    fc.assert(
      fc.property(
        fc.constantFrom(...seeds),
        fc.array(mutation, { maxLength: 3 }),
        fc.array(fc.nat(20_000), { maxLength: 6 }),
        (seed, mutations, places) => {
          const bytes = [...seed];
          for (const each of mutations) mutate(bytes, each);
          const whole = Uint8Array.from(bytes);
          const expected = naiveRead(whole);
          expect(outcome(readChunks([whole]))).toBe(expected);
          expect(outcome(readChunks(cutAt(whole, places)))).toBe(expected);
          seen.add(expected.startsWith("[") ? "hello" : expected);
          runs += 1;
        },
      ),
      { numRuns: 600 },
    );
    expect(runs).toBeGreaterThanOrEqual(600);
    // The other two come too seldom to count on; they have tests of their own.
    for (const each of ["hello", "malformed", "more"]) expect([...seen]).toContain(each);
  });

  test("a hello from the grammar, with lengths right and contents wild, is read as the plain reader does", () => {
    const wild = fc.oneof(
      fc.stringMatching(/^[a-zA-Z0-9._-]{0,30}$/),
      fc.domain(),
      fc.ipV4(),
      fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes).toString("latin1")),
    );
    const anyExtension = fc.oneof(
      fc.array(wild, { maxLength: 2 }).map((names) => sni(...names.map((each) => name(each)))),
      wild.map((each) => sni(name(each))),
      fc.array(wild, { maxLength: 3 }).map((names) => alpn(...names)),
      fc.tuple(fc.constantFrom(10, 23, 41, 43, 51, 0x0a0a), fc.uint8Array({ maxLength: 9 })).map((
        [type, body],
      ) => extension(type, [...body])),
    );
    let hellos = 0;
    fc.assert(
      fc.property(
        fc.array(anyExtension, { maxLength: 4 }),
        fc.integer({ min: 1, max: 60 }),
        (extensions, recordBytes) => {
          const payload = message(fields({ extensions }));
          const bytes: number[] = [];
          for (let at = 0; at < payload.length; at += recordBytes) {
            bytes.push(...record(payload.slice(at, at + recordBytes)));
          }
          const expected = naiveRead(Uint8Array.from(bytes));
          expect(outcome(read(bytes))).toBe(expected);
          expect(outcome(read(bytes, 3))).toBe(expected);
          if (expected.startsWith("[")) hellos += 1;
        },
      ),
      { numRuns: 600 },
    );
    expect(hellos).toBeGreaterThan(50);
  });

  test("any bytes at all are read as the plain reader does", () => {
    let runs = 0;
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), fc.boolean(), (bytes, isRecord) => {
        const all = isRecord ? Uint8Array.from([22, 3, 1, 0, 100, 1, 0, 0, 96, ...bytes]) : bytes;
        const expected = naiveRead(all);
        expect(outcome(read(all))).toBe(expected);
        expect(outcome(read(all, 1))).toBe(expected);
        runs += 1;
      }),
      { numRuns: 300 },
    );
    expect(runs).toBeGreaterThanOrEqual(300);
  });
});

const OPENSSL_PATH = "/usr/bin/openssl";

describe("tlsAlert()", () => {
  test("is one fatal alert in one record", () => {
    const expected: [TlsAlert, number][] = [
      ["handshake_failure", 40],
      ["decode_error", 50],
      ["internal_error", 80],
      ["unrecognized_name", 112],
    ];
    expect(expected).toHaveLength(4);
    for (const [code, number] of expected) expect([...tlsAlert(code)]).toEqual([21, 3, 3, 0, 2, 2, number]);
  });

  const ANSWERS: [TlsAlert, string][] = [
    ["handshake_failure", "handshake failure"],
    ["unrecognized_name", "unrecognized name"],
  ];

  test.skipIf(!existsSync(OPENSSL_PATH))(
    "is understood by openssl, whatever version it asks for",
    async () => {
      let cases = 0;
      for (const [code, text] of ANSWERS) {
        for (const version of [[], ["-tls1_3"], ["-tls1_2"], ["-tls1", "-cipher", "ALL:@SECLEVEL=0"]]) {
          expect(await complaintOf(code, version)).toContain(text);
          cases += 1;
        }
      }
      expect(cases).toBe(8);
    },
  );

  /** What openssl says when the answer to its hello is this alert. */
  async function complaintOf(code: TlsAlert, version: readonly string[]): Promise<string> {
    const server = net.createServer((socket) => {
      const reader = new ClientHelloReader();
      socket.on("error", () => {}).on("data", (chunk: Buffer) => {
        if (reader.push(chunk).kind === "hello") socket.end(tlsAlert(code));
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    const args = ["s_client", "-connect", `127.0.0.1:${port}`, "-servername", "a.example", ...version];
    const child = spawn(OPENSSL_PATH, args, { stdio: ["ignore", "ignore", "pipe"] });
    let said = "";
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => said += chunk);
    await new Promise((resolve) => child.on("close", resolve));
    await new Promise((resolve) => server.close(resolve));
    return said;
  }
});
