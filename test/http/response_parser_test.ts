/**
 * Tests of the response parser: a table of messages, each fed whole, byte by byte and at random splits.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import {
  INFORMATIONAL_MAX,
  type ResponseError,
  ResponseParser,
  type ResponseSink,
} from "../../lib/http/response_parser.ts";
import type { ResponseHead } from "../../lib/wire/head.ts";

/** Everything that a parser told, with body pieces joined so that splits compare equal. */
interface Reading {
  informational: number[];
  head: ResponseHead | undefined;
  body: string;
  ends: number;
  trailers: string[];
  upgraded: boolean;
  error: string | undefined;
  keepAlive: boolean;
}

class Recorder implements ResponseSink {
  informational: number[] = [];
  head: ResponseHead | undefined;
  body = "";
  ends = 0;
  trailers: string[] = [];
  upgraded = false;
  error: ResponseError | undefined;
  completes = 0;
  calls: string[] = [];

  onInformational(head: ResponseHead): void {
    this.informational.push(head.status);
  }
  onHead(head: ResponseHead, body: Uint8Array | undefined, complete: boolean): void {
    this.calls.push("head");
    this.head = head;
    this.#add(body);
    if (complete) this.completes++;
  }
  onUpgrade(head: ResponseHead, rest: Uint8Array | undefined): void {
    this.upgraded = true;
    this.head = head;
    this.#add(rest);
  }
  onBody(chunk: Uint8Array, complete: boolean): void {
    this.calls.push("body");
    if (chunk.length === 0) throw new Error("A body chunk is empty");
    if (this.completes > 0) throw new Error("A body chunk came after the last one");
    this.#add(chunk);
    if (complete) this.completes++;
  }
  onEnd(trailers: string[]): void {
    this.calls.push("end");
    this.ends++;
    this.trailers = trailers;
  }
  onError(error: ResponseError): void {
    if (this.error !== undefined) throw new Error("A second error came");
    this.error = error;
  }
  #add(chunk: Uint8Array | undefined): void {
    if (this.error !== undefined || this.ends > 0) throw new Error("Body bytes came after the end");
    if (chunk !== undefined) this.body += Buffer.from(chunk).toString("latin1");
  }
}

interface ReadOptions {
  method?: string;
  upgrade?: boolean;
  eof?: boolean;
}

/** Parses a message that comes in the given pieces. */
function read(pieces: Uint8Array[], options: ReadOptions = {}): Reading {
  const recorder = new Recorder();
  const parser = new ResponseParser(recorder);
  parser.begin(options.method ?? "GET", options.upgrade ?? false);
  for (const piece of pieces) parser.push(piece);
  if (options.eof) parser.eof();
  const { informational, head, body, ends, trailers, upgraded, error } = recorder;
  return {
    informational,
    head,
    body,
    ends,
    trailers,
    upgraded,
    error: error?.code,
    keepAlive: parser.keepAlive,
  };
}

function bytesOf(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, "latin1"));
}

function splitAt(bytes: Uint8Array, cuts: number[]): Uint8Array[] {
  const sorted = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  const pieces: Uint8Array[] = [];
  let from = 0;
  for (const cut of [...sorted, bytes.length]) {
    pieces.push(bytes.subarray(from, cut));
    from = cut;
  }
  return pieces;
}

const OK = "HTTP/1.1 200 OK\r\n";
const CHUNKED = OK + "Transfer-Encoding: chunked\r\n\r\n";

/** Messages that are whole: name, text, what is read (besides the default), options. */
const GOOD: [string, string, Partial<Reading>, ReadOptions?][] = [
  ["a body of a declared length", OK + "Content-Length: 5\r\n\r\nhello", { body: "hello" }],
  ["an empty body", OK + "Content-Length: 0\r\n\r\n", {}],
  ["equal lengths in two fields", OK + "Content-Length: 5\r\ncontent-length: 5\r\n\r\nhello", {
    body: "hello",
  }],
  ["equal lengths in one field", OK + "Content-Length: 5, 5\r\n\r\nhello", { body: "hello" }],
  ["a chunked body", CHUNKED + "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", { body: "hello world" }],
  ["a chunked body in capitals", OK + "TRANSFER-ENCODING: Chunked\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n", {
    body: "0123456789",
  }],
  ["chunk extensions", CHUNKED + '5;a=b;c="d"\r\nhello\r\n0 ; x\r\n\r\n', { body: "hello" }],
  ["a chunk size with zeros in front", CHUNKED + "0005\r\nhello\r\n000\r\n\r\n", { body: "hello" }],
  ["a padded chunk size", CHUNKED + "5  \r\nhello\r\n0\r\n\r\n", { body: "hello" }],
  ["an empty chunked body", CHUNKED + "0\r\n\r\n", {}],
  ["trailers", CHUNKED + "1\r\nx\r\n0\r\nX-A: 1\r\nX-A:  2 \r\n\r\n", {
    body: "x",
    trailers: ["X-A", "1", "X-A", "2"],
  }],
  ["a HEAD answer with a length", OK + "Content-Length: 5\r\n\r\n", {}, { method: "HEAD" }],
  ["a HEAD answer that says chunked", CHUNKED, {}, { method: "HEAD" }],
  ["a 204", "HTTP/1.1 204 No Content\r\n\r\n", {}],
  ["a 304 with a length", "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", {}],
  ["no reason", "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", {}],
  ["no reason and no space", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", {}],
  ["an odd status", "HTTP/1.1 799 \xe9t\xe9\r\nContent-Length: 0\r\n\r\n", {}],
  [
    "interim answers",
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK +
    "Content-Length: 1\r\n\r\nx",
    { informational: [100, 103], body: "x" },
  ],
  ["a close", OK + "Connection: foo, Close\r\nContent-Length: 1\r\n\r\nx", { body: "x", keepAlive: false }],
  ["HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", { body: "x", keepAlive: false }],
  ["HTTP/1.0 with keep-alive", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx", {
    body: "x",
  }],
  ["a body until the end", OK + "\r\nall of it", { body: "all of it", keepAlive: false }, { eof: true }],
  ["no body until the end", OK + "\r\n", { keepAlive: false }, { eof: true }],
  ["an obsolete folding", OK + "X-A: one\r\n  two\r\n\t\r\n three\r\nContent-Length: 0\r\n\r\n", {}],
  ["an empty value", OK + "X-A:\r\nX-B: \t \r\nContent-Length: 0\r\n\r\n", {}],
  ["a head near the limit", OK + `X-A: ${"a".repeat(60_000)}\r\nContent-Length: 1\r\n\r\nx`, { body: "x" }],
  ["512 fields", OK + "A: b\r\n".repeat(511) + "Content-Length: 1\r\n\r\nx", { body: "x" }],
];

/** Messages that must be refused: name, text, code, options. */
const BAD: [string, string, string, ReadOptions?][] = [
  ["another protocol", "SSH-2.0-OpenSSH_9.2\r\n", "bad_status_line"],
  ["HTTP/2.0", "HTTP/2.0 200 OK\r\n\r\n", "bad_status_line"],
  ["HTTP/1.2", "HTTP/1.2 200 OK\r\n\r\n", "bad_status_line"],
  ["a lower-case version", "http/1.1 200 OK\r\n\r\n", "bad_status_line"],
  ["an empty line first", "\r\nHTTP/1.1 200 OK\r\n\r\n", "bad_status_line"],
  ["a status of two digits", "HTTP/1.1 20 OK\r\n\r\n", "bad_status_line"],
  ["a status of four digits", "HTTP/1.1 2000 OK\r\n\r\n", "bad_status_line"],
  ["a status under 100", "HTTP/1.1 099 OK\r\n\r\n", "bad_status_line"],
  ["two spaces", "HTTP/1.1  200 OK\r\n\r\n", "bad_status_line"],
  ["a NUL in the reason", "HTTP/1.1 200 O\0K\r\n\r\n", "bad_status_line"],
  ["lines that end with LF", "HTTP/1.1 200 OK\nContent-Length: 0\n\n", "bad_line"],
  ["one line that ends with LF", OK + "X-A: b\nX-B: c\r\nContent-Length: 0\r\n\r\n", "bad_line"],
  ["a lone CR", OK + "X-A: b\rX-B: c\r\nContent-Length: 0\r\n\r\n", "bad_line"],
  ["a NUL", OK + "X-A: b\0c\r\n\r\n", "bad_line"],
  ["a DEL", OK + "X-A: b\x7fc\r\n\r\n", "bad_line"],
  ["a NUL in a folding", OK + "X-A: b\r\n \0\r\n\r\n", "bad_line"],
  ["a space before the colon", OK + "Content-Length : 5\r\n\r\nhello", "bad_line"],
  ["no colon", OK + "X-A\r\n\r\n", "bad_line"],
  ["a colon on the next line only", OK + "X-A\r\nB: c\r\n\r\n", "bad_line"],
  ["no name", OK + ": b\r\n\r\n", "bad_line"],
  ["a name that is no token", OK + "X(A): b\r\n\r\n", "bad_line"],
  ["a name beyond ASCII", OK + "X-\xe9: b\r\n\r\n", "bad_line"],
  ["a folding of nothing", OK + " X-A: b\r\n\r\n", "bad_line"],
  ["both framings", OK + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "bad_framing"],
  [
    "both framings the other way",
    OK + "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n",
    "bad_framing",
  ],
  ["lengths that differ", OK + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", "bad_framing"],
  ["lengths that differ in one field", OK + "Content-Length: 5, 6\r\n\r\nhello", "bad_framing"],
  ["lengths apart by a no-break space", OK + "Content-Length: 5,\xa05\r\n\r\nhello", "bad_framing"],
  ["a length with a sign", OK + "Content-Length: +5\r\n\r\nhello", "bad_framing"],
  ["a negative length", OK + "Content-Length: -5\r\n\r\nhello", "bad_framing"],
  ["a length in hexadecimal", OK + "Content-Length: 0x5\r\n\r\nhello", "bad_framing"],
  ["a fraction", OK + "Content-Length: 5.0\r\n\r\nhello", "bad_framing"],
  ["an empty length", OK + "Content-Length:\r\n\r\nhello", "bad_framing"],
  ["a length of 2^53", OK + "Content-Length: 9007199254740992\r\n\r\nhello", "bad_framing"],
  ["a length folded over two lines", OK + "Content-Length: 5\r\n 0\r\n\r\nhello", "bad_framing"],
  ["gzip as a transfer coding", OK + "Transfer-Encoding: gzip\r\n\r\n", "bad_framing"],
  ["gzip before chunked", OK + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "bad_framing"],
  [
    "chunked twice",
    OK + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "bad_framing",
  ],
  ["chunked in disguise", OK + "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", "bad_line"],
  ["xchunked", OK + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", "bad_framing"],
  ["an empty transfer coding", OK + "Transfer-Encoding:\r\n\r\n0\r\n\r\n", "bad_framing"],
  ["chunked in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "bad_framing"],
  ["a chunk size that is no number", CHUNKED + "x\r\n", "bad_chunk"],
  ["a negative chunk size", CHUNKED + "-1\r\nx\r\n", "bad_chunk"],
  ["a chunk size with 0x", CHUNKED + "0x5\r\nhello\r\n", "bad_chunk"],
  ["an empty chunk size", CHUNKED + "\r\nhello\r\n", "bad_chunk"],
  ["an extension without a size", CHUNKED + ";a=b\r\nhello\r\n", "bad_chunk"],
  ["a chunk size of 2^53", CHUNKED + "20000000000000\r\nx", "bad_chunk"],
  ["a chunk size of 2^64 + 5", CHUNKED + "10000000000000005\r\nhello\r\n0\r\n\r\n", "bad_chunk"],
  ["a chunk line that ends with LF", CHUNKED + "5\nhello\r\n0\r\n\r\n", "bad_chunk"],
  ["a chunk line with a lone CR", CHUNKED + "5\rhello\r\n0\r\n\r\n", "bad_chunk"],
  ["an extension with LF in it", CHUNKED + "5;a\n\r\nhello\r\n0\r\n\r\n", "bad_chunk"],
  ["chunk data that is too long", CHUNKED + "5\r\nhelloo\r\n0\r\n\r\n", "bad_chunk"],
  ["chunk data that ends with LF", CHUNKED + "5\r\nhello\n0\r\n\r\n", "bad_chunk"],
  ["an endless chunk extension", CHUNKED + "5;" + "a".repeat(2000), "bad_chunk"],
  ["an endless chunk size", CHUNKED + "0".repeat(2000), "bad_chunk"],
  ["a trailer line that ends with LF", CHUNKED + "0\r\nX-A: b\n\r\n", "bad_line"],
  ["a trailer without a colon", CHUNKED + "0\r\nX-A\r\n\r\n", "bad_line"],
  ["endless trailers", CHUNKED + "0\r\n" + "X-A: b\r\n".repeat(3000), "trailers_too_long"],
  ["an endless trailer", CHUNKED + "0\r\nX-A: " + "b".repeat(20_000), "trailers_too_long"],
  ["too many trailers", CHUNKED + "0\r\n" + "A: b\r\n".repeat(513) + "\r\n", "too_many_fields"],
  ["too many fields", OK + "A: b\r\n".repeat(513) + "\r\n", "too_many_fields"],
  ["an endless field", OK + "X-A: " + "a".repeat(70_000), "head_too_long"],
  ["a head over the limit", OK + `X-A: ${"a".repeat(66_000)}\r\n\r\n`, "head_too_long"],
  ["an endless status line", "HTTP/1.1 200 " + "a".repeat(70_000), "head_too_long"],
  [
    "endless interim answers",
    "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(INFORMATIONAL_MAX + 1),
    "too_many_informational",
  ],
  ["a 101 unasked", "HTTP/1.1 101 Switching Protocols\r\n\r\n", "unexpected_upgrade"],
  ["a tunnel unasked", "HTTP/1.1 200 OK\r\n\r\n", "unexpected_upgrade", { method: "CONNECT" }],
  ["an end before the head", "", "ended_before_head", { eof: true }],
  ["an end in the head", "HTTP/1.1 200 OK\r\nA:", "ended_before_head", { eof: true }],
  ["an end after an interim head", "HTTP/1.1 100 Continue\r\n\r\n", "ended_before_head", { eof: true }],
  ["an end in a declared body", OK + "Content-Length: 5\r\n\r\nhell", "ended_in_body", { eof: true }],
  ["an end in a chunk", CHUNKED + "5\r\nhell", "ended_in_body", { eof: true }],
  ["an end before the last chunk", CHUNKED + "5\r\nhello\r\n", "ended_in_body", { eof: true }],
  ["an end before the empty line of the trailers", CHUNKED + "0\r\n", "ended_in_body", { eof: true }],
];

describe("ResponseParser reads", () => {
  let cases = 0;
  for (const [name, text, wanted, options] of GOOD) {
    cases++;
    test(name, () => {
      const bytes = bytesOf(text);
      const whole = read([bytes], options);
      const base = { informational: [], body: "", ends: 1, trailers: [], upgraded: false, keepAlive: true };
      const { head, error, ...rest } = whole;
      expect(error).toBeUndefined();
      expect(head).toBeDefined();
      expect(rest).toEqual({ ...base, ...wanted });
      expect(read([...bytes].map((byte) => Uint8Array.of(byte)), options)).toEqual(whole);
      fc.assert(
        fc.property(fc.array(fc.nat({ max: 70_000 }), { maxLength: 12 }), (cuts) => {
          expect(read(splitAt(bytes, cuts), options)).toEqual(whole);
        }),
        { numRuns: 30 },
      );
    });
  }
  test("every case", () => expect(cases).toBe(28));
});

describe("ResponseParser refuses", () => {
  let cases = 0;
  for (const [name, text, code, options] of BAD) {
    cases++;
    test(name, () => {
      const bytes = bytesOf(text);
      const whole = read([bytes], options);
      expect(whole.error).toBe(code);
      expect(whole.ends).toBe(0);
      expect(whole.keepAlive).toBe(false);
      expect(read([...bytes].map((byte) => Uint8Array.of(byte)), options).error).toBe(code);
      fc.assert(
        fc.property(fc.array(fc.nat({ max: 70_000 }), { maxLength: 12 }), (cuts) => {
          const split = read(splitAt(bytes, cuts), options);
          expect({ error: split.error, body: split.body }).toEqual({ error: code, body: whole.body });
        }),
        { numRuns: 30 },
      );
    });
  }
  test("every case", () => expect(cases).toBe(75));
});

describe("ResponseParser", () => {
  test("keeps order, case and repetition of fields, and folds lines into one", () => {
    const { head } = read([bytesOf(
      "HTTP/1.1 200 Fine \xe9 day\r\nset-COOKIE:a=1\r\nX: \t y \t\r\nSet-Cookie: b=2\r\nF: a\r\n\t b\r\nContent-Length: 0\r\n\r\n",
    )]);
    expect(head).toEqual({
      status: 200,
      reason: "Fine \xe9 day",
      fields: ["set-COOKIE", "a=1", "X", "y", "Set-Cookie", "b=2", "F", "a b", "Content-Length", "0"],
    });
  });

  test("tells a small answer in one call, and its end", () => {
    const texts = [
      OK + "Content-Length: 5\r\n\r\nhello",
      CHUNKED + "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
      "HTTP/1.1 204 No Content\r\n\r\n",
    ];
    for (const text of texts) {
      const recorder = new Recorder();
      const parser = new ResponseParser(recorder);
      parser.begin("GET");
      parser.push(bytesOf(text));
      expect(recorder.calls).toEqual(["head", "end"]);
      expect(recorder.completes).toBe(1);
    }
  });

  test("does not call an answer complete that has trailers to come", () => {
    const recorder = new Recorder();
    const parser = new ResponseParser(recorder);
    parser.begin("GET");
    parser.push(bytesOf(CHUNKED + "1\r\nx\r\n0\r\nA: b\r\n\r\n"));
    expect(recorder.completes).toBe(0);
    expect(recorder.trailers).toEqual(["A", "b"]);
  });

  test("gives body bytes as views of what was pushed", () => {
    let body: Uint8Array | undefined;
    const recorder = new Recorder();
    const parser = new ResponseParser(Object.assign(recorder, {
      onHead(_head: ResponseHead, bytes: Uint8Array | undefined): void {
        body = bytes;
      },
    }));
    const bytes = bytesOf(OK + "Content-Length: 5\r\n\r\nhello");
    parser.begin("GET");
    parser.push(bytes);
    expect(body?.buffer === bytes.buffer).toBe(true);
  });

  test("passes raw bytes after an upgrade, both for 101 and for CONNECT", () => {
    const cases: [string, ReadOptions][] = [
      ["HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nraw\0bytes", { upgrade: true }],
      ["HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nraw\0bytes", { upgrade: true, method: "CONNECT" }],
    ];
    for (const [text, options] of cases) {
      const whole = read([bytesOf(text)], options);
      expect(whole).toMatchObject({ upgraded: true, body: "raw\0bytes", ends: 0, keepAlive: false });
      expect(whole.error).toBeUndefined();
      expect(read([...bytesOf(text)].map((byte) => Uint8Array.of(byte)), options)).toEqual(whole);
      expect(read([bytesOf(text)], { ...options, eof: true }).ends).toBe(1);
    }
  });

  test("does not trust what follows a whole message", () => {
    const whole = [
      OK + "Content-Length: 2\r\n\r\nok",
      CHUNKED + "2\r\nok\r\n0\r\n\r\n",
      "HTTP/1.1 204 No Content\r\n\r\n",
    ];
    for (const text of whole) {
      const recorder = new Recorder();
      const parser = new ResponseParser(recorder);
      parser.begin("GET");
      parser.push(bytesOf(text + OK + "Content-Length: 4\r\n\r\nevil"));
      expect(recorder.ends).toBe(1);
      expect(recorder.body).not.toContain("evil");
      expect(parser.keepAlive).toBe(false);
      const late = new Recorder();
      const lateParser = new ResponseParser(late);
      lateParser.begin("GET");
      lateParser.push(bytesOf(text));
      expect(lateParser.keepAlive).toBe(true);
      lateParser.push(bytesOf("H"));
      expect(late.error?.code).toBe("unexpected_bytes");
      expect(lateParser.keepAlive).toBe(false);
    }
  });

  test("may be armed again inside onEnd, with the rest of the push dropped", () => {
    const recorder = new Recorder();
    const parser = new ResponseParser(Object.assign(recorder, {
      onEnd(): void {
        recorder.ends++;
        parser.begin("GET");
      },
    }));
    parser.begin("GET");
    for (
      const text of [
        OK + "Content-Length: 2\r\n\r\nok",
        OK + "Content-Length: 0\r\n\r\n",
        CHUNKED + "0\r\n\r\n",
      ]
    ) {
      recorder.ends = 0;
      parser.push(bytesOf(text));
      expect(recorder.ends).toBe(1);
      expect(parser.state).toBe("head");
    }
    expect(recorder.error).toBeUndefined();
  });

  test("counts interim answers for each response afresh", () => {
    const recorder = new Recorder();
    const parser = new ResponseParser(recorder);
    const text = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(INFORMATIONAL_MAX) + OK +
      "Content-Length: 0\r\n\r\n";
    for (let round = 0; round < 3; round++) {
      recorder.ends = 0;
      parser.begin("GET");
      parser.push(bytesOf(text));
      expect(recorder.ends).toBe(1);
    }
    expect(recorder.informational.length).toBe(3 * INFORMATIONAL_MAX);
  });

  test("takes nothing more after an error, until it is armed", () => {
    const recorder = new Recorder();
    const parser = new ResponseParser(recorder);
    parser.begin("GET");
    parser.push(bytesOf("nonsense\r\n\r\n"));
    parser.push(bytesOf("more"));
    parser.eof();
    expect(recorder.error?.code).toBe("bad_status_line");
    expect(parser.state).toBe("failed");
  });

  test("honours smaller limits exactly", () => {
    const text = OK + "Content-Length: 0\r\n\r\n";
    for (
      const [headBytesMax, error] of [[text.length, undefined], [text.length - 1, "head_too_long"]] as const
    ) {
      const recorder = new Recorder();
      const parser = new ResponseParser(recorder, { headBytesMax });
      parser.begin("GET");
      parser.push(bytesOf(text));
      expect(recorder.error?.code).toBe(error);
    }
  });

  test("what follows a whole message keeps its connection from being used again, also when it comes later", () => {
    const message = bytesOf("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHTTP/1.1 200 OK");
    const whole = read([message], { eof: true });
    const split = read(splitAt(message, [43]), { eof: true });
    expect([whole.ends, whole.body, whole.keepAlive]).toEqual([1, "HTTP/", false]);
    expect([split.ends, split.body, split.keepAlive]).toEqual([1, "HTTP/", false]);
    expect([whole.error, split.error]).toEqual([undefined, "unexpected_bytes"]);
  });

  test("never throws on arbitrary bytes, and never ends twice", () => {
    let runs = 0;
    const token = fc.constantFrom(
      "HTTP/1.1 200 OK",
      "\r\n",
      "\n",
      "\r",
      "Content-Length: ",
      "Transfer-Encoding: chunked",
      "5",
      "0",
      ";",
      ":",
      " ",
      "\0",
      "hello",
      "HTTP/1.1 101 X",
      "HTTP/1.1 100 X",
    );
    fc.assert(
      fc.property(
        fc.array(token, { maxLength: 30 }),
        fc.array(fc.nat({ max: 300 }), { maxLength: 6 }),
        (parts, cuts) => {
          runs++;
          const bytes = bytesOf("HTTP/1.1 200 OK\r\n" + parts.join(""));
          const whole = read([bytes], { eof: true });
          const split = read(splitAt(bytes, cuts), { eof: true });
          expect(whole.ends).toBeLessThanOrEqual(1);
          // Two faults in one message may be met in another order; whether it is taken, and as what, may not differ.
          // What follows a whole message is known at its end only when it came along; later, it is a fault of its own.
          const isLate = split.error === "unexpected_bytes" && whole.ends === 1 && !whole.keepAlive;
          expect({ ...split, error: split.error !== undefined && !isLate }).toEqual({
            ...whole,
            error: whole.error !== undefined,
          });
        },
      ),
      { numRuns: 500 },
    );
    expect(runs).toBeGreaterThanOrEqual(500);
  });
});
