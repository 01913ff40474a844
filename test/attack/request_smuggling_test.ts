/**
 * Requests that one reader takes for one and another for two. The target must never see the second, and nobody may
 * get an answer that belongs to somebody else.
 *
 * @module
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { AttackRig } from "../support/attack_rig.ts";

const rig = new AttackRig();
beforeAll(() => rig.start());
afterAll(() => rig.close());

const SMUGGLED = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
const HOST = "Host: x\r\n";

/** What is refused at all: no request of it may reach the target. */
const REFUSED: [string, string][] = [
  [
    "CL.TE",
    `POST / HTTP/1.1\r\n${HOST}Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${SMUGGLED}`,
  ],
  [
    "TE.CL",
    `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n23\r\n${SMUGGLED}\r\n0\r\n\r\n`,
  ],
  [
    "TE.TE, second identity",
    `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n${SMUGGLED}`,
  ],
  [
    "TE.TE, second xchunked",
    `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n${SMUGGLED}`,
  ],
  ["xchunked", `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n${SMUGGLED}`],
  ["gzip, chunked", `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n${SMUGGLED}`],
  [
    "chunked, chunked",
    `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n${SMUGGLED}`,
  ],
  [
    "a vertical tab before chunked",
    `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n${SMUGGLED}`,
  ],
  [
    "a space before the colon",
    `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n${SMUGGLED}`,
  ],
  [
    "a length with a space before the colon",
    `POST / HTTP/1.1\r\n${HOST}Content-Length : 36\r\n\r\n${SMUGGLED}`,
  ],
  [
    "a folded transfer coding",
    `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding:\r\n chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n${SMUGGLED}`,
  ],
  [
    "an underscored transfer coding",
    `POST / HTTP/1.1\r\n${HOST}Transfer_Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n`,
  ],
  [
    "two equal lengths",
    `POST / HTTP/1.1\r\n${HOST}Content-Length: 0\r\nContent-Length: 0\r\n\r\n${SMUGGLED}`,
  ],
  ["two lengths", `POST / HTTP/1.1\r\n${HOST}Content-Length: 0\r\nContent-Length: 35\r\n\r\n${SMUGGLED}`],
  ["a list of lengths", `POST / HTTP/1.1\r\n${HOST}Content-Length: 0, 35\r\n\r\n${SMUGGLED}`],
  ["a signed length", `POST / HTTP/1.1\r\n${HOST}Content-Length: +35\r\n\r\n${SMUGGLED}`],
  ["a hexadecimal length", `POST / HTTP/1.1\r\n${HOST}Content-Length: 0x23\r\n\r\n${SMUGGLED}`],
  [
    "a length beyond all numbers",
    `POST / HTTP/1.1\r\n${HOST}Content-Length: 18446744073709551616\r\n\r\n${SMUGGLED}`,
  ],
  [
    "HTTP/1.0 with chunks",
    `POST / HTTP/1.0\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n${SMUGGLED}`,
  ],
  ["line ends of LF", `GET / HTTP/1.1\nHost: x\nContent-Length: 35\n\n${SMUGGLED}`],
  ["a lone CR in a value", `GET / HTTP/1.1\r\n${HOST}A: b\rTransfer-Encoding: chunked\r\n\r\n${SMUGGLED}`],
  ["NUL in a value", `GET / HTTP/1.1\r\n${HOST}A: b\0c\r\n\r\n${SMUGGLED}`],
  [
    "a space before the first field",
    `GET / HTTP/1.1\r\n Transfer-Encoding: chunked\r\n${HOST}\r\n${SMUGGLED}`,
  ],
  ["HTTP/2.0", `GET / HTTP/2.0\r\n${HOST}\r\n`],
  ["HTTP/0.9", "GET /smuggled\r\n\r\n"],
  ["a target with a space", `GET /a /smuggled HTTP/1.1\r\n${HOST}\r\n`],
];

describe("what has two readings is refused, and the connection ends", () => {
  for (const [name, text] of REFUSED) {
    test(name, async () => {
      const before = rig.target.requests.length;
      const visitor = rig.visit(text);
      const answer = await visitor.untilClosed();
      expect(answer).toMatch(/^HTTP\/1.1 (400|501) /);
      expect(answer.match(/^HTTP\/1.1/gm)!.length).toBeLessThanOrEqual(1);
      expect(rig.target.requests.slice(before)).toEqual([]);
      await rig.checkNextVisitors();
      expect(rig.target.targets.includes("/smuggled")).toBe(false);
    });
  }

  test("there were as many as thought of", () => expect(REFUSED).toHaveLength(26));
});

describe("what has one reading is read so by all", () => {
  test("chunk data that looks like a request is data", async () => {
    const body = `23\r\n${SMUGGLED}\r\n0\r\n\r\n`;
    const visitor = rig.visit(
      `POST /d HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\nX-Tag: d\r\n\r\n${body}`,
    );
    expect((await visitor.answers(1))[0]?.body).toBe("POST /d d");
    await rig.checkNextVisitors();
    expect(rig.target.targets.includes("/smuggled")).toBe(false);
  });

  test("chunk extensions and lengths with zeros do not go on", async () => {
    const body = `0000000023;a="\\"b"\r\n${SMUGGLED}\r\n0;x\r\n\r\n`;
    const visitor = rig.visit(
      `POST /e HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\nX-Tag: e\r\n\r\n${body}`,
    );
    await visitor.until(() => visitor.closed || visitor.text.length > 0, () => "an answer");
    await rig.checkNextVisitors();
    expect(rig.target.targets.includes("/smuggled")).toBe(false);
    expect(rig.target.requests.some((request) => request.raw.includes(";a="))).toBe(false);
  });

  test("a broken chunk never ends a body at the target as if it were whole", async () => {
    for (
      const chunk of [
        "zz\r\n",
        "5\r\nhelloX\r\n",
        "5;\n",
        "-5\r\n",
        "fffffffffffffffff\r\n",
        "5\r\nhel\r\n0\r\n\r\n",
      ]
    ) {
      const before = rig.target.requests.length;
      const text = `POST /broken HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n${chunk}`;
      const visitor = rig.visit(text);
      visitor.socket.end();
      await visitor.untilClosed();
      expect(rig.target.requests.slice(before).map((request) => request.target)).toEqual([]);
      await rig.checkNextVisitors();
    }
  });

  test("pipelined requests are answered in order, each with its own", async () => {
    const texts = [1, 2, 3, 4].map((i) => `GET /p${i} HTTP/1.1\r\n${HOST}X-Tag: ${i}\r\n\r\n`);
    const answers = await rig.visit(texts.join("")).answers(4);
    expect(answers.map((answer) => answer.body)).toEqual([
      "GET /p1 1",
      "GET /p2 2",
      "GET /p3 3",
      "GET /p4 4",
    ]);
  });

  test("a body on GET, HEAD, DELETE and OPTIONS is a body", async () => {
    for (const method of ["GET", "DELETE", "OPTIONS", "PROPFIND"]) {
      const visitor = rig.visit(
        `${method} /b HTTP/1.1\r\n${HOST}Content-Length: 35\r\nX-Tag: ${method}\r\n\r\n${SMUGGLED}`,
      );
      expect((await visitor.answers(1))[0]?.body).toBe(`${method} /b ${method}`);
    }
    await rig.checkNextVisitors();
    expect(rig.target.targets.includes("/smuggled")).toBe(false);
  });

  test("more than 200 fields are refused, never cut to 200", async () => {
    const before = rig.target.requests.length;
    const fields = Array.from({ length: 230 }, (_, i) => `A${i}: b\r\n`).join("");
    const text = await rig.attack(`GET /many HTTP/1.1\r\n${HOST}${fields}Authorization: x\r\n\r\n`);
    expect(text).toMatch(/^HTTP\/1.1 431 /);
    expect(rig.target.requests.slice(before)).toEqual([]);
  });
});
