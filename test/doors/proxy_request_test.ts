/**
 * Tests of what the agent's local proxy makes of a request: real ones of curl, git and wget, and those of an attacker.
 *
 * Every case is fed whole, cut at every position and byte by byte: the answer must be the same.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { CONNECT_ESTABLISHED, proxyAnswer } from "../../lib/doors/proxy_answer.ts";
import { PROXY_FIELDS_MAX } from "../../lib/doors/proxy_head.ts";
import {
  PROXY_HEAD_BYTES_MAX,
  PROXY_LINE_BYTES_MAX,
  type ProxyRead,
  ProxyRequestReader,
} from "../../lib/doors/proxy_request.ts";
import { REQUEST_TRAILER_BYTES_MAX, RequestEnd } from "../../lib/doors/request_end.ts";

/** Everything that was read, with what the host would get, so that cuts compare equal. */
interface Reading {
  kind: string;
  status?: number;
  detail?: string;
  host?: string;
  port?: number;
  /** Head and body for the host, or what the tunnel begins with. */
  sent?: string;
  framing?: string;
  done?: boolean;
  fault?: string | undefined;
}

function bytesOf(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, "latin1"));
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
}

/** Reads a request that comes in pieces. */
function read(pieces: readonly Uint8Array[]): Reading {
  const reader = new ProxyRequestReader();
  let settled: Exclude<ProxyRead, { kind: "more" }> | undefined;
  const reading: Reading = { kind: "more" };
  const body = (end: RequestEnd, chunk: Uint8Array): void => {
    if (reading.done || reading.fault !== undefined) return;
    const { bytes, done, fault } = end.push(chunk);
    if (bytes > chunk.length) throw new Error("More bytes belong to the request than there are");
    if (fault !== undefined && bytes > 0) throw new Error("Bytes of a refused chunk would go on");
    reading.sent += textOf(chunk.subarray(0, bytes));
    reading.done = done;
    reading.fault = fault;
  };
  for (const piece of pieces) {
    if (settled === undefined) {
      const now = reader.push(piece);
      if (now.kind === "more") continue;
      settled = now;
      reading.kind = now.kind;
      if (now.kind === "fault") {
        reading.status = now.status;
        reading.detail = now.detail;
        continue;
      }
      reading.host = now.host;
      reading.port = now.port;
      reading.sent = now.kind === "connect" ? textOf(now.rest) : textOf(now.head);
      if (now.kind === "forward") {
        reading.framing = now.end.framing.kind;
        reading.done = now.end.done;
        body(now.end, now.rest);
      }
    } else if (settled.kind === "connect") reading.sent += textOf(piece);
    else if (settled.kind === "forward") body(settled.end, piece);
  }
  return reading;
}

/** The same for every way to cut the text; of a refused body only so much that it is refused. */
function readAnyhow(text: string): Reading {
  const bytes = bytesOf(text);
  const whole = read([bytes]);
  const comparable = (reading: Reading): Reading => reading.fault ? { ...reading, sent: "" } : reading;
  for (let cut = 0; cut <= bytes.length; cut++) {
    const parts = read([bytes.subarray(0, cut), bytes.subarray(cut)]);
    expect([cut, comparable(parts)]).toEqual([cut, comparable(whole)]);
  }
  const single = read(Array.from(bytes, (_, at) => bytes.subarray(at, at + 1)));
  expect(comparable(single)).toEqual(comparable(whole));
  return whole;
}

const BASIC = "Proxy-Authorization: Basic dXNlcjpzZWNyZXQ=\r\n";
const CURL = "User-Agent: curl/7.88.1\r\nAccept: */*\r\nProxy-Connection: Keep-Alive\r\n";
const CURL_SENT = "User-Agent: curl/7.88.1\r\nAccept: */*\r\n";

/** As captured from the programs; the second text is what the host gets. */
const REAL:
  readonly (readonly [name: string, sent: string, host: string, port: number, forwarded: string])[] = [
    [
      "curl",
      `GET http://Example.test/a?b=c HTTP/1.1\r\nHost: Example.test\r\n${BASIC}${CURL}\r\n`,
      "example.test",
      80,
      `GET /a?b=c HTTP/1.1\r\nHost: example.test\r\n${CURL_SENT}Connection: close\r\n\r\n`,
    ],
    [
      "curl --data",
      `POST http://example.test:8080/form HTTP/1.1\r\nHost: example.test:8080\r\n${BASIC}${CURL}` +
      "Content-Length: 7\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\nx=1&y=2",
      "example.test",
      8080,
      `POST /form HTTP/1.1\r\nHost: example.test:8080\r\n${CURL_SENT}` +
      "Content-Length: 7\r\nContent-Type: application/x-www-form-urlencoded\r\nConnection: close\r\n\r\nx=1&y=2",
    ],
    [
      "curl --upload-file",
      `PUT http://example.test/up HTTP/1.1\r\nHost: example.test\r\n${BASIC}${CURL}` +
      "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
      "example.test",
      80,
      `PUT /up HTTP/1.1\r\nHost: example.test\r\n${CURL_SENT}` +
      "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    ],
    [
      "curl --http2",
      `GET http://example.test/ HTTP/1.1\r\nHost: example.test\r\n${BASIC}${CURL}` +
      "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n",
      "example.test",
      80,
      `GET / HTTP/1.1\r\nHost: example.test\r\n${CURL_SENT}Connection: close\r\n\r\n`,
    ],
    [
      "git",
      "GET http://example.test/r.git/info/refs?service=git-upload-pack HTTP/1.1\r\nHost: example.test\r\n" +
      "User-Agent: git/2.39.5\r\nAccept: */*\r\nAccept-Encoding: deflate, gzip, br, zstd\r\n" +
      "Proxy-Connection: Keep-Alive\r\nAccept-Language: C, *;q=0.9\r\nPragma: no-cache\r\n" +
      "Git-Protocol: version=2\r\n\r\n",
      "example.test",
      80,
      "GET /r.git/info/refs?service=git-upload-pack HTTP/1.1\r\nHost: example.test\r\n" +
      "User-Agent: git/2.39.5\r\nAccept: */*\r\nAccept-Encoding: deflate, gzip, br, zstd\r\n" +
      "Accept-Language: C, *;q=0.9\r\nPragma: no-cache\r\nGit-Protocol: version=2\r\nConnection: close\r\n\r\n",
    ],
    [
      "wget",
      "GET http://example.test/ HTTP/1.1\r\nHost: example.test\r\nUser-Agent: Wget/1.21.3\r\nAccept: */*\r\n" +
      `Accept-Encoding: identity\r\nConnection: Keep-Alive\r\nProxy-Connection: Keep-Alive\r\n${BASIC}\r\n`,
      "example.test",
      80,
      "GET / HTTP/1.1\r\nHost: example.test\r\nUser-Agent: Wget/1.21.3\r\nAccept: */*\r\n" +
      "Accept-Encoding: identity\r\nConnection: close\r\n\r\n",
    ],
  ];

describe("real programs", () => {
  for (const [name, text, host, port, forwarded] of REAL) {
    test(`${name} is rewritten, without what was meant for the proxy`, () => {
      const { kind, sent, done, ...rest } = readAnyhow(text);
      expect([kind, rest.host, rest.port, done, sent]).toEqual(["forward", host, port, true, forwarded]);
      expect(sent!.toLowerCase()).not.toContain("proxy-");
    });
  }
  test("all of them ran", () => expect(REAL).toHaveLength(6));

  test("curl's CONNECT begins a tunnel, and what follows is the tunnel's", () => {
    const head = `CONNECT example.test:443 HTTP/1.1\r\nHost: example.test:443\r\n${BASIC}` +
      "User-Agent: curl/7.88.1\r\nProxy-Connection: Keep-Alive\r\n\r\n";
    const hello = "\x16\x03\x01\x02\x00\x01\n\n\r\n\r\n";
    expect(readAnyhow(head + hello)).toEqual({
      kind: "connect",
      host: "example.test",
      port: 443,
      sent: hello,
    });
  });
});

/** Targets of CONNECT and the host and port they name; undefined for one that is refused. */
const AUTHORITIES: readonly (readonly [string, readonly [string, number] | undefined])[] = [
  ["Example.TEST:443", ["example.test", 443]],
  ["example.test.:443", ["example.test", 443]],
  ["db.netwall.internal:5432", ["db.netwall.internal", 5432]],
  ["10.0.0.1:1", ["10.0.0.1", 1]],
  ["[2001:DB8::1]:65535", ["2001:db8::1", 65535]],
  ["[::ffff:127.0.0.1]:80", ["::ffff:127.0.0.1", 80]],
  ["_x.a-b.test:00080", ["_x.a-b.test", 80]],
  // Nothing is resolved or refused here that a resolver would take for an address: that is the gateway's to do.
  ["127.1:80", ["127.1", 80]],
  ["0x7f000001:80", ["0x7f000001", 80]],
  ["2130706433:80", ["2130706433", 80]],
  ["example.test", undefined],
  ["example.test:", undefined],
  ["example.test:0", undefined],
  ["example.test:65536", undefined],
  ["example.test:+80", undefined],
  ["example.test:8 0", undefined],
  ["example.test:0x50", undefined],
  ["example.test:80:80", undefined],
  [":443", undefined],
  [".:443", undefined],
  ["a..b:443", undefined],
  ["example.test..:443", undefined],
  ["user@example.test:443", undefined],
  ["user:pw@example.test:443", undefined],
  ["example.test:443@evil.test:443", undefined],
  ["http://example.test:443", undefined],
  ["example.test:443/", undefined],
  ["example.test:443?x", undefined],
  ["example.test\\evil:443", undefined],
  ["ex%61mple.test:443", undefined],
  ["example.test%00:443", undefined],
  ["b\xfccher.test:443", undefined],
  ["2001:db8::1:443", undefined],
  ["[2001:db8::1]", undefined],
  ["[2001:db8::1]443", undefined],
  ["[2001:db8::1:443", undefined],
  ["[fe80::1%25eth0]:443", undefined],
  ["[fe80::1%eth0]:443", undefined],
  ["[v1.x]:443", undefined],
  ["[127.0.0.1]:443", undefined],
  ["[]:443", undefined],
  ["[::1]]:443", undefined],
  [`${"a".repeat(63)}.test:443`, [`${"a".repeat(63)}.test`, 443]],
  [`${"a".repeat(64)}.test:443`, undefined],
  [`${"a.".repeat(126)}a:443`, [`${"a.".repeat(126)}a`, 443]],
  [`${"a.".repeat(127)}a:443`, undefined],
  ["*", undefined],
  ["/", undefined],
];

describe("the host and the port", () => {
  for (const [target, expected] of AUTHORITIES) {
    test(`CONNECT ${target.slice(0, 40)} is ${expected ? "taken" : "refused"}`, () => {
      const reading = readAnyhow(`CONNECT ${target} HTTP/1.1\r\n\r\n`);
      if (expected === undefined) expect([reading.kind, reading.status]).toEqual(["fault", 400]);
      else expect([reading.kind, reading.host, reading.port]).toEqual(["connect", ...expected]);
      // The same text in an address, where the port may be left out.
      const { kind, host, port } = readAnyhow(`GET http://${target}/ HTTP/1.1\r\nHost: x\r\n\r\n`);
      const optional: Record<string, readonly [string, number]> = {
        "example.test": ["example.test", 80],
        "example.test:": ["example.test", 80],
        "[2001:db8::1]": ["2001:db8::1", 80],
        "example.test:443/": ["example.test", 443],
        "example.test:443?x": ["example.test", 443],
        // An empty port behind the host "http", and a path of two slashes.
        "http://example.test:443": ["http", 80],
      };
      const here = expected ?? optional[target];
      expect([kind, host, port]).toEqual(here ? ["forward", ...here] : ["fault", undefined, undefined]);
    });
  }
  test("all of them ran", () => expect(AUTHORITIES.length).toBe(48));
});

const H = "Host: h.test\r\n";

/** What is sent on, without the fields that every request has. */
function firstLine(text: string): string {
  const { kind, sent, detail } = readAnyhow(text);
  expect([kind, detail]).toEqual(["forward", undefined]);
  return sent!.slice(0, sent!.indexOf("\r\n"));
}

describe("the request target", () => {
  test.each([
    ["GET http://h.test", "GET / "],
    ["GET HTTP://h.test/", "GET / "],
    ["GET http://h.test?a=b", "GET /?a=b "],
    ["GET http://h.test//x//y?z", "GET //x//y?z "],
    ["GET http://h.test/a/../b/%2e%2e/%zz", "GET /a/../b/%2e%2e/%zz "],
    ["GET http://h.test/@x:y", "GET /@x:y "],
    ["GET http://h.test/http://other.test/", "GET /http://other.test/ "],
    ["GET http://h.test/\xe4", "GET /\xe4 "],
    ["OPTIONS http://h.test", "OPTIONS * "],
    ["OPTIONS http://h.test/", "OPTIONS / "],
    ["M-SEARCH http://h.test/", "M-SEARCH / "],
  ])("%s goes on as %s", (line, expected) => {
    expect(firstLine(`${line} HTTP/1.1\r\n${H}\r\n`)).toBe(`${expected}HTTP/1.1`);
  });

  test("Host is set from the address, whatever the program wrote there", () => {
    const { host, sent } = readAnyhow("GET http://[::1]:8080/ HTTP/1.1\r\nA: 1\r\nhOsT: other.test\r\n\r\n");
    expect(host).toBe("::1");
    expect(sent).toBe("GET / HTTP/1.1\r\nHost: [::1]:8080\r\nA: 1\r\nConnection: close\r\n\r\n");
  });

  test("an old program is served in its own version, without Host", () => {
    const { sent } = readAnyhow("GET http://h.test/ HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    expect(sent).toBe("GET / HTTP/1.0\r\nHost: h.test\r\nConnection: close\r\n\r\n");
    expect(readAnyhow("CONNECT h.test:1 HTTP/1.0\r\n\r\n").kind).toBe("connect");
  });
});

const GET = `GET http://h.test/ HTTP/1.1\r\n${H}`;
const POST = `POST http://h.test/ HTTP/1.1\r\n${H}`;

/** Requests that are answered here: name, text, status, part of the detail. */
const REFUSED: readonly (readonly [string, string, number, string])[] = [
  ["origin-form", "GET / HTTP/1.1\r\nHost: h\r\n\r\n", 400, "http_proxy"],
  ["an https address", `GET https://h.test/ HTTP/1.1\r\n${H}\r\n`, 400, "CONNECT"],
  ["another scheme", `GET ftp://h.test/ HTTP/1.1\r\n${H}\r\n`, 400, "http://"],
  ["a socket's scheme", `GET ws://h.test/ HTTP/1.1\r\n${H}\r\n`, 400, "http://"],
  ["authority-form without CONNECT", `GET h.test:80 HTTP/1.1\r\n${H}\r\n`, 400, "http_proxy"],
  ["user info", `GET http://u:secret-word@h.test/ HTTP/1.1\r\n${H}\r\n`, 400, "password"],
  ["an empty host", `GET http:///x HTTP/1.1\r\n${H}\r\n`, 400, "host"],
  ["a backslash in the host", `GET http://h.test\\@evil.test/ HTTP/1.1\r\n${H}\r\n`, 400, ""],
  ["a fragment", `GET http://h.test/#x HTTP/1.1\r\n${H}\r\n`, 400, "fragment"],
  ["asterisk-form", `OPTIONS * HTTP/1.1\r\n${H}\r\n`, 405, "proxy"],
  ["TRACE", `TRACE http://h.test/ HTTP/1.1\r\n${H}\r\n`, 405, "TRACE"],
  ["Max-Forwards", `OPTIONS http://h.test/ HTTP/1.1\r\n${H}Max-Forwards: 0\r\n\r\n`, 405, "Max-Forwards"],
  ["no Host", "GET http://h.test/ HTTP/1.1\r\n\r\n", 400, "Host"],
  ["two Hosts", `${GET}Host: h.test\r\n\r\n`, 400, "Host"],
  ["two Hosts on CONNECT", `CONNECT h.test:1 HTTP/1.1\r\n${H}${H}\r\n`, 400, "Host"],
  ["a bad Host", "GET http://h.test/ HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "Host"],
  ["two Hosts, one in disguise", `${GET}H\u00f6st: x\r\n\r\n`, 400, "line"],
  ["HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "HTTP/1.1"],
  ["HTTP/1.2", `GET http://h.test/ HTTP/1.2\r\n${H}\r\n`, 505, "HTTP/1.1"],
  ["HTTP/0.9", "GET http://h.test/\r\n\r\n", 400, "request line"],
  ["a lower-case version", `GET http://h.test/ http/1.1\r\n${H}\r\n`, 400, "request line"],
  ["two spaces", `GET  http://h.test/ HTTP/1.1\r\n${H}\r\n`, 400, "request line"],
  ["a space in the target", `GET http://h.test/a b HTTP/1.1\r\n${H}\r\n`, 400, "request line"],
  ["a tab in the line", `GET\thttp://h.test/ HTTP/1.1\r\n${H}\r\n`, 400, "request line"],
  ["NUL in the target", `GET http://h.test/\0 HTTP/1.1\r\n${H}\r\n`, 400, "request line"],
  ["a lone CR in the line", `GET http://h.test/\rx HTTP/1.1\r\n${H}\r\n`, 400, "request line"],
  ["a method that is no token", `G@T http://h.test/ HTTP/1.1\r\n${H}\r\n`, 400, "request line"],
  ["an empty line first", `\r\n${GET}\r\n`, 400, "no HTTP"],
  ["lone LF", "GET http://h.test/ HTTP/1.1\nHost: h.test\n\n", 400, "LF"],
  ["lone LF in a field", `${GET}A: b\nC: d\r\n\r\n`, 400, "LF"],
  ["lone CR in a field", `${GET}A: b\rC: d\r\n\r\n`, 400, "lone CR"],
  ["NUL in a field", `${GET}A: b\0\r\n\r\n`, 400, "control"],
  ["a folded field", `${GET}A: b\r\n c\r\n\r\n`, 400, "folded"],
  ["a folded first line", `GET http://h.test/ HTTP/1.1\r\n Host: h.test\r\n\r\n`, 400, "folded"],
  ["space before the colon", `${GET}A : b\r\n\r\n`, 400, "colon"],
  ["no colon", `${GET}A\r\n\r\n`, 400, "colon"],
  ["no name", `${GET}: b\r\n\r\n`, 400, "colon"],
  ["TLS", "\x16\x03\x01\x02\x00\x01", 400, "http://"],
  ["SOCKS 5", "\x05\x01\x00", 400, "SOCKS"],
  ["SOCKS 4", "\x04\x01\x00", 400, "SOCKS"],
  ["noise", "\x80\xff", 400, "no HTTP"],
  ["both framings", `${POST}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n`, 400, "both"],
  ["two lengths", `${POST}Content-Length: 3\r\nContent-Length: 4\r\n\r\n`, 400, "Content-Length"],
  ["two equal lengths", `${POST}Content-Length: 3\r\nContent-Length: 3\r\n\r\n`, 400, "Content-Length"],
  ["a list of lengths", `${POST}Content-Length: 3, 3\r\n\r\n`, 400, "Content-Length"],
  ["a signed length", `${POST}Content-Length: +3\r\n\r\n`, 400, "Content-Length"],
  ["a negative length", `${POST}Content-Length: -1\r\n\r\n`, 400, "Content-Length"],
  ["a hexadecimal length", `${POST}Content-Length: 0x3\r\n\r\n`, 400, "Content-Length"],
  ["an empty length", `${POST}Content-Length:\r\n\r\n`, 400, "Content-Length"],
  ["a huge length", `${POST}Content-Length: 99999999999999999\r\n\r\n`, 400, "Content-Length"],
  ["a length in disguise", `${POST}Content_Length: 3\r\n\r\n`, 400, "underscore"],
  ["a coding in disguise", `${POST}Transfer_Encoding: chunked\r\n\r\n`, 400, "underscore"],
  ["a coding that is not chunked", `${POST}Transfer-Encoding: gzip\r\n\r\n`, 400, "coding"],
  ["a coding before chunked", `${POST}Transfer-Encoding: gzip, chunked\r\n\r\n`, 501, "coding"],
  ["chunked twice", `${POST}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n`, 400, "coding"],
  ["chunked not last", `${POST}Transfer-Encoding: chunked, gzip\r\n\r\n`, 400, "coding"],
  ["chunked with a vertical tab", `${POST}Transfer-Encoding: \x0bchunked\r\n\r\n`, 400, "control"],
  ["xchunked", `${POST}Transfer-Encoding: xchunked\r\n\r\n`, 400, "coding"],
  [
    "chunks from an old program",
    `POST http://h.test/ HTTP/1.0\r\n${H}Transfer-Encoding: chunked\r\n\r\n`,
    400,
    "1.0",
  ],
  ["CONNECT with a length", `CONNECT h.test:1 HTTP/1.1\r\n${H}Content-Length: 3\r\n\r\nabc`, 400, "body"],
  ["CONNECT with chunks", `CONNECT h.test:1 HTTP/1.1\r\n${H}Transfer-Encoding: chunked\r\n\r\n`, 400, "body"],
  ["too many fields", `${GET}${"A: b\r\n".repeat(PROXY_FIELDS_MAX)}\r\n`, 431, "fields"],
];

describe("what is refused", () => {
  for (const [name, text, status, detail] of REFUSED) {
    test(`${name} is answered with ${status}`, () => {
      const reading = readAnyhow(text);
      expect([reading.kind, reading.status]).toEqual(["fault", status]);
      expect(reading.detail).toContain(detail);
      expect(reading.detail).not.toContain("secret-word");
      expect(reading.detail).toMatch(/^[A-Z].*[^.]$/);
    });
  }
  test("all of them ran", () => expect(REFUSED.length).toBe(62));

  test("as many fields as are allowed pass", () => {
    const text = `${GET}${"A: b\r\n".repeat(PROXY_FIELDS_MAX - 1)}\r\n`;
    expect(read([bytesOf(text)]).kind).toBe("forward");
  });

  test("a head and a line of exactly the limit pass, one byte more does not", () => {
    const fill = (head: string, tail: string, length: number): Uint8Array[] => {
      const bytes = bytesOf(head + "x".repeat(length - head.length - tail.length) + tail);
      return [bytes.subarray(0, 1000), bytes.subarray(1000, length - 3), bytes.subarray(length - 3)];
    };
    const tail = `\r\n${H}\r\n`;
    const statusOf = (head: string, end: string, length: number): unknown => {
      const reading = read(fill(head, end, length));
      return reading.status ?? reading.kind;
    };
    const line = " HTTP/1.1\r\n".length;
    expect(statusOf(`${GET}A: `, "\r\n\r\n", PROXY_HEAD_BYTES_MAX)).toBe("forward");
    expect(statusOf(`${GET}A: `, "\r\n\r\n", PROXY_HEAD_BYTES_MAX + 1)).toBe(431);
    const target = PROXY_LINE_BYTES_MAX - line;
    const long = (length: number): unknown =>
      statusOf("GET http://h.test/", ` HTTP/1.1${tail}`, length + tail.length - 2 + line);
    expect(long(target)).toBe("forward");
    expect(long(target + 1)).toBe(414);
  });

  test("a flood without an end is refused at the limit, however it comes", () => {
    for (const [first, status] of [["GET http://h.test/", 414], [`${GET}A: `, 431]] as const) {
      const reader = new ProxyRequestReader();
      let result: ProxyRead = reader.push(bytesOf(first));
      let pushed = first.length;
      while (result.kind === "more" && pushed < 2 * PROXY_HEAD_BYTES_MAX) {
        result = reader.push(bytesOf("x".repeat(37)));
        pushed += 37;
      }
      expect([result.kind, result.kind === "fault" && result.status]).toEqual(["fault", status]);
      expect(pushed).toBeLessThan(PROXY_HEAD_BYTES_MAX + 64);
    }
  });
});

describe("fields that end here", () => {
  /** Fields as the host gets them, without Host and Connection. */
  function fieldsAfter(fields: string): string {
    const { sent } = readAnyhow(`GET http://h.test/ HTTP/1.1\r\nHost: h.test\r\n${fields}\r\n`);
    const match = /^GET \/ HTTP\/1\.1\r\nHost: h\.test\r\n([\s\S]*)Connection: close\r\n\r\n$/.exec(sent!);
    return match?.[1] ?? `not as expected: ${sent}`;
  }

  test.each([
    ["Proxy-Authorization: Basic eDp5\r\n", ""],
    ["PROXY-AUTHORIZATION: Basic eDp5\r\nproxy-authorization: x\r\n", ""],
    ["Proxy_Authorization: Basic eDp5\r\n", ""],
    ["Proxy-Anything: x\r\nProxy: http://evil.test\r\n", ""],
    ["Keep-Alive: 5\r\nTE: trailers, deflate\r\n", ""],
    ["Upgrade: websocket\r\n", ""],
    ["Connection: close, X-Secret\r\nX-Secret: 1\r\nX-Other: 2\r\n", "X-Other: 2\r\n"],
    ["X-A: 1\r\nConnection: x-a\r\nConnection: x-b\r\nX-B: 2\r\n", ""],
    ["Connection: Host, Authorization, Cookie\r\nAuthorization: a\r\n", "Authorization: a\r\n"],
    ["Connection: content-length\r\nContent-Length: 0\r\n", "Content-Length: 0\r\n"],
    ["Authorization: Bearer x\r\nCookie: a=b\r\n", "Authorization: Bearer x\r\nCookie: a=b\r\n"],
    ["Set: a\r\nsET: b\r\nSet: \r\n", "Set: a\r\nsET: b\r\nSet: \r\n"],
    ["X-Proxy-Hint: 1\r\nProxyish: 2\r\n", "X-Proxy-Hint: 1\r\nProxyish: 2\r\n"],
    ["A: \t b \xe4 \t\r\n", "A: b \xe4\r\n"],
  ])("%j becomes %j", (fields, expected) => {
    expect(fieldsAfter(fields)).toBe(expected);
  });

  test("a length that Connection names still frames the body", () => {
    const text =
      `${POST}Connection: content-length\r\nContent-Length: 3\r\n\r\nabcGET http://evil.test/ HTTP/1.1`;
    const { sent, done } = readAnyhow(text);
    expect([done, sent!.slice(sent!.indexOf("\r\n\r\n") + 4)]).toEqual([true, "abc"]);
  });
});

describe("upgrades", () => {
  test("an upgrade keeps its fields, and the connection is its own from then on", () => {
    const text =
      `${GET}Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n`;
    const { sent, framing, done } = readAnyhow(`${text}\x81\x05hello`);
    expect([framing, done]).toEqual(["upgrade", false]);
    expect(sent).toBe(
      "GET / HTTP/1.1\r\nHost: h.test\r\nSec-WebSocket-Key: x\r\nConnection: Upgrade, close\r\n" +
        "Upgrade: websocket\r\n\r\n\x81\x05hello",
    );
  });

  test("h2c is left out of the offer", () => {
    const { sent } = readAnyhow(`${GET}Connection: upgrade\r\nUpgrade: h2c, foo/2\r\nUpgrade: H2C\r\n\r\n`);
    expect(sent).toContain("Upgrade: foo/2\r\n");
    expect(sent!.toLowerCase()).not.toContain("h2c");
  });

  test("an old program cannot upgrade", () => {
    const text = `GET http://h.test/ HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n`;
    expect(readAnyhow(text)).toMatchObject({ framing: "none", done: true });
  });
});

/** Bodies with a pipelined request for another host behind them. */
const NEXT = `GET http://evil.test/ HTTP/1.1\r\nHost: evil.test\r\n\r\n`;
const BODIES: readonly (readonly [string, string, string])[] = [
  ["no body", "", ""],
  ["an empty body", "Content-Length: 0\r\n", ""],
  ["a length", "Content-Length: 5\r\n", "ab\r\nc"],
  ["chunks", "Transfer-Encoding: chunked\r\n", "3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n"],
  ["chunks in another case", "Transfer-Encoding: CHUNKED\r\n", "0\r\n\r\n"],
  ["chunks with extensions", "Transfer-Encoding: chunked\r\n", "3;a=b\r\nabc\r\n00;x\r\n\r\n"],
  ["chunks with trailers", "Transfer-Encoding: chunked\r\n", "1\r\na\r\n0\r\nX-Sum: 1\r\nY: 2\r\n\r\n"],
  ["a chunk that looks like an end", "Transfer-Encoding: chunked\r\n", "5\r\n0\r\n\r\n\r\n0\r\n\r\n"],
];

describe("the end of a request", () => {
  for (const [name, fields, body] of BODIES) {
    test(`${name}: what is pipelined behind it does not go on`, () => {
      const { sent, done } = readAnyhow(`${POST}${fields}\r\n${body}${NEXT}`);
      expect(done).toBe(true);
      expect(sent!.slice(sent!.indexOf("\r\n\r\n") + 4)).toBe(body);
      expect(sent).not.toContain("evil");
    });
  }
  test("all of them ran", () => expect(BODIES.length).toBe(8));

  test("a request that is not whole is not done", () => {
    const shorter = ["Content-Length: 5\r\n\r\nabcd", "Transfer-Encoding: chunked\r\n\r\n0\r\n"];
    for (const text of shorter) expect(readAnyhow(POST + text)).toMatchObject({ done: false });
  });

  test.each([
    ["a size that is no number", "g\r\n"],
    ["an empty size", "\r\n"],
    ["a negative size", "-1\r\n"],
    ["a prefix", "0x3\r\nabc\r\n"],
    ["a lone LF behind the size", "3\nabc\r\n"],
    ["more data than its size", "3\r\nabcd\r\n0\r\n\r\n"],
    ["a lone LF behind the data", "3\r\nabc\n0\r\n\r\n"],
    ["a lone LF in the trailers", "0\r\nA: b\n\r\n"],
    ["a trailer without a colon", "0\r\nA b\r\n\r\n"],
    ["a size over 2^53", "ffffffffffffffff\r\n"],
    ["an endless extension", `3;${"x".repeat(2000)}\r\n`],
  ])("a chunk with %s is refused", (_name, body) => {
    expect(read([bytesOf(`${POST}Transfer-Encoding: chunked\r\n\r\n`), bytesOf(body)]).fault).toBeDefined();
    expect(readAnyhow(`${POST}Transfer-Encoding: chunked\r\n\r\n${body.slice(0, 60)}`).kind).toBe("forward");
  });

  test("trailers are bounded, and nothing goes on after a fault", () => {
    const end = new RequestEnd({ kind: "chunked" });
    expect(end.push(bytesOf("0\r\n"))).toEqual({ bytes: 3, done: false });
    const part = end.push(bytesOf(`A: ${"x".repeat(REQUEST_TRAILER_BYTES_MAX)}`));
    expect([part.bytes, part.done, part.fault !== undefined]).toEqual([0, false, true]);
    expect(end.push(bytesOf("\r\n\r\n")).bytes).toBe(0);
  });

  test("a length of gigabytes is counted, not kept", () => {
    const end = new RequestEnd({ kind: "length", bytes: 2 ** 40 + 1 });
    const chunk = new Uint8Array(1 << 20);
    for (let sent = 0; sent < 1 << 20; sent++) end.push(chunk);
    expect(end.push(chunk)).toEqual({ bytes: 1, done: true });
    expect(end.push(chunk)).toEqual({ bytes: 0, done: true });
  });
});

describe("whatever comes", () => {
  const piece = fc.constantFrom(
    ...["GET ", "CONNECT ", "POST ", "http://", "h.test", "/", ":80", "@", "[::1]", " HTTP/1.1", " HTTP/1.0"],
    ...["\r\n", "\r\n\r\n", "\n", "\r", " ", "\t", "\0", "\xff", ":", ";", ",", "Host: h\r\n", "0\r\n\r\n"],
    ...[
      "Content-Length: 3\r\n",
      "Transfer-Encoding: chunked\r\n",
      "Connection: upgrade\r\n",
      "Upgrade: w\r\n",
    ],
    ...["Proxy-Authorization: topsecret\r\n", "3\r\nabc\r\n", "abc", "x: y\r\n"],
  );
  const text = fc.oneof(
    fc.array(piece, { maxLength: 14 }).map((parts) => parts.join("")),
    fc.array(piece, { maxLength: 8 }).map((parts) => GET + parts.join("")),
    fc.array(piece, { maxLength: 8 }).map((parts) => `CONNECT h.test:1 HTTP/1.1\r\n${parts.join("")}`),
    fc.uint8Array({ maxLength: 80 }).map(textOf),
  );

  test("it never throws, reads every cut alike, and keeps the proxy's secrets", () => {
    let runs = 0;
    fc.assert(
      fc.property(text, fc.array(fc.nat(200), { maxLength: 6 }), (written, cuts) => {
        runs++;
        const bytes = bytesOf(written);
        const whole = read([bytes]);
        const at = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
        const parts = [0, ...at].map((from, index) => bytes.subarray(from, at[index] ?? bytes.length));
        const cut = read(parts);
        const comparable = (reading: Reading): Reading => reading.fault ? { ...reading, sent: "" } : reading;
        expect(comparable(cut)).toEqual(comparable(whole));
        if (whole.kind !== "forward") return;
        const head = whole.sent!.slice(0, whole.sent!.indexOf("\r\n\r\n"));
        // With letters in front it is the name of another field, and goes on like any.
        expect(head).not.toMatch(/^proxy-authorization/im);
        expect(head.match(/^host:/gim)).toHaveLength(1);
        expect(head.match(/^connection:.*close$/gim)).toHaveLength(1);
        expect(head).toMatch(/^\S+ (?:\/\S*|\*) HTTP\/1\.[01]\r\nHost: \S+\r\n/);
        expect(/[^\t\x20-\x7e\x80-\xff]/.test(head.replaceAll("\r\n", ""))).toBe(false);
      }),
      { numRuns: 3000 },
    );
    expect(runs).toBeGreaterThanOrEqual(3000);
  });
});

describe("answers of the proxy", () => {
  test("proxyAnswer() writes a whole answer that closes the connection", () => {
    const answer = textOf(
      proxyAnswer(403, "No rule allows this\r\nX: y", ["Retry-After", "5"], "http_request_denied"),
    );
    const body = "netwall: No rule allows this\\r\\nX: y\n";
    expect(answer).toBe(
      "HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain; charset=utf-8\r\n" +
        `Content-Length: ${body.length}\r\nCache-Control: no-store\r\nConnection: close\r\n` +
        `Proxy-Status: netwall; error=http_request_denied\r\nRetry-After: 5\r\n\r\n${body}`,
    );
  });

  test("proxyAnswer() counts bytes, names the methods in a 405, and takes no bad field", () => {
    expect(textOf(proxyAnswer(400, "ü"))).toContain("Content-Length: 12\r\n");
    expect(textOf(proxyAnswer(405, "No"))).toContain("\r\nAllow: GET, ");
    expect(() => proxyAnswer(400, "x", ["A", "b\r\nC: d"])).toThrow("valid");
  });

  test("CONNECT_ESTABLISHED has no body and no framing", () => {
    expect(textOf(CONNECT_ESTABLISHED)).toMatch(/^HTTP\/1\.1 200 [^\r\n]+\r\n\r\n$/);
  });

  test("a request is read once", () => {
    const reader = new ProxyRequestReader();
    expect(reader.push(bytesOf(`${GET}\r\n`)).kind).toBe("forward");
    expect(() => reader.push(bytesOf("x"))).toThrow("once");
  });
});
