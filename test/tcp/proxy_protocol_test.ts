/**
 * The PROXY protocol header: bytes as the specification shows them, what a plain decoder reads, what nginx reads.
 *
 * @module
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Buffer } from "node:buffer";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import ipaddr from "ipaddr.js";
import {
  AUTHORITY_BYTES_MAX,
  encodeProxyHeader,
  type Endpoint,
  parseEndpoint,
} from "../../lib/tcp/proxy_protocol.ts";
import { HAS_NGINX, NGINX_PATH } from "../support/nginx.ts";

const end = (address: string, port: number): Endpoint => ({ address, port });
const v1 = (source?: Endpoint, destination?: Endpoint): string =>
  Buffer.from(encodeProxyHeader(1, source, destination)).toString("latin1");
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

const SIGNATURE = "0d0a0d0a000d0a515549540a";

describe("encodeProxyHeader(1)", () => {
  const cases: [Endpoint | undefined, Endpoint | undefined, string][] = [
    [end("192.168.0.1", 56324), end("192.168.0.11", 443), "TCP4 192.168.0.1 192.168.0.11 56324 443"],
    [end("255.255.255.255", 65535), end("0.0.0.0", 0), "TCP4 255.255.255.255 0.0.0.0 65535 0"],
    [end("2001:db8::1", 1), end("::1", 2), "TCP6 2001:db8::1 ::1 1 2"],
    [end("2001:DB8:0:0:1:0:0:1", 1), end("::", 2), "TCP6 2001:db8::1:0:0:1 :: 1 2"],
    [end("1:0:0:2:0:0:0:3", 1), end("1:2:3:4:5:6:7:8", 2), "TCP6 1:0:0:2::3 1:2:3:4:5:6:7:8 1 2"],
    [end("1:0:2:3:4:5:6:7", 1), end("1::", 2), "TCP6 1:0:2:3:4:5:6:7 1:: 1 2"],
    [end("1:0:0:2:3:0:0:4", 1), end("::2", 2), "TCP6 1::2:3:0:0:4 ::2 1 2"],
    // "0:0" also stands at the end of "10:0": no group may be torn.
    [end("10:0:0:1:2:3:4:5", 1), end("1:2:3:4:50:0:0:50", 2), "TCP6 10::1:2:3:4:5 1:2:3:4:50::50 1 2"],
    [end("10:0:5:0:0:1:2:3", 1), end("1:2:3:4:5:6:0:0", 2), "TCP6 10:0:5::1:2:3 1:2:3:4:5:6:: 1 2"],
    [end("::ffff:1.2.3.4", 1), end("::ffff:5.6.7.8", 2), "TCP4 1.2.3.4 5.6.7.8 1 2"],
    [end("::FFFF:102:304", 1), end("5.6.7.8", 2), "TCP4 1.2.3.4 5.6.7.8 1 2"],
    [end("1.2.3.4", 1), end("2001:db8::1", 2), "TCP6 ::ffff:102:304 2001:db8::1 1 2"],
    [end("2001:db8::1", 1), end("::ffff:1.2.3.4", 2), "TCP6 2001:db8::1 ::ffff:102:304 1 2"],
    // The deprecated IPv4-compatible form of RFC 4291 §2.5.5.1 is another address than the mapped one.
    [end("::1.2.3.4", 1), end("::0.0.0.0", 2), "TCP6 ::102:304 :: 1 2"],
    [end("64:ff9b::1.2.3.4", 1), end("::1", 2), "TCP6 64:ff9b::102:304 ::1 1 2"],
    [end("fe80::1%eth0", 1), end("fe80::2%2", 2), "TCP6 fe80::1 fe80::2 1 2"],
    [undefined, undefined, "UNKNOWN"],
    [end("1.2.3.4", 1), undefined, "UNKNOWN"],
    [undefined, end("1.2.3.4", 1), "UNKNOWN"],
  ];

  test.each(cases)(
    "%j to %j",
    (source: Endpoint | undefined, destination: Endpoint | undefined, says: string) => {
      expect(v1(source, destination)).toBe(`PROXY ${says}\r\n`);
    },
  );

  test("all of them", () => expect(cases).toHaveLength(19));

  test("the longest has 104 bytes, where the specification allows 107", () => {
    const long = end("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535);
    expect(v1(long, long).length).toBe(104);
  });

  test("has no place for the server name", () => {
    const [from, to] = [end("1.2.3.4", 1), end("1.2.3.5", 2)];
    expect(hex(encodeProxyHeader(1, from, to, { authority: "a.example" }))).toBe(
      hex(encodeProxyHeader(1, from, to)),
    );
  });
});

describe("encodeProxyHeader(2)", () => {
  test("IPv4", () => {
    const header = encodeProxyHeader(2, end("192.168.0.1", 56324), end("10.0.0.11", 443));
    expect(hex(header)).toBe(`${SIGNATURE}2111000cc0a800010a00000bdc0401bb`);
  });

  test("IPv6", () => {
    const header = encodeProxyHeader(2, end("2001:db8::1", 1), end("::2", 65535));
    const [source, destination] = ["20010db8000000000000000000000001", "00000000000000000000000000000002"];
    expect(hex(header)).toBe(`${SIGNATURE}21210024${source}${destination}0001ffff`);
  });

  test("two families as IPv6", () => {
    const header = encodeProxyHeader(2, end("1.2.3.4", 1), end("::1", 2));
    const [source, destination] = ["00000000000000000000ffff01020304", "00000000000000000000000000000001"];
    expect(hex(header)).toBe(`${SIGNATURE}21210024${source}${destination}00010002`);
  });

  test("nobody known, as command PROXY of no family", () => {
    expect(hex(encodeProxyHeader(2))).toBe(`${SIGNATURE}21000000`);
    expect(hex(encodeProxyHeader(2, end("1.2.3.4", 1)))).toBe(`${SIGNATURE}21000000`);
  });

  test("the server name behind the addresses", () => {
    const [from, to, options] = [end("1.2.3.4", 1), end("1.2.3.5", 2), { authority: "a.example" }];
    expect(hex(encodeProxyHeader(2, from, to, options))).toBe(
      `${SIGNATURE}21110018010203040102030500010002020009612e6578616d706c65`,
    );
    expect(hex(encodeProxyHeader(2, undefined, undefined, options))).toBe(
      `${SIGNATURE}2100000c020009612e6578616d706c65`,
    );
  });
});

describe("encodeProxyHeader() throws", () => {
  const bad: [string, Endpoint][] = [
    ["a port above the range", end("1.2.3.4", 65536)],
    ["a port below it", end("1.2.3.4", -1)],
    ["half a port", end("1.2.3.4", 1.5)],
    ["no port", end("1.2.3.4", NaN)],
    ["no address", end("", 1)],
    ["a name", end("localhost", 1)],
    ["a second header behind the address", end("1.2.3.4\r\nPROXY TCP4 6.6.6.6", 1)],
    ["brackets", end("[::1]", 1)],
    ["an address cut short", end("1.2.3", 1)],
    ["leading zeros", end("01.2.3.4", 1)],
    ["an address of nine groups", end("1:2:3:4:5:6:7:8:9", 1)],
  ];

  test.each(bad)("for %s", (_name: string, endpoint: Endpoint) => {
    const good = end("1.2.3.4", 1);
    for (const version of [1, 2] as const) {
      expect(() => encodeProxyHeader(version, endpoint, good)).toThrow("Cannot write a PROXY header");
      expect(() => encodeProxyHeader(version, good, endpoint)).toThrow("Cannot write a PROXY header");
    }
  });

  test("all of these", () => expect(bad).toHaveLength(11));

  test("for a server name that is empty or too long", () => {
    const write = (authority: string): Uint8Array =>
      encodeProxyHeader(2, undefined, undefined, { authority });
    expect(write("a".repeat(AUTHORITY_BYTES_MAX)).length).toBe(16 + 3 + 255);
    expect(() => write("a".repeat(AUTHORITY_BYTES_MAX + 1))).toThrow("the server name has 256 bytes");
    expect(() => write("")).toThrow("the server name has 0 bytes");
  });

  test("nothing for a zone, whatever stands in it, and writes none of it", () => {
    expect(v1(end("fe80::1%\r\nevil", 1), end("::1", 2))).toBe("PROXY TCP6 fe80::1 ::1 1 2\r\n");
  });
});

describe("parseEndpoint()", () => {
  const good: [string, Endpoint][] = [
    ["1.2.3.4:5", end("1.2.3.4", 5)],
    ["1.2.3.4:0", end("1.2.3.4", 0)],
    ["255.255.255.255:65535", end("255.255.255.255", 65535)],
    ["[::1]:5", end("::1", 5)],
    ["[::ffff:1.2.3.4]:5", end("::ffff:1.2.3.4", 5)],
    ["[2001:DB8::1]:443", end("2001:DB8::1", 443)],
    ["[fe80::1%eth0]:443", end("fe80::1", 443)],
    [
      `[${"ffff:".repeat(6)}255.255.255.255%interface-of-15]:65535`,
      end(`${"ffff:".repeat(6)}255.255.255.255`, 65535),
    ],
  ];
  test.each(good)("%s", (text: string, endpoint: Endpoint) => {
    expect(parseEndpoint(text)).toEqual(endpoint);
  });

  const bad = [
    "",
    ":",
    ":5",
    "1.2.3.4",
    "1.2.3.4:",
    "1.2.3.4:65536",
    "1.2.3.4:99999",
    "1.2.3.4:123456",
    "1.2.3.4:05",
    "1.2.3.4:+5",
    "1.2.3.4:-5",
    "1.2.3.4:5 ",
    " 1.2.3.4:5",
    "1.2.3.4:5\n",
    "1.2.3.4\r\n:5",
    "1.2.3.4:5:6",
    "1.2.3:5",
    "1.2.3.256:5",
    "01.2.3.4:5",
    "1.2.3.4%eth0:5",
    "localhost:5",
    "::1:5",
    "::1",
    "[::1]",
    "[::1]5",
    "[1.2.3.4]:5",
    "[::1:5",
    "[]:5",
    "[:::]:5",
    "[1::2::3]:5",
    "[fe80::1%]:5",
    "[fe80::1%a b]:5",
    "[fe80::1%a\r\n]:5",
    `[fe80::1%${"e".repeat(100)}]:5`,
    `${"1".repeat(100_000)}:5`,
  ];
  test.each(bad.map((text) => [text.slice(0, 60), text]))("nothing of %j", (_name: string, text: string) => {
    expect(parseEndpoint(text)).toBeUndefined();
  });

  test("all of them", () => {
    expect(good).toHaveLength(8);
    expect(bad).toHaveLength(35);
  });
});

/** The address without a dotted end in IPv6: ipaddr.js takes `::1.2.3.4` for `::ffff:1.2.3.4`. */
function plainText(address: string): string {
  if (!address.includes(":")) return address;
  return address.replace(/[0-9]+(?:\.[0-9]+){3}$/, (dotted) => {
    const [a = 0, b = 0, c = 0, d = 0] = dotted.split(".").map(Number);
    return `${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`;
  });
}

/** The four values of a header of version 1 or 2, read as the specification is written. */
function naiveDecode(header: Uint8Array): { bytes: number[][]; ports: number[] } {
  const binary = Buffer.from(header);
  const text = binary.toString("latin1");
  if (text.startsWith("PROXY ")) {
    const [, family, source = "", destination = "", ...ports] = text.replace(/\r\n$/, "").split(" ");
    expect(family).toBe(source.includes(":") ? "TCP6" : "TCP4");
    // A dot in an address of IPv6 is not allowed here.
    expect(source.includes(":") && text.includes(".")).toBe(false);
    return {
      bytes: [source, destination].map((each) => ipaddr.parse(each).toByteArray()),
      ports: ports.map(Number),
    };
  }
  const size = binary[13] === 0x11 ? 4 : 16;
  expect(binary.readUInt16BE(14)).toBe(binary.length - 16);
  expect(binary.length).toBe(16 + 2 * size + 4);
  return {
    bytes: [[...binary.subarray(16, 16 + size)], [...binary.subarray(16 + size, 16 + 2 * size)]],
    ports: [binary.readUInt16BE(16 + 2 * size), binary.readUInt16BE(18 + 2 * size)],
  };
}

test("every pair of addresses is read back, in both versions", () => {
  const zeroes = fc.array(fc.constantFrom("0", "0", "10", "ffff"), { minLength: 8, maxLength: 8 });
  const address = fc.oneof(fc.ipV4(), fc.ipV6(), zeroes.map((groups) => groups.join(":")));
  const endpoint = fc.record({ address, port: fc.integer({ min: 0, max: 65535 }) });
  let runs = 0;
  fc.assert(fc.property(endpoint, endpoint, (source, destination) => {
    const parsed = [source, destination].map((each) => ipaddr.process(plainText(each.address)));
    const isMixed = parsed[0]?.kind() !== parsed[1]?.kind();
    const bytes = parsed.map((each) =>
      (isMixed && each instanceof ipaddr.IPv4 ? each.toIPv4MappedAddress() : each).toByteArray()
    );
    for (const version of [1, 2] as const) {
      const header = encodeProxyHeader(version, source, destination);
      expect(naiveDecode(header)).toEqual({ bytes, ports: [source.port, destination.port] });
      if (version === 1) expect(header.length).toBeLessThanOrEqual(107);
    }
    const isV6 = net.isIPv6(source.address);
    expect(parseEndpoint(`${isV6 ? `[${source.address}]` : source.address}:${source.port}`)).toEqual(source);
    runs += 1;
  }));
  expect(runs).toBeGreaterThanOrEqual(100);
});

describe("nginx", () => {
  const START_TIMEOUT_MS = 10_000;
  let folder = "";
  let socketPath = "";
  let nginx: ChildProcess | undefined;

  beforeAll(async () => {
    if (!HAS_NGINX) return;
    folder = mkdtempSync(join(tmpdir(), "netwall-proxy-protocol-"));
    socketPath = join(folder, "socket");
    const seen =
      "$proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_addr $proxy_protocol_server_port";
    writeFileSync(
      join(folder, "nginx.conf"),
      `daemon off; worker_processes 1; pid ${folder}/pid; error_log ${folder}/error.log;
       events { worker_connections 64; }
       http { access_log off; client_body_temp_path ${folder}; proxy_temp_path ${folder};
         fastcgi_temp_path ${folder}; uwsgi_temp_path ${folder}; scgi_temp_path ${folder};
         server { listen unix:${socketPath} proxy_protocol; location / { return 200 "[${seen}]"; } } }`,
    );
    nginx = spawn(NGINX_PATH, ["-c", join(folder, "nginx.conf"), "-e", join(folder, "error.log")], {
      stdio: "ignore",
    });
    const deadline = Date.now() + START_TIMEOUT_MS;
    while (await ask(new Uint8Array(0)) === undefined) {
      if (Date.now() > deadline || nginx.exitCode !== null) throw new Error("Cannot start nginx");
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  });

  afterAll(async () => {
    if (nginx !== undefined && nginx.exitCode === null) {
      const exit = new Promise((resolve) => nginx?.on("exit", resolve));
      nginx.kill("SIGTERM");
      await exit;
    }
    if (folder !== "") rmSync(folder, { recursive: true, force: true });
  });

  /** Sends a header and a request; undefined while nobody listens. */
  function ask(header: Uint8Array): Promise<string | undefined> {
    return new Promise((resolve) => {
      let answer = "";
      const socket = net.connect(socketPath, () => {
        socket.write(header);
        socket.write("GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n");
      });
      socket.setEncoding("latin1");
      socket.on("data", (chunk: string) => answer += chunk).on("end", () => socket.end());
      socket.on("error", () => resolve(undefined)).on("close", () => resolve(answer));
    });
  }

  test.skipIf(!HAS_NGINX)("reads every header as it is meant", async () => {
    const [v4, v6] = [end("203.0.113.7", 40123), end("2001:db8::7", 40124)];
    const pairs: [Endpoint | undefined, Endpoint | undefined, string][] = [
      [v4, end("198.51.100.1", 443), "203.0.113.7 40123 198.51.100.1 443"],
      [v6, end("2001:db8::1", 443), "2001:db8::7 40124 2001:db8::1 443"],
      [v4, v6, "::ffff:203.0.113.7 40123 2001:db8::7 40124"],
    ];
    let cases = 0;
    for (const version of [1, 2] as const) {
      for (const [source, destination, expected] of pairs) {
        const header = encodeProxyHeader(version, source, destination, { authority: "a.example" });
        // nginx repeats the text of version 1 and prints the bytes of version 2 in its own way.
        const text = version === 1 ? expected.replace("::ffff:203.0.113.7", "::ffff:cb00:7107") : expected;
        expect(await ask(header)).toContain(`[${text}]`);
        cases += 1;
      }
      // What is not known is not there.
      const unknown = await ask(encodeProxyHeader(version, undefined, undefined, { authority: "a.example" }));
      expect(unknown).toMatch(/\r\n\r\n\[ {3}\]$/);
      cases += 1;
    }
    expect(cases).toBe(8);
  });
});
