/**
 * Tests of the one reading of a request: what is refused, what passes unchanged, and what never goes on.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  parseHost,
  pathReadings,
  type RawRequest,
  readRequest,
  removeNominated,
  REQUEST_FIELDS_MAX,
  type RequestFault,
  type RequestReading,
} from "../../lib/http/reading.ts";

const HEAD_BYTES_MAX = 4096;

function raw(fields: string[], url = "/", method = "GET", httpVersion = "1.1"): RawRequest {
  return { method, url, httpVersion, rawHeaders: fields };
}

function read(fields: string[], url = "/", method = "GET", httpVersion = "1.1"): RequestReading {
  const reading = readRequest(raw(fields, url, method, httpVersion), HEAD_BYTES_MAX);
  if ("detail" in reading) throw new Error(reading.detail);
  return reading;
}

function fault(fields: string[], url = "/", method = "GET", httpVersion = "1.1"): RequestFault {
  const reading = readRequest(raw(fields, url, method, httpVersion), HEAD_BYTES_MAX);
  if (!("detail" in reading)) throw new Error("The request was taken");
  return reading;
}

describe("host", () => {
  test("a host name is read in one way", () => {
    const cases: [string, string | undefined][] = [
      ["example.com", "example.com"],
      ["EXAMPLE.com:8080", "example.com"],
      ["example.com.", "example.com"],
      ["[::1]:80", "[::1]"],
      ["[2001:DB8::1]", "[2001:db8::1]"],
      ["127.0.0.1:65535", "127.0.0.1"],
      ["a_b.example", "a_b.example"],
      ["", undefined],
      [".", undefined],
      ["a..b", undefined],
      [".a", undefined],
      ["a:b:80", undefined],
      ["::1", undefined],
      ["a:", undefined],
      ["a:65536", undefined],
      ["a:8o", undefined],
      ["a:-1", undefined],
      ["user@a", undefined],
      ["a/b", undefined],
      ["a\\b", undefined],
      ["a?b", undefined],
      ["a#b", undefined],
      ["a b", undefined],
      [" a", undefined],
      ["a,b c", undefined],
      ["a\x00", undefined],
      ["a\u00e9", undefined],
      ["[::1", undefined],
      ["[::1]x", undefined],
      ["[a]", "[a]"],
      ["[g::]", undefined],
      ["a".repeat(255), "a".repeat(255)],
      ["a".repeat(256), undefined],
    ];
    for (const [given, expected] of cases) expect([given, parseHost(given)]).toEqual([given, expected]);
    expect(cases).toHaveLength(33);
  });

  test("exactly one Host", () => {
    expect(fault([])).toEqual({ status: 400, detail: "Host is missing" });
    expect(fault(["Host", "a", "host", "a"]).status).toBe(400);
    expect(fault(["Host", "a", "HOST", "b"]).status).toBe(400);
    expect(read(["hOsT", "A.example:80"])).toMatchObject({ authority: "A.example:80", host: "a.example" });
  });

  test("no host that parses holds what a URL would split", () => {
    fc.assert(fc.property(fc.string({ maxLength: 40 }), (text) => {
      const host = parseHost(text);
      if (host === undefined) return;
      expect(host).toMatch(/^[^\s/?#@\\A-Z]+$/);
      expect(parseHost(host)).toBe(host);
    }));
  });
});

describe("target", () => {
  test("origin-form passes byte for byte", () => {
    const targets = [
      "/",
      "/a?b=c&d",
      "//x",
      "/a/../b",
      "/%2e%2e/",
      "/\\",
      "/é".replace("é", "\u00e9"),
      "/?",
      "/;a=b",
    ];
    for (const target of targets) expect(read(["Host", "a"], target).target).toBe(target);
  });

  test("absolute-form must name the host of Host", () => {
    expect(read(["Host", "a.b:80"], "http://A.B:80/p?q").target).toBe("/p?q");
    expect(read(["Host", "a"], "HTTPS://a").target).toBe("/");
    expect(read(["Host", "a"], "http://a?q").target).toBe("/?q");
    const refused = [
      "http://b/",
      "http://a:80/",
      "http://a@b/",
      "http://b@a/",
      "http:///",
      "http:/a/",
      "ftp://a/",
      "javascript:alert(1)",
      "a/b",
      "",
      "?q",
      "*",
      "a:443",
      "/a b",
      "/a#b",
      "/a\tb",
      "/a\x00",
      "/a\x7f",
      "/\u0100",
    ];
    for (const target of refused) {
      expect([target, fault(["Host", "a"], target).status]).toEqual([target, 400]);
    }
    expect(refused).toHaveLength(19);
  });

  test("* is for OPTIONS alone", () => {
    expect(read(["Host", "a"], "*", "OPTIONS").target).toBe("*");
    expect(fault(["Host", "a"], "*", "GET").status).toBe(400);
  });

  test("methods are tokens, CONNECT is not served", () => {
    expect(read(["Host", "a"], "/", "purge").method).toBe("purge");
    expect(fault(["Host", "a"], "/", "CONNECT").status).toBe(405);
    for (const method of ["", "G ET", "GET\r\n", "G(T", "G\u00e9T"]) {
      expect(fault(["Host", "a"], "/", method).status).toBe(400);
    }
  });

  test("paths are read as a tidying server would read them", () => {
    const cases: [string, string[]][] = [
      ["/a/b", ["/a/b"]],
      ["/a/b?c=/../d", ["/a/b"]],
      ["/a/../b", ["/a/../b", "/b"]],
      ["/a/./b/", ["/a/./b/", "/a/b/"]],
      ["/a//b", ["/a//b", "/a/b"]],
      ["/%61", ["/%61", "/a"]],
      ["/a%2fb", ["/a%2fb", "/a/b"]],
      ["/%2e%2E/b", ["/%2e%2E/b", "/b"]],
      ["/a\\..\\b", ["/a\\..\\b", "/b"]],
      ["/a;x/b", ["/a;x/b", "/a/b"]],
      ["/a/..;/b", ["/a/..;/b", "/b"]],
      ["/../../etc", ["/../../etc", "/etc"]],
      ["/a/..", ["/a/..", "/"]],
      ["/.well-known/x", ["/.well-known/x"]],
      ["/%zz", ["/%zz"]],
      ["/%", ["/%"]],
    ];
    for (const [target, expected] of cases) {
      expect([target, pathReadings(target)]).toEqual([target, expected]);
    }
    expect(cases).toHaveLength(16);
  });

  test("a tidied path has nothing left to tidy but what was encoded twice", () => {
    const part = fc.constantFrom("a", "..", ".", "", "%2e", "%2f", "\\", ";x", "b");
    fc.assert(fc.property(fc.array(part, { maxLength: 8 }), (parts) => {
      const [first, tidy = first] = pathReadings(`/${parts.join("/")}`);
      if (tidy === first) return;
      expect(tidy!.startsWith("/")).toBe(true);
      expect(tidy!.split("/").includes("..")).toBe(false);
      expect(tidy!.includes("//")).toBe(false);
    }));
  });
});

describe("framing", () => {
  test("two readings of a length are refused", () => {
    const cases: [string[], string?][] = [
      [["Content-Length", "5", "Content-Length", "5"]],
      [["Content-Length", "5", "content-length", "6"]],
      [["Content-Length", "5, 6"]],
      [["Content-Length", "+5"]],
      [["Content-Length", "-5"]],
      [["Content-Length", "0x5"]],
      [["Content-Length", "5 "]],
      [["Content-Length", ""]],
      [["Content-Length", "9007199254740993"]],
      [["Content-Length", "1".repeat(400)]],
      [["Content-Length", "5", "Transfer-Encoding", "chunked"]],
      [["Transfer-Encoding", "gzip, chunked"]],
      [["Transfer-Encoding", "chunked", "Transfer-Encoding", "chunked"]],
      [["Transfer-Encoding", "identity"]],
      [["Transfer-Encoding", "xchunked"]],
      [["Transfer-Encoding", "\x0bchunked"]],
      [["Transfer_Encoding", "chunked"]],
      [["Content_Length", "5"]],
      [["Content-Length", "5", "Content_Length", "6"]],
      [["Transfer-Encoding", "chunked"], "1.0"],
    ];
    for (const [fields, version] of cases) {
      expect([fields, fault(["Host", "a", ...fields], "/", "POST", version).status]).toEqual([fields, 400]);
    }
    expect(cases).toHaveLength(20);
  });

  test("a body is told by its framing, whatever the method", () => {
    expect(read(["Host", "a"])).toMatchObject({ hasBody: false, contentLength: -1 });
    expect(read(["Host", "a", "Content-Length", "0"], "/", "POST")).toMatchObject({ hasBody: false });
    expect(read(["Host", "a", "Content-Length", "3"], "/", "GET")).toMatchObject({
      hasBody: true,
      contentLength: 3,
    });
    expect(read(["Host", "a", "Transfer-Encoding", "Chunked"])).toMatchObject({ hasBody: true });
  });

  test("only HTTP/1.0 and HTTP/1.1 are spoken", () => {
    expect(fault(["Host", "a"], "/", "GET", "2.0").status).toBe(400);
    expect(fault(["Host", "a"], "/", "GET", "0.9").status).toBe(400);
    const old = read(["Host", "a", "Connection", "Upgrade", "Upgrade", "x"], "/", "GET", "1.0");
    expect(old.upgrade).toBeUndefined();
  });
});

describe("limits", () => {
  test("a head over the limit gets 431, one at the limit passes", () => {
    const rest = "GET".length + "/".length + "Host".length + "a".length + 4 + "X".length + 4;
    const value = "v".repeat(HEAD_BYTES_MAX - rest);
    expect(read(["Host", "a", "X", value]).fields).toHaveLength(4);
    expect(fault(["Host", "a", "X", `${value}v`]).status).toBe(431);
    expect(fault(["Host", "a"], `/${"p".repeat(HEAD_BYTES_MAX)}`).status).toBe(431);
  });

  test("too many fields get 431", () => {
    const fields = ["Host", "a"];
    while (fields.length < 2 * REQUEST_FIELDS_MAX) fields.push("A", "b");
    expect(read(fields).fields).toHaveLength(2 * REQUEST_FIELDS_MAX);
    expect(fault([...fields, "A", "b"]).status).toBe(431);
  });
});

describe("fields", () => {
  test("order, case and repetition stay", () => {
    const fields = ["hOST", "a", "X-b", "1", "x-B", "2", "Cookie", "a=b", "Set-Cookie", "", "X", "\u00ff"];
    expect(read(fields).fields).toEqual(fields);
  });

  test("fields of one hop end here, and so does what is written with underscores", () => {
    const gone = [
      ...["Connection", "keep-alive", "Keep-Alive", "timeout=5", "Proxy-Connection", "x"],
      ...["Proxy-Authorization", "secret", "Upgrade", "h2c", "HTTP2-Settings", "AAA", "TE", "gzip"],
      ...["Forwarded", "for=x", "X-Forwarded-For", "1.1.1.1", "X-Forwarded-Host", "h"],
      ...["X-Forwarded-Proto", "https", "X-Forwarded-Port", "1", "X-Real-IP", "1.1.1.1"],
      ...["X_Forwarded_For", "2.2.2.2", "X-Forwarded_For", "3.3.3.3", "x_real_ip", "1"],
      ...["X-Forwarded-Prefix", "/", "X-Forwarded-Server", "s", "X-Forwarded-Ssl", "on"],
    ];
    const reading = read(["Host", "a", ...gone, "X", "y"]);
    expect(reading.fields).toEqual(["Host", "a", "X", "y"]);
    expect(reading.forwarded.xForwardedFor).toBe("1.1.1.1, 2.2.2.2, 3.3.3.3");
  });

  test("TE keeps trailers and nothing else", () => {
    expect(read(["Host", "a", "TE", "gzip, trailers;q=0.5"]).fields).toEqual(["Host", "a", "TE", "trailers"]);
  });

  test("Connection removes what it names, but not what makes the request what it is", () => {
    const essential = [
      ...["Host", "a", "Content-Length", "3", "Content-Type", "t", "Authorization", "s", "Cookie", "c"],
    ];
    const nominate = "X-Secret, host, content-length, content-type, AUTHORIZATION, cookie, transfer-encoding";
    const reading = read([...essential, "x-secret", "1", "Connection", nominate], "/", "POST");
    expect(reading.fields).toEqual(essential);
    expect(removeNominated(["A", "1", "b", "2", "B", "3"], ["b", ""])).toEqual(["A", "1"]);
  });

  test("an upgrade counts only when Connection names it", () => {
    expect(read(["Host", "a", "Upgrade", "websocket"]).upgrade).toBeUndefined();
    expect(read(["Host", "a", "Connection", "Upgrade"]).upgrade).toBeUndefined();
    expect(read(["Host", "a", "Connection", "x, uPGRADE", "Upgrade", "a", "Upgrade", "b"]).upgrade).toBe(
      "a, b",
    );
  });
});
