/**
 * HTTP through the wall, byte by byte: every pairing of runtimes, the bundle and the executable.
 *
 * The visitor and the target are raw sockets of this process, or a real nginx, so that nothing in between tidies
 * what the wall altered.
 *
 * @module
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Buffer } from "node:buffer";
import { createHash, randomBytes } from "node:crypto";
import { gzipSync } from "node:zlib";
import { HAS_NGINX, type Nginx, startNginx } from "../support/nginx.ts";
import { useProcesses } from "../support/processes.ts";
import { findBinary } from "../support/services.ts";
import {
  answer,
  chunk,
  fieldOf,
  fieldsOf,
  get,
  RawConnection,
  RawTarget,
  readBody,
  readHead,
  readResponse,
  request,
} from "./raw.ts";
import {
  ensureBuilt,
  type Pairing,
  PAIRINGS,
  type RunningGateway,
  startAgent,
  startGateway,
  TEST_MS_MAX,
} from "./wall.ts";

/** Paths that a URL parser would change. The wall must not. */
const ODD_TARGETS = [
  "/a/../b",
  "/a/./b",
  "//x//y",
  "/%2e%2e/%2E/x",
  "/{}|^`",
  "/%zz%",
  "/a?=?&b=//..",
  "/a;b=c;/d",
  "/UPPER/lower",
  "/a\\b",
  "/'\"<>",
  "/%00%0a",
  "/caf%C3%A9",
  "/?",
  "/a??b",
];

const BUILT: readonly Pairing[] = [
  ["bundle-bun", "bundle-deno"],
  ["bundle-deno", "bundle-bun"],
  ["executable", "executable"],
];

const processes = useProcesses();
const curl = findBinary("curl");
let target: RawTarget;
let nginx: Nginx | undefined;

beforeAll(async () => {
  target = await RawTarget.start();
  if (HAS_NGINX) nginx = await startNginx({ "index.html": "<p>hello</p>\n", "ten.txt": "0123456789" });
});

afterAll(async () => {
  target?.close();
  await nginx?.stop();
});

/** One gateway and one agent for all tests of a pairing. */
function useWall([gatewayRuntime, agentRuntime]: Pairing): { port: number } {
  const wall = { port: 0 };
  let gateway: RunningGateway;
  beforeAll(async () => {
    ensureBuilt(gatewayRuntime);
    ensureBuilt(agentRuntime);
    gateway = await startGateway(processes, gatewayRuntime, {
      args: ["--route", "*=web", "--route", "files.test=files"],
    });
    const files = nginx ? ["--serve", `files=http://127.0.0.1:${nginx.port}`] : [];
    await startAgent(processes, agentRuntime, gateway, {
      args: ["--serve", `web=${target.url}`, ...files],
    });
    wall.port = gateway.port;
  });
  afterAll(async () => {
    await gateway?.process.stop();
  });
  return wall;
}

/** Unique over pairings, as the target remembers what it saw. */
let count = 0;
function fresh(path: string): string {
  return `${path}-${++count}`;
}

function sha256(data: Buffer): string {
  return createHash("sha256").update(data).digest("hex");
}

/** What every build must do. */
function describeCore(wall: { port: number }): void {
  const it = (name: string, body: () => Promise<void>): void => test(name, body, TEST_MS_MAX);

  it("GET answers with status, reason, fields and body as the target sent them", async () => {
    const path = fresh("/get");
    target.on(
      path,
      (connection) => connection.write(answer(299, "body", ["X-Odd_Name: 1", "x-lower:  two "])),
    );
    const response = await request(wall.port, get(path));
    expect(response.line).toBe("HTTP/1.1 299 Reason");
    expect(response.text()).toBe("body");
    expect(response.fields.slice(0, 3)).toEqual([["X-Odd_Name", "1"], ["x-lower", "two"], [
      "Content-Length",
      "4",
    ]]);
  });

  it("HEAD gives the length of the body and no body", async () => {
    const path = fresh("/head");
    target.on(path, (connection) => connection.write(answer(200, undefined, ["Content-Length: 1234"])));
    const connection = await RawConnection.open(wall.port);
    connection.write(get(path, [], "HEAD"));
    const response = await readResponse(connection, "HEAD");
    expect(response.field("content-length")).toBe("1234");
    // The connection is whole: the next answer begins right behind the head.
    connection.write(get(fresh("/after")));
    expect((await readResponse(connection)).text()).toBe("ok");
    connection.destroy();
  });

  it("POST echoes 5 MiB", async () => {
    const path = fresh("/echo");
    target.on(path, async (connection, seen) => {
      const { body } = await readBody(connection, seen);
      connection.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n`);
      connection.write(body);
    });
    const sent = randomBytes(5 << 20);
    const response = await request(wall.port, get(path, [`Content-Length: ${sent.length}`], "POST"), sent);
    expect(response.body).toHaveLength(sent.length);
    expect(sha256(response.body)).toBe(sha256(sent));
    expect(fieldOf(await target.request(path), "content-length")).toBe(String(sent.length));
  });

  it("a chunked upload arrives chunked and whole, and its trailers too, both ways", async () => {
    const path = fresh("/chunked");
    let got: Awaited<ReturnType<typeof readBody>> | undefined;
    target.on(path, async (connection, seen) => {
      got = await readBody(connection, seen);
      connection.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n");
      connection.write(`${chunk("abc")}${chunk("def")}0\r\nX-Sum: 42\r\n\r\n`);
    });
    const head = get(path, ["Transfer-Encoding: chunked", "TE: trailers", "Trailer: X-Check"], "POST");
    const response = await request(
      wall.port,
      head,
      chunk("hello "),
      chunk("x".repeat(100_000)),
      "0\r\nX-Check: 7\r\n\r\n",
    );
    expect(got?.body.toString()).toBe(`hello ${"x".repeat(100_000)}`);
    expect(got?.trailers).toEqual([["X-Check", "7"]]);
    const seen = await target.request(path);
    expect(fieldOf(seen, "transfer-encoding")).toBe("chunked");
    expect(fieldOf(seen, "te")).toBe("trailers");
    expect(response.text()).toBe("abcdef");
    expect(response.trailers).toEqual([["X-Sum", "42"]]);
  });

  it("204 and 304 have no body, and the connection goes on", async () => {
    const [none, same] = [fresh("/204"), fresh("/304")];
    target.on(none, (connection) => connection.write(answer(204)));
    target.on(same, (connection) => connection.write(answer(304, undefined, ['ETag: "a"'])));
    const connection = await RawConnection.open(wall.port);
    for (const [path, status] of [[none, 204], [same, 304]] as const) {
      connection.write(get(path));
      const response = await readResponse(connection);
      expect(response.status).toBe(status);
      expect(response.field("transfer-encoding")).toBeUndefined();
    }
    connection.write(get(fresh("/after")));
    expect((await readResponse(connection)).text()).toBe("ok");
    connection.destroy();
  });

  it("an encoded body passes byte for byte with its length", async () => {
    const path = fresh("/gzip");
    const body = gzipSync(randomBytes(3000).toString("hex"));
    target.on(path, (connection) => {
      connection.write(`HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: ${body.length}\r\n\r\n`);
      connection.write(body);
    });
    const response = await request(wall.port, get(path, ["Accept-Encoding: gzip"]));
    expect(response.field("content-encoding")).toBe("gzip");
    expect(response.field("content-length")).toBe(String(body.length));
    expect(response.body.equals(body)).toBe(true);
  });

  it("events of a stream arrive one by one", async () => {
    const path = fresh("/events");
    const sent: (() => void)[] = [];
    target.on(path, async (connection) => {
      connection.write(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
      );
      for (let i = 1; i <= 5; i++) {
        connection.write(chunk(`data: ${i}\n\n`));
        await new Promise<void>((resolve) => sent.push(resolve));
      }
      connection.write("0\r\n\r\n");
    });
    const connection = await RawConnection.open(wall.port);
    connection.write(get(path, ["Accept: text/event-stream"]));
    expect(fieldOf(await readHead(connection), "content-type")).toBe("text/event-stream");
    for (let i = 1; i <= 5; i++) {
      // The target sends the next event only after this one was seen.
      await connection.until(`data: ${i}\n\n`);
      sent.shift()?.();
    }
    await connection.until("0\r\n\r\n");
    connection.destroy();
  });
}

/** What needs every pairing of the runtimes, but not every build of the same code. */
function describeDetails(wall: { port: number }, gatewayRuntime: string): void {
  const it = (name: string, body: () => Promise<void>): void => test(name, body, TEST_MS_MAX);

  it("order, case and repeated names of request fields reach the target", async () => {
    const path = fresh("/fields");
    const sent = [
      "X-B: 1",
      "x-a: 2",
      "X-b: 3",
      "ACCEPT: */*",
      "Cookie: a=1",
      "cookie: b=2",
      "X_Under: 4",
      "X-Empty:",
      "X-Latin: caf\xe9",
      "User-Agent: raw",
    ];
    await request(wall.port, get(path, sent));
    const seen = await target.request(path);
    const expected = sent.map((field): [string, string] => {
      const [name = "", value = ""] = field.split(/: ?/, 2);
      return [name, value];
    });
    // Behind the visitor's fields stand only those that a gateway adds.
    expect(seen.fields.slice(0, sent.length + 1)).toEqual([["Host", "web.test"], ...expected]);
    expect(seen.fields.slice(sent.length + 1).map(([name]) => name)).toEqual([
      "X-Forwarded-For",
      "X-Forwarded-Host",
      "X-Forwarded-Proto",
      "Forwarded",
    ]);
  });

  it("Set-Cookie twice stays twice, and response names keep their case", async () => {
    const path = fresh("/cookies");
    const fields = [
      "Set-Cookie: a=1, x; Path=/",
      "X-Mixed-CASE: 1",
      "Set-Cookie: b=2",
      "WWW-Authenticate: Basic",
    ];
    target.on(path, (connection) => connection.write(answer(200, "ok", fields)));
    const response = await request(wall.port, get(path));
    expect(fieldsOf(response, "set-cookie")).toEqual(["a=1, x; Path=/", "b=2"]);
    const names = response.fields.map(([name]) => name);
    expect(names).toContain("X-Mixed-CASE");
    expect(names).toContain("WWW-Authenticate");
    // node:http of Bun writes equal names side by side; else they stand where the target put them.
    const order = gatewayRuntime === "deno"
      ? ["Set-Cookie", "X-Mixed-CASE", "Set-Cookie", "WWW-Authenticate", "Content-Length"]
      : ["Set-Cookie", "Set-Cookie", "X-Mixed-CASE", "WWW-Authenticate", "Content-Length"];
    expect(names.slice(0, 5)).toEqual(order);
  });

  it("odd but legal targets pass unchanged", async () => {
    let passed = 0;
    for (const odd of ODD_TARGETS) {
      const before = target.seen.length;
      const response = await request(wall.port, get(odd));
      expect([odd, response.status]).toEqual([odd, 200]);
      expect(target.seen.slice(before).map((seen) => seen.target)).toEqual([odd]);
      passed++;
    }
    expect(passed).toBe(ODD_TARGETS.length);
  });

  it("methods beyond the usual pass", async () => {
    const methods = ["PURGE", "PROPFIND", "M-SEARCH", "OPTIONS", "TRACE", "PATCH", "DELETE", "QUERY", "LINK"];
    for (const method of methods) {
      const path = fresh("/method");
      const response = await request(wall.port, get(path, [], method));
      expect([method, response.status]).toEqual([method, 200]);
      expect((await target.request(path)).method).toBe(method);
    }
  });

  it("a method that the parser does not know is refused and reaches nothing", async () => {
    const before = target.seen.length;
    for (const method of ["FOO", "get"]) {
      const response = await request(wall.port, get(fresh("/unknown"), [], method));
      expect([method, response.status]).toEqual([method, 400]);
    }
    expect(target.seen.length).toBe(before);
  });

  it("a GET with a body keeps it", async () => {
    const path = fresh("/get-body");
    let body = "";
    target.on(path, async (connection, seen) => {
      body = (await readBody(connection, seen)).body.toString();
      connection.write(answer(200, "ok"));
    });
    await request(wall.port, get(path, ["Content-Length: 5"]), "hello");
    expect(body).toBe("hello");
  });

  it("the target decides about 100-continue", async () => {
    const path = fresh("/continue");
    target.on(path, async (connection, seen) => {
      // Nothing of the body may come before the target asked for it.
      expect(connection.pending).toHaveLength(0);
      connection.write("HTTP/1.1 100 Continue\r\n\r\n");
      const { body } = await readBody(connection, seen);
      connection.write(answer(200, body.toString()));
    });
    const connection = await RawConnection.open(wall.port);
    connection.write(get(path, ["Expect: 100-continue", "Content-Length: 5"], "PUT"));
    expect((await readHead(connection)).line).toBe("HTTP/1.1 100 Continue");
    connection.write("hello");
    const response = await readResponse(connection);
    expect(response.interim).toHaveLength(0);
    expect(response.text()).toBe("hello");
    connection.destroy();
    expect(fieldOf(await target.request(path), "expect")).toBe("100-continue");
  });

  it("a target that refuses instead of 100 is heard", async () => {
    const path = fresh("/refuse");
    target.on(path, (connection) => {
      connection.write(answer(417, "no"));
      connection.end();
    });
    const connection = await RawConnection.open(wall.port);
    connection.write(get(path, ["Expect: 100-continue", "Content-Length: 500"], "PUT"));
    const response = await readResponse(connection);
    expect([response.status, response.text(), response.interim.length]).toEqual([417, "no", 0]);
    connection.destroy();
  });

  test.skipIf(curl === undefined)("curl with Expect: 100-continue gets its answer", async () => {
    const path = fresh("/curl");
    target.on(path, async (connection, seen) => {
      connection.write("HTTP/1.1 100 Continue\r\n\r\n");
      connection.write(answer(200, (await readBody(connection, seen)).body.toString()));
    });
    const url = `http://127.0.0.1:${wall.port}${path}`;
    const args = [
      "-sS",
      "-m",
      "20",
      "-H",
      "Expect: 100-continue",
      "--expect100-timeout",
      "15",
      "-d",
      "abc",
      url,
    ];
    expect(await processes.run([curl!, ...args])).toBe("abc");
  }, TEST_MS_MAX);

  it("103 passes before the answer", async () => {
    const path = fresh("/hints");
    target.on(path, (connection) => {
      connection.write("HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n");
      connection.write("HTTP/1.1 103 Early Hints\r\nLink: </b.css>; rel=preload\r\n\r\n");
      connection.write(answer(200, "ok"));
    });
    const response = await request(wall.port, get(path));
    expect(response.interim.map((head) => [head.line, fieldOf(head, "link")])).toEqual([
      ["HTTP/1.1 103 Early Hints", "</a.css>; rel=preload"],
      ["HTTP/1.1 103 Early Hints", "</b.css>; rel=preload"],
    ]);
    expect(response.text()).toBe("ok");
  });

  it("both bodies stream at once", async () => {
    const path = fresh("/duplex");
    target.on(path, async (connection) => {
      connection.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
      for (;;) {
        const size = parseInt(await connection.until("\r\n"), 16);
        const data = (await connection.take(size)).toString();
        await connection.take(2);
        connection.write(size === 0 ? "0\r\n\r\n" : chunk(data.toUpperCase()));
        if (size === 0) return;
      }
    });
    const connection = await RawConnection.open(wall.port);
    connection.write(get(path, ["Transfer-Encoding: chunked"], "POST"));
    expect((await readHead(connection)).line).toBe("HTTP/1.1 200 OK");
    for (const word of ["one", "two", "three"]) {
      connection.write(chunk(word));
      await connection.until(chunk(word.toUpperCase()));
    }
    connection.write("0\r\n\r\n");
    await connection.until("0\r\n\r\n");
    connection.destroy();
  });

  it("requests on one connection are answered in turn, also when they come at once", async () => {
    const connection = await RawConnection.open(wall.port);
    const paths = [1, 2, 3, 4].map(() => fresh("/pipelined"));
    for (const path of paths) target.on(path, (at) => at.write(answer(200, path)));
    connection.write(paths.map((path) => get(path)).join(""));
    for (const path of paths) expect((await readResponse(connection)).text()).toBe(path);
    connection.destroy();
  });

  it("a body that lasts until the end of the connection ends cleanly", async () => {
    const path = fresh("/close");
    target.on(path, (connection) => {
      connection.write("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it");
      connection.end();
    });
    const response = await request(wall.port, get(path));
    expect([response.text(), response.complete]).toEqual(["all of it", true]);
  });

  it("hop-by-hop fields stay on their hop, both ways", async () => {
    const path = fresh("/hops");
    const named = ["Connection: X-Secret-Hop, keep-alive", "X-Secret-Hop: 1", "Keep-Alive: timeout=5"];
    target.on(path, (connection) => connection.write(answer(200, "ok", [...named, "Proxy-Connection: x"])));
    const response = await request(wall.port, get(path, [...named, "Proxy-Authorization: Basic x"]));
    const seen = await target.request(path);
    for (const name of ["x-secret-hop", "keep-alive", "proxy-connection", "proxy-authorization"]) {
      expect([name, fieldOf(seen, name)]).toEqual([name, undefined]);
      if (name !== "keep-alive") expect([name, response.field(name)]).toEqual([name, undefined]);
    }
    expect(fieldOf(seen, "connection")).toBeUndefined();
  });

  test.skipIf(!HAS_NGINX)("ranges and conditional requests against nginx", async () => {
    const ask = (path: string, ...fields: string[]): ReturnType<typeof request> =>
      request(wall.port, get(path, ["Host: files.test", ...fields]));
    const whole = await ask("/ten.txt");
    expect([whole.status, whole.text(), whole.field("content-length")]).toEqual([200, "0123456789", "10"]);
    const etag = whole.field("etag")!;
    const modified = whole.field("last-modified")!;
    const part = await ask("/ten.txt", "Range: bytes=2-4");
    expect([part.status, part.text(), part.field("content-range")]).toEqual([206, "234", "bytes 2-4/10"]);
    const parts = await ask("/ten.txt", "Range: bytes=0-1,8-9");
    expect(parts.field("content-type")).toMatch(/^multipart\/byteranges; boundary=/);
    expect((await ask("/ten.txt", "Range: bytes=99-")).status).toBe(416);
    expect((await ask("/ten.txt", `If-None-Match: ${etag}`)).status).toBe(304);
    expect((await ask("/ten.txt", `If-Modified-Since: ${modified}`)).status).toBe(304);
    expect((await ask("/ten.txt", 'If-Match: "other"')).status).toBe(412);
    expect((await ask("/ten.txt", 'If-Range: "other"', "Range: bytes=2-4")).status).toBe(200);
    expect((await ask("/empty")).status).toBe(204);
    const missing = await ask("/missing");
    expect([missing.status, missing.field("content-type")]).toEqual([404, "text/html"]);
    const head = await request(wall.port, get("/ten.txt", ["Host: files.test"], "HEAD"));
    expect([head.status, head.field("content-length"), head.field("etag")]).toEqual([200, "10", etag]);
  }, TEST_MS_MAX);
}

for (const pairing of [...PAIRINGS, ...BUILT]) {
  const [gateway, agent] = pairing;
  describe(`gateway on ${gateway}, agent on ${agent}`, () => {
    const isSource = PAIRINGS.includes(pairing);
    const wall = useWall(pairing);
    describeCore(wall);
    if (isSource) describeDetails(wall, gateway);
  });
}
