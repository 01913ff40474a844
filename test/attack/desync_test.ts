/**
 * Targets that answer more or less than they were asked, on connections that are kept: the next visitor must never
 * get what is left of the answer before.
 *
 * @module
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { Buffer } from "node:buffer";
import { AttackRig } from "../support/attack_rig.ts";
import { echo, parseAnswers, within } from "../support/raw_http.ts";

const rig = new AttackRig();
beforeAll(() => rig.start());
afterEach(() => void (rig.target.onRequest = echo));
afterAll(() => rig.close());

const OK = "HTTP/1.1 200 OK\r\n";
const POISON = `${OK}Content-Length: 6\r\n\r\nPOISON`;

/** What the target answers to one request. The visitor must not see POISON, nor any later visitor. */
const ANSWERS: [name: string, method: string, answer: string, statuses: number[]][] = [
  ["an answer behind the answer", "GET", `${OK}Content-Length: 2\r\n\r\nok${POISON}`, [200]],
  ["bytes behind the answer", "GET", `${OK}Content-Length: 2\r\n\r\nokPOISON`, [200]],
  ["an answer behind chunks", "GET", `${OK}Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n${POISON}`, [
    200,
  ]],
  ["a body to HEAD", "HEAD", `${OK}Content-Length: 6\r\n\r\nPOISON`, [200]],
  ["an answer behind HEAD", "HEAD", `${OK}Content-Length: 6\r\n\r\n${POISON}`, [200]],
  ["a body to 204", "GET", `HTTP/1.1 204 No Content\r\nContent-Length: 6\r\n\r\nPOISON`, [204]],
  ["a body to 304", "GET", `HTTP/1.1 304 Not Modified\r\nContent-Length: 6\r\n\r\nPOISON`, [304]],
  ["an answer behind 204", "GET", `HTTP/1.1 204 No Content\r\n\r\n${POISON}`, [204]],
  [
    "an interim answer behind the answer",
    "GET",
    `${OK}Content-Length: 2\r\n\r\nokHTTP/1.1 103 POISON\r\n\r\n`,
    [200],
  ],
  [
    "a length on an interim answer",
    "GET",
    `HTTP/1.1 103 Hints\r\nContent-Length: 6\r\n\r\n${OK}Content-Length: 2\r\n\r\nok`,
    [103, 200],
  ],
  ["a chunk that lies", "GET", `${OK}Transfer-Encoding: chunked\r\n\r\n2\r\nokPOISON\r\n0\r\n\r\n`, [
    200,
    502,
  ]],
  ["a chunk size that is none", "GET", `${OK}Transfer-Encoding: chunked\r\n\r\nPOISON\r\n`, [200, 502]],
  ["two lengths", "GET", `${OK}Content-Length: 0\r\nContent-Length: 6\r\n\r\nPOISON`, [502]],
  [
    "length and chunks",
    "GET",
    `${OK}Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nPOISON`,
    [502],
  ],
  [
    "an answer to two requests",
    "GET",
    `HTTP/1.1 100 Continue\r\n\r\n${OK}Content-Length: 2\r\n\r\nok${POISON}`,
    [100, 200],
  ],
];

describe("one answer for one request", () => {
  for (const [name, method, answer, statuses] of ANSWERS) {
    test(name, async () => {
      rig.target.onRequest = (request, socket) => {
        if (request.target === "/odd") socket.write(Buffer.from(answer, "latin1"));
        else echo(request, socket);
      };
      const visitor = rig.visit(`${method} /odd HTTP/1.1\r\nHost: x\r\n\r\n`);
      await visitor.until(() => visitor.closed || /^HTTP\/1.1 [2-5]/m.test(visitor.text), () => "an answer");
      // The same connection asks again: what is left of the odd answer would come first.
      visitor.send("GET /again HTTP/1.1\r\nHost: x\r\nX-Tag: again\r\n\r\n");
      await visitor.until(
        () => visitor.closed || visitor.text.includes("GET /again again"),
        () => `/again in ${visitor.text}`,
      );
      expect(visitor.text).not.toContain("POISON");
      for (const [, status] of visitor.text.matchAll(/^HTTP\/1.1 (\d+)/gm)) {
        expect([status, [...statuses, 200].includes(Number(status))]).toEqual([status, true]);
      }
      await rig.checkNextVisitors();
    });
  }

  test("there were as many as thought of", () => expect(ANSWERS).toHaveLength(15));

  test("an answer that comes on an idle connection is nobody's, and ends that connection", async () => {
    await rig.attack("GET /first HTTP/1.1\r\nHost: x\r\n\r\n");
    const socket = rig.target.sockets[rig.target.requests.at(-1)!.connection]!;
    const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
    socket.write(POISON);
    await within(closed, () => "the end of the poisoned connection");
    await rig.checkNextVisitors();
  });
});

describe("answers that are cut", () => {
  const CUTS: [string, string][] = [
    ["in the body of a length", `${OK}Content-Length: 100\r\n\r\npart`],
    ["in a chunk", `${OK}Transfer-Encoding: chunked\r\n\r\n64\r\npart`],
    ["before the last chunk", `${OK}Transfer-Encoding: chunked\r\n\r\n4\r\npart\r\n`],
    ["before the end of the trailers", `${OK}Transfer-Encoding: chunked\r\n\r\n4\r\npart\r\n0\r\nA: b\r\n`],
  ];
  for (const [name, answer] of CUTS) {
    test(`${name}: never whole for the visitor`, async () => {
      rig.target.onRequest = (_request, socket) => {
        socket.write(answer);
        setTimeout(() => socket.destroy(), 20);
      };
      const visitor = rig.visit("GET /cut HTTP/1.1\r\nHost: x\r\n\r\n");
      const text = await visitor.untilClosed();
      expect(parseAnswers(text).filter((one) => one.status === 200)).toEqual([]);
      rig.target.onRequest = echo;
      await rig.checkNextVisitors();
    });
  }

  test("there were as many as thought of", () => expect(CUTS).toHaveLength(4));

  test("before the head: 502, and a request that may be repeated is not repeated forever", async () => {
    const before = rig.target.requests.length;
    rig.target.onRequest = (_request, socket) => void socket.destroy();
    expect(await rig.attack("GET /dead HTTP/1.1\r\nHost: x\r\n\r\n")).toMatch(/^HTTP\/1.1 502 /);
    expect(await rig.attack("POST /dead HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab")).toMatch(
      /^HTTP\/1.1 502 /,
    );
    rig.target.onRequest = echo;
    const posts = rig.target.requests.slice(before).filter((request) => request.method === "POST");
    expect(posts).toHaveLength(1);
    expect(rig.target.requests.length - before).toBeLessThanOrEqual(3);
    await rig.checkNextVisitors();
  });
});

describe("visitors who leave in the middle", () => {
  test("of their bodies: the target never sees a whole one, nor the next visitor its answer", async () => {
    for (let i = 0; i < 10; i++) {
      const visitor = rig.visit(`POST /left-${i} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\npart`);
      await rig.target.until(
        () => rig.target.unread.some((text) => text.includes(`/left-${i} `)),
        () => `body ${i}`,
      );
      visitor.socket.resetAndDestroy();
      await rig.checkNextVisitors();
    }
    expect(rig.target.targets.some((target) => target.startsWith("/left-"))).toBe(false);
  });

  test("of their answers: what was on its way is nobody's", async () => {
    rig.target.onRequest = (request, socket) => {
      if (!request.target.startsWith("/late")) return echo(request, socket);
      socket.write(`${OK}Content-Length: 10\r\n\r\n`);
      setTimeout(() => socket.destroyed || socket.write("POISONPOIS"), 30);
    };
    for (let i = 0; i < 10; i++) {
      const visitor = rig.visit(`GET /late-${i} HTTP/1.1\r\nHost: x\r\n\r\n`);
      await visitor.untilText("200 OK");
      visitor.socket.resetAndDestroy();
      await rig.checkNextVisitors();
    }
  });

  test("an early answer to an upload leaves nothing of the upload behind", async () => {
    rig.target.onRequest = echo;
    const visitor = rig.visit("POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n");
    await rig.target.until(() => rig.target.unread.some((text) => text.includes("/early")), () => "the head");
    const index = rig.target.unread.findIndex((text) => text.includes("/early"));
    rig.target.sockets[index]!.write(`HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\nno`);
    await visitor.untilText("no");
    visitor.send("GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n".padEnd(50, "x"));
    await rig.checkNextVisitors();
    expect(rig.target.targets.includes("/smuggled")).toBe(false);
  });
});
