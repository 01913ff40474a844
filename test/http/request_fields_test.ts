/**
 * Tests of the fields that tell a target who called.
 *
 * @module
 */
import { expect, test } from "bun:test";
import type { RequestReading } from "../../lib/http/reading.ts";
import { readRequest } from "../../lib/http/reading.ts";
import { forwardedFields, type VisitorAddress } from "../../lib/http/request_fields.ts";

const STRANGER: VisitorAddress = { peer: "192.0.2.7", trusted: false, scheme: "http" };

function read(...fields: string[]): RequestReading {
  return readRequest({ method: "GET", url: "/", rawHeaders: fields }, 8192) as RequestReading;
}

function asMap(fields: string[]): Map<string, string[]> {
  const map = new Map<string, string[]>();
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i]!.toLowerCase();
    map.set(name, [...(map.get(name) ?? []), fields[i + 1]!]);
  }
  return map;
}

const FORGED = [
  ...["X-Forwarded-For", "6.6.6.6", "X-Forwarded-Host", "evil", "X-Forwarded-Proto", "https"],
  ...["Forwarded", "for=6.6.6.6"],
];

test("a stranger's word is replaced", () => {
  const sent = asMap(forwardedFields(read("Host", "a.example", ...FORGED), STRANGER));
  expect(sent.get("x-forwarded-for")).toEqual(["192.0.2.7"]);
  expect(sent.get("x-forwarded-host")).toEqual(["a.example"]);
  expect(sent.get("x-forwarded-proto")).toEqual(["http"]);
  expect(sent.get("forwarded")).toEqual(["for=192.0.2.7;host=a.example;proto=http"]);
});

test("a trusted proxy's word is continued", () => {
  const sent = asMap(forwardedFields(read("Host", "a", ...FORGED), { ...STRANGER, trusted: true }));
  expect(sent.get("x-forwarded-for")).toEqual(["6.6.6.6, 192.0.2.7"]);
  expect(sent.get("x-forwarded-host")).toEqual(["evil"]);
  expect(sent.get("x-forwarded-proto")).toEqual(["https"]);
  expect(sent.get("forwarded")).toEqual(["for=6.6.6.6, for=192.0.2.7;host=a;proto=http"]);
});

test("addresses and hosts that are no tokens are quoted in Forwarded", () => {
  const sent = asMap(
    forwardedFields(read("Host", "a:80"), { peer: "2001:db8::1", trusted: false, scheme: "https" }),
  );
  expect(sent.get("forwarded")).toEqual(['for="[2001:db8::1]";host="a:80";proto=https']);
  expect(sent.get("x-forwarded-for")).toEqual(["2001:db8::1"]);
});

test("an upgrade gets Connection and Upgrade anew, and the reading stays as it was", () => {
  const reading = read("Host", "a", "Connection", "Upgrade, X", "X", "1", "Upgrade", "websocket");
  const before = [...reading.fields];
  const sent = asMap(forwardedFields(reading, STRANGER, "websocket"));
  expect(sent.get("connection")).toEqual(["Upgrade"]);
  expect(sent.get("upgrade")).toEqual(["websocket"]);
  expect(sent.has("x")).toBe(false);
  expect(reading.fields).toEqual(before);
});

const SESSION = "netwall_session=0123456789012345678901234567890123456789012";

test("the cookie of the page's session goes no further, and other cookies do", () => {
  const cases: [string[], string[]][] = [
    [["Cookie", SESSION], []],
    [["cookie", `a=1; ${SESSION}; b=2`], ["cookie", "a=1; b=2"]],
    [["COOKIE", `${SESSION};a="1"`, "Cookie", SESSION, "X", SESSION], ["COOKIE", 'a="1"', "X", SESSION]],
    [["Cookie", "a=1;b;; c=2 "], ["Cookie", "a=1;b;; c=2 "]],
    [["Cookie", ""], ["Cookie", ""]],
    [["Cookie", SESSION, "Connection", "cookie"], []],
  ];
  for (const [fields, expected] of cases) {
    for (const upgrade of [undefined, "websocket"]) {
      const sent = forwardedFields(read("Host", "a", ...fields), STRANGER, upgrade);
      const end = sent.findIndex((name) => name === "Connection" || name.startsWith("X-Forwarded"));
      expect(sent.slice(2, end)).toEqual(expected);
    }
  }
  expect(cases).toHaveLength(6);
});
