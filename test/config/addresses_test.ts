/**
 * Addresses of gateways, targets and listeners: each form, each mistake, and that no message shows a password.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  formatTarget,
  isRawTarget,
  parseGatewayAddress,
  parseServiceTarget,
  parseTarget,
  type Target,
  UNIX_PATH_BYTES_MAX,
} from "../../lib/config/addresses.ts";
import {
  domainName,
  formatListenAddress,
  type ListenAddress,
  parseCidr,
  parseListenAddress,
} from "../../lib/config/listen.ts";
import { parseDoorAddress } from "../../lib/config/door.ts";
import { ValueError } from "../../lib/config/units.ts";
import { ServiceNameError } from "../../lib/service_name.ts";

type Cases = [string, RegExp][];
function refusesAll(parse: (text: string) => unknown, cases: Cases, length: number): void {
  for (const [text, message] of cases) {
    expect(() => parse(text)).toThrow(ValueError);
    expect(() => parse(text)).toThrow(message);
  }
  expect(cases).toHaveLength(length);
}

describe("parseGatewayAddress()", () => {
  test("reads WebSocket URLs and sockets, and adds the path of links", () => {
    const cases: [string, string, number, string][] = [
      ["wss://gw.example.com", "gw.example.com", 443, "wss://gw.example.com/.netwall/link"],
      ["wss://gw.example.com/", "gw.example.com", 443, "wss://gw.example.com/.netwall/link"],
      ["wss://gw.example.com/tunnel", "gw.example.com", 443, "wss://gw.example.com/tunnel"],
      ["ws://127.0.0.1:8080", "127.0.0.1", 8080, "ws://127.0.0.1:8080/.netwall/link"],
      ["WS://GW.Example.com", "gw.example.com", 80, "ws://gw.example.com/.netwall/link"],
      ["wss://[::1]:8443", "::1", 8443, "wss://[::1]:8443/.netwall/link"],
    ];
    for (const [text, host, port, url] of cases) {
      const secure = url.startsWith("wss");
      expect(parseGatewayAddress(text)).toEqual({ kind: "websocket", secure, host, port, url });
    }
    expect(cases).toHaveLength(6);
    expect(parseGatewayAddress("unix:/run/gw.sock")).toEqual({ kind: "unix", path: "/run/gw.sock" });
  });
  test("refuses everything else", () => {
    refusesAll(parseGatewayAddress, [
      ["https://gw.example.com", /^gateway begins with https: write wss:\/\/gw.example.com$/],
      ["http://gw:1", /write ws:\/\/gw:1$/],
      ["gw.example.com", /is no valid address: write wss:\/\/HOST, ws:\/\/HOST:PORT or unix:PATH$/],
      ["gw.example.com:443", /is no valid address/],
      ["ftp://gw", /is none that can be dialled/],
      ["wss://", /is no valid address|names no host/],
      ["wss:gw", /is no valid address/],
      ["wss://a b", /is no valid address/],
      ["wss://a\\b", /is no valid address/],
      ["ws\ns://a", /is no valid address/],
      ["wss://gw:0", /has port 0/],
      ["wss://gw:99999", /is no valid address/],
      ["wss://gw?token=hunter2", /has a query .*: use --token-file or NETWALL_TOKEN for a token$/],
      ["wss://gw/#hunter2", /has a query or fragment/],
      ["wss://user:hunter2@gw", /has a user name or password in its address: leave out/],
      ["wss://hunter2@gw", /has a user name or password/],
      ["https://u:hunter2@gw", /has a user name or password/],
      ["u:hunter2@gw", /has a user name or password/],
      ["wss:/u:hunter2@gw", /has a user name or password/],
      ["wss://u:hunter2@gw:99999", /has a user name or password/],
      [`wss://${"a".repeat(3000)}`, /is too long: at most 2048/],
      ["unix:", /names no path: write unix:\/run/],
      ["unix:///run/x", /two slashes too many: write unix:\/run\/x$/],
      [`unix:/${"a".repeat(UNIX_PATH_BYTES_MAX)}`, /is too long: at most 107 bytes/],
      [`unix:/${"\u00e9".repeat(54)}`, /is too long/],
      ["unix:/a\0b", /holds a zero byte/],
    ], 26);
  });
});

describe("parseTarget()", () => {
  test("reads the address of a target", () => {
    expect(parseTarget("http://localhost:3000")).toEqual({
      kind: "http",
      secure: false,
      host: "localhost",
      port: 3000,
    });
    expect(parseTarget("http://localhost/")).toEqual({
      kind: "http",
      secure: false,
      host: "localhost",
      port: 80,
    });
    expect(parseTarget("https://a.b")).toEqual({ kind: "http", secure: true, host: "a.b", port: 443 });
    expect(parseTarget("http://[::1]:1")).toEqual({ kind: "http", secure: false, host: "::1", port: 1 });
    expect(parseTarget("unix:/run/web.sock")).toEqual({ kind: "unix", path: "/run/web.sock" });
    for (const text of ["http://localhost:3000", "https://[::1]:443", "unix:a.sock"]) {
      expect(formatTarget(parseTarget(text))).toBe(text);
    }
  });
  test("refuses everything else", () => {
    refusesAll(parseTarget, [
      [
        "http://localhost/base",
        /^a target is an address, paths pass through unchanged: write http:\/\/localhost$/,
      ],
      ["tcp://localhost", /has no port: write tcp:\/\/localhost:5432$/],
      ["tls://localhost/", /has no port: write tls:\/\/localhost:5432$/],
      ["tcp://a:1/base", /^a target is an address, paths pass through unchanged: write tcp:\/\/a:1$/],
      ["tcp://a:1//", /^a target is an address/],
      ["tcp://a:0", /has port 0: write a real one/],
      ["tcp://a:65536", /is no valid address/],
      ["tcp:a:1", /is no valid address/],
      ["tcp://a%20b:1", /names no valid host: write tcp:\/\/HOST:PORT$/],
      ["tcp://[::g]:1", /is no valid address/],
      ["tcp://u:hunter2@a:1", /^target has a user name or password/],
      ["tls://a:1?x=hunter2", /has a query/],
      [
        "udp://a:1",
        /is none of http:\/\/HOST:PORT, https:\/\/HOST:PORT, tcp:\/\/HOST:PORT, tls:.* unix\+tcp:PATH/,
      ],
      ["unix+tcp:", /^unix\+tcp: names no path: write unix\+tcp:\/run/],
      ["unix+tcp:///run/x", /two slashes too many: write unix\+tcp:\/run\/x$/],
      [`unix+tcp:/${"a".repeat(UNIX_PATH_BYTES_MAX)}`, /is too long: at most 107 bytes/],
      ["unix+tcp:/a\0b", /holds a zero byte/],
      ["unix+http:/x", /is no valid address: write http/],
      ["ws://localhost", /is none of/],
      ["file:///etc/passwd", /is none of|names no host/],
      ["localhost:3000", /has no scheme: write http:\/\/localhost:3000$/],
      ["localhost", /has no scheme: write http:\/\/localhost$/],
      ["3000", /is a port alone: write http:\/\/localhost:3000$/],
      ["http://localhost?x=hunter2", /has a query/],
      ["http://u:hunter2@localhost", /user name or password/],
      ["", /is no valid address/],
    ], 26);
  });
  test("reads raw targets, whose host is read as that of a URL of the web", () => {
    const cases: [string, Target, string?][] = [
      ["tcp://localhost:5432", { kind: "tcp", secure: false, host: "localhost", port: 5432 }],
      ["tls://10.0.0.8:993", { kind: "tcp", secure: true, host: "10.0.0.8", port: 993 }],
      ["tcp://[::1]:1", { kind: "tcp", secure: false, host: "::1", port: 1 }],
      // Ports that a URL of the web would leave out stay.
      ["tcp://a:80", { kind: "tcp", secure: false, host: "a", port: 80 }],
      ["tls://a:443", { kind: "tcp", secure: true, host: "a", port: 443 }],
      ["TCP://A.Example:1/", { kind: "tcp", secure: false, host: "a.example", port: 1 }, "tcp://a.example:1"],
      ["tcp://127.1:1", { kind: "tcp", secure: false, host: "127.0.0.1", port: 1 }, "tcp://127.0.0.1:1"],
      ["tcp://a_b:1", { kind: "tcp", secure: false, host: "a_b", port: 1 }],
      ["unix+tcp:/run/db.sock", { kind: "unix+tcp", path: "/run/db.sock" }],
      ["unix+tcp:db+tcp.sock", { kind: "unix+tcp", path: "db+tcp.sock" }],
    ];
    for (const [text, target, formatted] of cases) {
      expect(parseTarget(text)).toEqual(target);
      expect(formatTarget(parseTarget(text))).toBe(formatted ?? text);
      expect(isRawTarget(parseTarget(text))).toBe(true);
    }
    expect(cases).toHaveLength(10);
    for (const text of ["http://a", "https://a", "unix:/a"]) {
      expect(isRawTarget(parseTarget(text))).toBe(false);
    }
    expect(parseServiceTarget("db=unix+tcp:/a=b")).toMatchObject({ service: "db", target: { path: "/a=b" } });
  });
});

test("parseServiceTarget() reads SERVICE=TARGET and nothing less", () => {
  expect(parseServiceTarget("web=http://localhost:3000")).toEqual({
    service: "web",
    target: { kind: "http", secure: false, host: "localhost", port: 3000 },
  });
  expect(parseServiceTarget("web=unix:/a=b")).toEqual({
    service: "web",
    target: { kind: "unix", path: "/a=b" },
  });
  expect(() => parseServiceTarget("http://localhost")).toThrow(
    /has no "=": write SERVICE=TARGET, such as web=http/,
  );
  expect(() => parseServiceTarget("Web=http://localhost")).toThrow(ServiceNameError);
  expect(() => parseServiceTarget("=http://localhost")).toThrow(/service name is missing/);
  expect(() => parseServiceTarget("web=")).toThrow(/is no valid address/);
});

test("no message repeats a password or a query", () => {
  const texts = [
    "wss://u:hunter2@gw",
    "http://u:hunter2@gw/x",
    "u:hunter2@gw",
    "ws://gw/?t=hunter2",
    "x=u:hunter2@g",
  ];
  let checked = 0;
  for (const text of texts) {
    for (const parse of [parseGatewayAddress, parseTarget, (it: string) => parseServiceTarget(`a=${it}`)]) {
      let message = "";
      try {
        parse(text);
      } catch (error) {
        message = String(error);
      }
      expect(message).toMatch(/^ValueError: /);
      expect(message).not.toContain("hunter2");
      checked += 1;
    }
  }
  expect(checked).toBe(15);
  expect(() => parseServiceTarget("http://u:hunter2@gw")).toThrow(/^no service is named/);
});

describe("parseListenAddress()", () => {
  test("reads every form, and formats it back", () => {
    const cases: [string, ListenAddress, string?][] = [
      ["0.0.0.0:8080", { kind: "tcp", host: "0.0.0.0", port: 8080 }],
      ["localhost:0", { kind: "tcp", host: "localhost", port: 0 }],
      ["[::1]:443", { kind: "tcp", host: "::1", port: 443 }],
      [":8080", { kind: "tcp", host: "0.0.0.0", port: 8080 }, "0.0.0.0:8080"],
      ["unix:/run/x.sock", { kind: "unix", path: "/run/x.sock" }],
      ["off", { kind: "off" }],
    ];
    for (const [text, address, formatted] of cases) {
      expect(parseListenAddress(text)).toEqual(address);
      expect(formatListenAddress(parseListenAddress(text))).toBe(formatted ?? text);
    }
    expect(cases).toHaveLength(6);
  });
  test("refuses everything else", () => {
    refusesAll(parseListenAddress, [
      ["8080", /is a port alone: write :8080 or 127.0.0.1:8080$/],
      ["localhost", /has no port: write HOST:PORT/],
      ["http://localhost:1", /is a URL: write an address/],
      ["::1:8080", /IPv6 address without brackets: write \[::1\]:8080$/],
      ["[::1]", /is no address to listen on|has no port/],
      ["[::g]:1", /is no address/],
      ["[1.2.3.4]:1", /has no valid host/],
      ["1.2.3:80", /has no valid host/],
      ["256.1.1.1:80", /has no valid host/],
      ["a b:80", /has no valid host/],
      ["a:65536", /^port 65536 is too large: at most 65535/],
      ["a:-1", /is no address/],
      ["a:", /is no address/],
      ["", /has no port/],
      ["OFF", /has no port/],
    ], 15);
    expect(() => parseListenAddress("off", false)).toThrow(
      /has no port: write HOST:PORT, \[::1\]:PORT, :PORT or unix:PATH$/,
    );
  });
});

test("parseCidr() reads networks in canonical text", () => {
  expect(["10.0.0.0/8", "1.2.3.4", "FD00::/8", "::1", "0.0.0.0/0", "::/0"].map(parseCidr)).toEqual([
    "10.0.0.0/8",
    "1.2.3.4/32",
    "fd00::/8",
    "::1/128",
    "0.0.0.0/0",
    "::/0",
  ]);
  refusesAll(parseCidr, [
    ["10.0.0.1/8", /has address bits beyond its length: write 10.0.0.0\/8$/],
    ["fd00::1/8", /write fd00::\/8$/],
    ["10.0.0.0/33", /is no network: write one such as 10.0.0.0\/8/],
    ["10.0.0.0/", /is no network/],
    ["10.0.0.0/8/8", /is no network/],
    ["10/8", /is no network/],
    ["0x0a.0.0.0/8", /is no network/],
    ["fe80::%eth0/10", /is no network/],
    ["localhost", /is no network/],
    ["", /is no network/],
  ], 10);
});

test("a domain is a name below which services fit", () => {
  const schema = domainName();
  expect(schema.parse("Apps.Example.COM.")).toBe("apps.example.com");
  for (
    const text of [
      "",
      ".",
      "*.a",
      "a:1",
      "1.2.3.4",
      "[::1]",
      "https://a",
      "a..b",
      "a".repeat(64),
      "a.".repeat(95) + "a",
    ]
  ) {
    expect(schema.safeParse(text).error?.issues[0]?.message).toMatch(/is no domain name: write one such as/);
  }
});

test("no text makes a parser of addresses throw anything but its own errors", () => {
  const parsers = [
    parseGatewayAddress,
    parseTarget,
    parseServiceTarget,
    parseListenAddress,
    parseCidr,
    parseDoorAddress,
  ];
  const part = fc.constantFrom(
    "wss://",
    "http://",
    "tcp://",
    "tls://",
    "unix+tcp:",
    "unix:",
    "[",
    "]",
    "::1",
    "1.2.3.4",
    "/",
    ":",
    "@",
    "=",
    "web",
    "80",
    "%",
    "..",
  );
  const text = fc.oneof(fc.string(), fc.array(part, { maxLength: 8 }).map((parts) => parts.join("")));
  fc.assert(
    fc.property(text, (text) => {
      for (const parse of parsers) {
        try {
          parse(text);
        } catch (error) {
          expect(error instanceof ValueError || error instanceof ServiceNameError).toBe(true);
        }
      }
    }),
    { numRuns: 500 },
  );
});
