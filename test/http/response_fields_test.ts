/**
 * Tests of what is checked in an answer before a visitor sees it.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { readResponse, type ResponseReading } from "../../lib/http/response_fields.ts";

function read(status: number, fields: string[], method = "GET", reason = "OK"): ResponseReading | undefined {
  return readResponse({ status, reason, fields }, method);
}

test("an answer that cannot be written safely is refused", () => {
  const cases: string[][] = [
    ["X", "a\r\nSet-Cookie: b"],
    ["X", "a\nb"],
    ["X", "a\rb"],
    ["X", "\x00"],
    ["X", "\u010a"],
    ["X\r\nY", "a"],
    ["X ", "a"],
    ["", "a"],
    ["X:", "a"],
    ["Content-Length", "5", "Content-Length", "6"],
    ["Content-Length", "5, 6"],
    ["Content-Length", "-1"],
    ["Content-Length", "x"],
    ["Content-Length", "5", "Transfer-Encoding", "chunked"],
    ["Transfer-Encoding", "gzip, chunked"],
    ["transfer-encoding", "chunked", "Transfer-Encoding", "chunked"],
  ];
  for (const fields of cases) expect([fields, read(200, fields)]).toEqual([fields, undefined]);
  expect(cases).toHaveLength(16);
  expect(read(200, [], "GET", "OK\r\nX: y")).toBeUndefined();
});

test("fields of one hop end here, the others keep order and case", () => {
  const fields = [
    ...["Set-Cookie", "a=1", "Connection", "close, X-Hop", "x-hop", "1", "Keep-Alive", "timeout=5"],
    ...["Transfer-Encoding", "chunked", "Upgrade", "h2c", "Proxy-Authenticate", "Basic", "TE", "trailers"],
    ...["Proxy-Connection", "close", "set-cookie", "b=2", "Trailer", "X-T"],
  ];
  expect(read(200, fields)?.fields).toEqual(["Set-Cookie", "a=1", "set-cookie", "b=2", "Trailer", "X-T"]);
});

test("Connection cannot name away the length", () => {
  const answer = read(200, ["Connection", "content-length", "Content-Length", "5"]);
  expect(answer).toMatchObject({ fields: ["Content-Length", "5"], bodyBytes: 5 });
});

test("one length is written once and plainly", () => {
  expect(read(200, ["Content-Length", "5", "X", "y", "content-length", "5"])?.fields)
    .toEqual(["Content-Length", "5", "X", "y"]);
  expect(read(200, ["Content-Length", "5, 5"])?.fields).toEqual(["Content-Length", "5"]);
  expect(read(200, ["Content-Length", "0005"])?.fields).toEqual(["Content-Length", "5"]);
});

test("where there can be no body, none may follow", () => {
  expect(read(200, ["Content-Length", "5"], "HEAD")).toMatchObject({
    bodyBytes: 0,
    fields: ["Content-Length", "5"],
  });
  expect(read(304, ["Content-Length", "5"])).toMatchObject({ bodyBytes: 0, fields: ["Content-Length", "5"] });
  expect(read(204, ["Content-Length", "5"])).toMatchObject({ bodyBytes: 0, fields: [] });
  expect(read(103, ["Content-Length", "5", "Link", "x"])).toMatchObject({
    bodyBytes: 0,
    fields: ["Link", "x"],
  });
  expect(read(200, [])).toMatchObject({ bodyBytes: -1 });
  expect(read(200, ["Content-Length", "0"])).toMatchObject({ bodyBytes: 0 });
});

test("no service sets the cookie of the gateway's page; other cookies pass as they are", () => {
  const fields = [
    ...["Set-Cookie", "a=1", "SET-COOKIE", "netwall_session=evil; Path=/api/v1", "set-cookie", "b=2; Secure"],
    ...["Set-Cookie", "=netwall_session=evil", "Set-Cookie", " netwall_session =", "X", "netwall_session=x"],
  ];
  const kept = ["Set-Cookie", "a=1", "set-cookie", "b=2; Secure", "X", "netwall_session=x"];
  for (const status of [103, 200, 101, 304]) {
    expect([status, read(status, fields)?.fields]).toEqual([status, kept]);
  }
});
