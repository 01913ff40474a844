/**
 * Requests that two programs could read in two ways, sent byte by byte: they are refused, and the target sees nothing.
 *
 * @module
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { RUNTIMES, useProcesses } from "../support/processes.ts";
import {
  answer,
  fieldOf,
  fieldsOf,
  get,
  RawConnection,
  RawTarget,
  readBody,
  readResponse,
  request,
} from "./raw.ts";
import { type RunningGateway, startAgent, startGateway, TEST_MS_MAX } from "./wall.ts";

/** A request that must be refused. */
interface Refused {
  readonly name: string;
  readonly bytes: string;
  /** The statuses that are right. */
  readonly statuses: readonly number[];
}

const SMUGGLED = "GET /smuggled HTTP/1.1\r\nHost: web.test\r\n\r\n";

function refused(name: string, bytes: string, ...statuses: number[]): Refused {
  return { name, bytes, statuses: statuses.length === 0 ? [400] : statuses };
}

const REFUSED: readonly Refused[] = [
  // Who is meant.
  refused("no Host", "GET / HTTP/1.1\r\n\r\n"),
  refused("an empty Host", get("/", ["Host:"])),
  refused("two Hosts", get("/", ["Host: web.test", "Host: other.test"])),
  refused("the same Host twice", get("/", ["Host: web.test", "host: web.test"])),
  refused("a list as Host", get("/", ["Host: web.test, other.test"])),
  refused("a Host with a space", get("/", ["Host: web.test x"])),
  refused("a Host with a slash", get("/", ["Host: web.test/x"])),
  refused("a Host with a user", get("/", ["Host: user@web.test"])),
  refused("a Host with a bad port", get("/", ["Host: web.test:port"])),
  refused("a Host with too large a port", get("/", ["Host: web.test:65536"])),
  refused("a Host with an empty label", get("/", ["Host: web..test"])),
  refused("a Host in bad brackets", get("/", ["Host: [::1"])),
  refused("a Host with a high byte", get("/", ["Host: w\xe9b.test"])),
  refused("absolute-form against Host", get("http://other.test/", [])),
  refused("absolute-form against the port of Host", get("http://web.test:81/", [])),
  refused("absolute-form with a user", get("http://user@web.test/", [])),
  refused("another scheme", get("ftp://web.test/", [])),
  refused("authority-form without CONNECT", get("web.test:80", [])),
  refused("a target without a slash", get("path", [])),
  refused("* without OPTIONS", get("*", [])),
  refused("a fragment", get("/a#b", [])),
  refused("CONNECT", get("web.test:80", [], "CONNECT"), 405, 400),
  // Where the body ends.
  refused(
    "Content-Length and Transfer-Encoding",
    get("/", ["Content-Length: 4", "Transfer-Encoding: chunked"], "POST") + `0\r\n\r\n${SMUGGLED}`,
  ),
  refused(
    "Transfer-Encoding and Content-Length",
    get("/", ["Transfer-Encoding: chunked", "Content-Length: 4"], "POST") + `0\r\n\r\n${SMUGGLED}`,
  ),
  refused("two Content-Lengths", get("/", ["Content-Length: 0", "Content-Length: 40"], "POST") + SMUGGLED),
  refused("equal Content-Lengths twice", get("/", ["Content-Length: 2", "Content-Length: 2"], "POST") + "hi"),
  refused("a list of lengths", get("/", ["Content-Length: 2, 3"], "POST") + "hi"),
  refused("a signed length", get("/", ["Content-Length: +2"], "POST") + "hi"),
  refused("a negative length", get("/", ["Content-Length: -2"], "POST") + "hi"),
  refused("a hexadecimal length", get("/", ["Content-Length: 0x2"], "POST") + "hi"),
  refused("a length past any number", get("/", ["Content-Length: 99999999999999999999"], "POST") + "hi"),
  refused(
    "Transfer-Encoding: xchunked",
    get("/", ["Transfer-Encoding: xchunked"], "POST") + `0\r\n\r\n${SMUGGLED}`,
    400,
    501,
  ),
  refused(
    "Transfer-Encoding: identity",
    get("/", ["Transfer-Encoding: identity"], "POST") + SMUGGLED,
    400,
    501,
  ),
  refused(
    "Transfer-Encoding: gzip, chunked",
    get("/", ["Transfer-Encoding: gzip, chunked"], "POST") + `0\r\n\r\n${SMUGGLED}`,
    400,
    501,
  ),
  refused(
    "Transfer-Encoding: chunked, chunked",
    get("/", ["Transfer-Encoding: chunked, chunked"], "POST") + `0\r\n\r\n`,
    400,
    501,
  ),
  refused(
    "Transfer-Encoding twice",
    get("/", ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"], "POST") + `0\r\n\r\n`,
    400,
    501,
  ),
  refused(
    "Transfer-Encoding under HTTP/1.0",
    get("/", ["Transfer-Encoding: chunked"], "POST").replace("1.1", "1.0") + `0\r\n\r\n${SMUGGLED}`,
  ),
  refused("Transfer_Encoding", get("/", ["Transfer_Encoding: chunked", "Content-Length: 2"], "POST") + "hi"),
  // How lines are read.
  refused("a folded field", get("/", ["X-A: 1\r\n Transfer-Encoding: chunked"])),
  refused("a space before the colon", get("/", ["X-A : 1"])),
  refused("a space before the colon of a length", get("/", ["Content-Length : 2"], "POST") + "hi"),
  refused("a field without a colon", get("/", ["X-A"])),
  refused("an empty name", get("/", [": x"])),
  refused("NUL in a value", get("/", ["X-A: a\0b"])),
  refused("CR in a value", get("/", ["X-A: a\rb"])),
  refused("NUL in the target", get("/a\0b", [])),
  refused("a space in the target", get("/a b", [])),
  refused("a bare line feed as line end", "GET / HTTP/1.1\nHost: web.test\n\n"),
  refused("a bare line feed between fields", "GET / HTTP/1.1\r\nHost: web.test\nX-A: 1\r\n\r\n"),
  refused("a bare line feed in a value", get("/", ["X-A: 1\nX-B: 2"])),
  refused("a space before the method", " GET / HTTP/1.1\r\nHost: web.test\r\n\r\n"),
  refused("another version", "GET / HTTP/1.2\r\nHost: web.test\r\n\r\n", 400, 505),
  refused("HTTP/2 over plain text", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, 505),
  refused("HTTP/0.9", "GET /\r\n\r\n", 400, 505),
  // How much there is.
  refused("a head over the limit", get("/", [`X-A: ${"x".repeat(40_000)}`]), 431),
  refused("a target over the limit", get(`/${"x".repeat(40_000)}`, []), 431, 414),
  refused("300 fields", get("/", Array.from({ length: 300 }, (_, i) => `X-${i}: 1`)), 431, 400),
  refused("TLS on the plain port", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
];

/** Chunked bodies that two readers could end in two places: the request has begun, so the answer may be anything. */
const BAD_CHUNKS: readonly (readonly [string, string])[] = [
  ["a size with a sign", "+2\r\nhi\r\n0\r\n\r\n"],
  ["a size with 0x", "0x2\r\nhi\r\n0\r\n\r\n"],
  ["no size", "\r\nhi\r\n0\r\n\r\n"],
  ["a chunk longer than its size", "1\r\nhi\r\n0\r\n\r\n"],
  ["a bare line feed behind the size", "2\nhi\r\n0\r\n\r\n"],
  ["a size past any number", "ffffffffffffffffff\r\nhi\r\n0\r\n\r\n"],
];

const processes = useProcesses();

for (const runtime of RUNTIMES) {
  describe(`gateway on ${runtime}`, () => {
    let target: RawTarget;
    let gateway: RunningGateway;
    let port = 0;
    const it = (name: string, body: () => Promise<void>): void => test(name, body, TEST_MS_MAX);

    beforeAll(async () => {
      target = await RawTarget.start();
      gateway = await startGateway(processes, runtime, {
        args: ["--route", "web.test=web", "--route", "web.test/private=guarded", "--route", "[::1]=web"],
      });
      port = gateway.port;
      await startAgent(processes, "bun", gateway, { args: ["--serve", `web=${target.url}`] });
    });
    afterAll(() => target?.close());

    it(`refuses ${REFUSED.length} requests, and the target sees nothing of them`, async () => {
      const wrong: unknown[] = [];
      let ran = 0;
      for (const { name, bytes, statuses } of REFUSED) {
        ran++;
        const connection = await RawConnection.open(port);
        connection.write(bytes);
        // A status is for whoever made a mistake; the connection is closed, since where the request ends is not sure.
        const answered = await connection.rest(5_000).then((all) => all.toString("latin1"), String);
        const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(answered)?.[1]);
        if (!statuses.includes(status)) wrong.push([name, answered.slice(0, 200)]);
        if (answered.split("HTTP/1.1 ").length > 2) wrong.push([name, "two answers", answered.slice(0, 500)]);
        connection.destroy();
      }
      expect(wrong).toEqual([]);
      expect(target.seen.map((seen) => seen.raw)).toEqual([]);
      expect(ran).toBe(REFUSED.length);
    });

    it("a chunked body with two readings never ends well", async () => {
      const ended: [string, boolean][] = [];
      target.on("/chunks", async (connection, seen) => {
        const { complete } = await readBody(connection, seen);
        ended.push([seen.raw, complete]);
        connection.write(answer(200, "ok"));
      });
      const answers: [string, string][] = [];
      for (const [name, body] of BAD_CHUNKS) {
        const connection = await RawConnection.open(port);
        connection.write(get("/chunks", ["Transfer-Encoding: chunked"], "POST") + body + SMUGGLED);
        const answered = (await connection.rest()).toString("latin1");
        answers.push([name, answered.slice(9, 12)]);
        connection.destroy();
      }
      expect(ended.filter(([, complete]) => complete)).toEqual([]);
      expect(answers.filter(([, status]) => status !== "" && status !== "400")).toEqual([]);
      expect(answers).toHaveLength(BAD_CHUNKS.length);
      expect(target.count("/smuggled")).toBe(0);
    });

    it("absolute-form that agrees with Host is forwarded in origin-form", async () => {
      const response = await request(port, get("http://WEB.test/absolute?q#".slice(0, -1), []));
      expect(response.status).toBe(200);
      const seen = await target.request("/absolute?q");
      expect(fieldOf(seen, "host")).toBe("web.test");
      expect((await request(port, get("http://web.test", ["X-A: root"]))).status).toBe(200);
      expect(fieldOf(await target.request("/"), "x-a")).toBe("root");
    });

    it("Host is read without case, port and final dot, and kept as sent", async () => {
      let ran = 0;
      for (const host of ["WEB.Test", "web.test:8080", "web.test.", "[::1]:80", "[::1]"]) {
        const path = `/host-${ran++}`;
        expect([host, (await request(port, get(path, [`Host: ${host}`]))).status]).toEqual([host, 200]);
        expect(fieldsOf(await target.request(path), "host")).toEqual([host]);
      }
      expect(ran).toBe(5);
    });

    it("a path with two readings of two services is refused", async () => {
      const before = target.seen.length;
      const paths = [
        "/a/../private/x",
        "/%70rivate/x",
        "//private/x",
        "/a/..%2fprivate",
        "/.\\private",
        "/private;x/y",
      ];
      for (const path of paths) expect([path, (await request(port, get(path))).status]).toEqual([path, 400]);
      // The same tricks inside of one service are its own business.
      expect((await request(port, get("/a/../b"))).status).toBe(200);
      expect((await request(port, get("/private/../private/x"))).status).toBe(503);
      expect(target.seen.slice(before).map((seen) => seen.target)).toEqual(["/a/../b"]);
    });

    it("fields of proxies are not believed, however they are written", async () => {
      const forged = [
        "X-Forwarded-For: 6.6.6.6",
        "x-forwarded-for: 6.6.6.7",
        "X_Forwarded_For: 6.6.6.8",
        "X-Forwarded_For: 6.6.6.9",
        "X-Forwarded-Host: evil.test",
        "X-Forwarded-Proto: https",
        "X_FORWARDED_PROTO: https",
        "Forwarded: for=6.6.6.6;host=evil.test;proto=https",
        "X-Real-IP: 6.6.6.6",
        "X-Forwarded-Port: 443",
        "X-Forwarded-Prefix: /evil",
      ];
      await request(port, get("/forged", forged));
      const seen = await target.request("/forged");
      expect(seen.raw).not.toMatch(/6\.6\.6|evil|https|443/);
      expect(fieldsOf(seen, "x-forwarded-for")).toEqual(["127.0.0.1"]);
      expect(fieldsOf(seen, "x-forwarded-host")).toEqual(["web.test"]);
      expect(fieldsOf(seen, "x-forwarded-proto")).toEqual(["http"]);
      expect(fieldsOf(seen, "forwarded")).toEqual(["for=127.0.0.1;host=web.test;proto=http"]);
    });

    it("Connection cannot take away what a request is or who sent it", async () => {
      const named =
        "host, content-length, transfer-encoding, authorization, cookie, x-forwarded-for, forwarded";
      const fields = [
        `Connection: close, ${named}`,
        "Authorization: Basic x",
        "Cookie: a=1",
        "Content-Length: 2",
      ];
      const response = await request(port, get("/named", fields, "POST"), "hi");
      expect(response.status).toBe(200);
      const seen = await target.request("/named");
      const names = ["host", "content-length", "authorization", "cookie", "x-forwarded-for", "forwarded"];
      for (const name of names) expect([name, fieldsOf(seen, name).length]).toEqual([name, 1]);
      expect(fieldOf(seen, "connection")).toBeUndefined();
    });

    it("after a refusal the gateway serves the next visitor, and kept connections are not mixed up", async () => {
      const connection = await RawConnection.open(port);
      connection.write(get("/first"));
      expect((await readResponse(connection)).status).toBe(200);
      connection.write(get("/second", ["Host: a", "Host: b"]));
      expect((await readResponse(connection)).status).toBe(400);
      expect((await connection.rest()).length).toBe(0);
      expect((await request(port, get("/third"))).status).toBe(200);
      expect(target.count("/second")).toBe(0);
    });

    it("a request hidden in a body stays a body", async () => {
      target.on(
        "/outer",
        async (at, seen) => at.write(answer(200, (await readBody(at, seen)).body.toString("latin1"))),
      );
      const response = await request(
        port,
        get("/outer", [`Content-Length: ${SMUGGLED.length}`], "POST"),
        SMUGGLED,
      );
      expect(response.text()).toBe(SMUGGLED);
      expect(target.count("/smuggled")).toBe(0);
    });
  });
}
