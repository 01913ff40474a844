/**
 * Line ends where there may be none, from a visitor and from a target.
 *
 * @module
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Buffer } from "node:buffer";
import { AttackRig } from "../support/attack_rig.ts";
import { echo } from "../support/raw_http.ts";

const rig = new AttackRig();
beforeAll(() => rig.start());
afterAll(() => rig.close());

const VISITOR: [string, string][] = [
  ["a lone LF in a value", "GET / HTTP/1.1\r\nHost: x\r\nA: b\nEvil: 1\r\n\r\n"],
  ["a lone CR in a value", "GET / HTTP/1.1\r\nHost: x\r\nA: b\rEvil: 1\r\n\r\n"],
  ["NUL in a value", "GET / HTTP/1.1\r\nHost: x\r\nA: b\0Evil: 1\r\n\r\n"],
  ["an obsolete folding", "GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n Evil: 1\r\n\r\n"],
  ["a name with a space", "GET / HTTP/1.1\r\nHost: x\r\nE vil: 1\r\n\r\n"],
  ["a name that is empty", "GET / HTTP/1.1\r\nHost: x\r\n: Evil\r\n\r\n"],
  ["a line without a colon", "GET / HTTP/1.1\r\nHost: x\r\nEvil\r\n\r\n"],
  ["a control character in the target", "GET /\x01Evil HTTP/1.1\r\nHost: x\r\n\r\n"],
  ["a lone CR in the target", "GET /\rEvil HTTP/1.1\r\nHost: x\r\n\r\n"],
  ["a lone CR in Host", "GET / HTTP/1.1\r\nHost: x\rEvil: 1\r\n\r\n"],
  ["DEL in a value", "GET / HTTP/1.1\r\nHost: x\r\nA: Evil\x7f\r\n\r\n"],
];

describe("from a visitor", () => {
  for (const [name, text] of VISITOR) {
    test(`${name} is refused`, async () => {
      const before = rig.target.requests.length;
      expect(await rig.attack(text)).toMatch(/^HTTP\/1.1 400 /);
      expect(rig.target.requests.slice(before)).toEqual([]);
      await rig.checkNextVisitors();
    });
  }

  test("there were as many as thought of", () => expect(VISITOR).toHaveLength(11));

  test("encoded line ends stay encoded", async () => {
    const text = await rig.attack(
      "GET /%0d%0aEvil:%201?a=%0d%0a HTTP/1.1\r\nHost: x\r\nX-Tag: %0d%0a\r\n\r\n",
    );
    expect(text).toMatch(/^HTTP\/1.1 200 /);
    expect(rig.target.requests.at(-1)?.raw.startsWith("GET /%0d%0aEvil:%201?a=%0d%0a HTTP/1.1\r\n")).toBe(
      true,
    );
  });

  test("bytes over 0x7f go on as they are, and never become a line end", async () => {
    // U+010A and U+560A end in the byte of LF in some encodings: they come here as two and three bytes.
    const value = "\xc4\x8a\xe5\x98\x8a\xff";
    await rig.attack(`GET /v HTTP/1.1\r\nHost: x\r\nX-Tag: ${value}\r\n\r\n`);
    const raw = rig.target.requests.at(-1)?.raw ?? "";
    expect(raw).toContain(`X-Tag: ${value}\r\n`);
    expect(raw.startsWith("GET /v HTTP/1.1\r\n")).toBe(true);
  });

  test("a redirect or an error never repeats what was sent", async () => {
    const text = await rig.attack(
      "GET /<script>alert(1)</script> HTTP/1.1\r\nHost: x\r\nHost: <script>\r\nAccept: text/html\r\n\r\n",
    );
    expect(text).toMatch(/^HTTP\/1.1 400 /);
    expect(text).not.toContain("<script>");
  });
});

const TARGET: [string, string][] = [
  ["a lone CR in a value", "HTTP/1.1 200 OK\r\nA: b\rSet-Cookie: evil\r\nContent-Length: 0\r\n\r\n"],
  ["NUL in a value", "HTTP/1.1 200 OK\r\nA: b\0evil\r\nContent-Length: 0\r\n\r\n"],
  ["a name with a space", "HTTP/1.1 200 OK\r\nevil evil: b\r\nContent-Length: 0\r\n\r\n"],
  ["a space before the colon", "HTTP/1.1 200 OK\r\nevil : b\r\nContent-Length: 0\r\n\r\n"],
  ["a lone CR in the reason", "HTTP/1.1 200 OK\revil: 1\r\nContent-Length: 0\r\n\r\n"],
  ["two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 0\r\n\r\nevil"],
  [
    "length and chunks",
    "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nevil",
  ],
  ["a status of two digits", "HTTP/1.1 99 evil\r\nContent-Length: 0\r\n\r\n"],
  ["another protocol", "HTTP/3.1 200 evil\r\n\r\n"],
  ["no protocol at all", "evil\r\n\r\n"],
];

describe("from a target", () => {
  for (const [name, text] of TARGET) {
    test(`${name} is 502`, async () => {
      rig.target.onRequest = (_request, socket) => void socket.write(Buffer.from(text, "latin1"));
      const answer = await rig.attack("GET /t HTTP/1.1\r\nHost: x\r\n\r\n");
      rig.target.onRequest = echo;
      expect(answer).toMatch(/^HTTP\/1.1 502 /);
      expect(answer).not.toContain("evil");
      await rig.checkNextVisitors();
    });
  }

  test("there were as many as thought of", () => expect(TARGET).toHaveLength(10));
});
