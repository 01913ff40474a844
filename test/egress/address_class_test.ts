/**
 * Which addresses are public: every block of the registries, every IPv4-in-IPv6 form, every odd spelling.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  type AddressClass,
  formatAddress,
  parseAddress,
  refusedClass,
} from "../../lib/egress/address_class.ts";

type Case = readonly [AddressClass | undefined, string];

const V4: readonly Case[] = [
  ["unspecified", "0.0.0.0"],
  ["unspecified", "0.255.255.255"],
  [undefined, "1.0.0.0"],
  [undefined, "9.255.255.255"],
  ["private", "10.0.0.0"],
  ["private", "10.255.255.255"],
  [undefined, "11.0.0.0"],
  [undefined, "100.63.255.255"],
  ["shared", "100.64.0.0"],
  ["shared", "100.127.255.255"],
  [undefined, "100.128.0.0"],
  [undefined, "126.255.255.255"],
  ["loopback", "127.0.0.1"],
  ["loopback", "127.255.255.255"],
  [undefined, "128.0.0.0"],
  ["link-local", "169.254.0.0"],
  ["link-local", "169.254.169.253"],
  ["link-local", "169.254.255.255"],
  [undefined, "169.255.0.0"],
  [undefined, "172.15.255.255"],
  ["private", "172.16.0.0"],
  ["private", "172.31.255.255"],
  [undefined, "172.32.0.0"],
  ["reserved", "192.0.0.9"],
  ["documentation", "192.0.2.1"],
  ["reserved", "192.88.99.1"],
  [undefined, "192.167.255.255"],
  ["private", "192.168.0.0"],
  ["private", "192.168.255.255"],
  [undefined, "192.169.0.0"],
  ["benchmark", "198.18.0.0"],
  ["benchmark", "198.19.255.255"],
  [undefined, "198.20.0.0"],
  ["documentation", "198.51.100.1"],
  ["documentation", "203.0.113.1"],
  [undefined, "223.255.255.255"],
  ["multicast", "224.0.0.1"],
  ["multicast", "239.255.255.255"],
  ["reserved", "240.0.0.0"],
  ["reserved", "255.255.255.254"],
  ["broadcast", "255.255.255.255"],
  [undefined, "8.8.8.8"],
];

const METADATA: readonly Case[] = [
  "169.254.169.254",
  "169.254.170.2",
  "169.254.170.23",
  "169.254.0.23",
  "169.254.42.42",
  "168.63.129.16",
  "100.100.100.200",
  "192.0.0.192",
  "fd00:ec2::254",
  "FD00:0EC2:0:0:0:0:0:0254",
  "fd00:ec2::23",
  "fd20:ce::254",
  "fd00:42::42",
].map((text) => ["metadata", text]);

const V6: readonly Case[] = [
  ["unspecified", "::"],
  ["loopback", "::1"],
  ["loopback", "0:0:0:0:0:0:0:1"],
  ["discard", "100::1"],
  ["reserved", "100:0:0:1::1"],
  ["reserved", "200::1"],
  ["reserved", "1fff:ffff::1"],
  ["reserved", "2001:1::1"],
  ["benchmark", "2001:2::1"],
  ["reserved", "2001:10::1"],
  ["reserved", "2001:20::1"],
  ["reserved", "2001:1ff:ffff::1"],
  [undefined, "2001:200::1"],
  ["documentation", "2001:db8::1"],
  [undefined, "2001:4860:4860::8888"],
  [undefined, "2606:4700:4700::1111"],
  ["documentation", "3fff::1"],
  ["documentation", "3fff:fff:ffff::1"],
  ["reserved", "4000::1"],
  ["reserved", "5f00::1"],
  ["reserved", "fbff::1"],
  ["private", "fc00::1"],
  ["private", "fdff:ffff::1"],
  ["reserved", "fe00::1"],
  ["link-local", "fe80::1"],
  ["link-local", "febf::1"],
  ["site-local", "fec0::1"],
  ["site-local", "feff::1"],
  ["multicast", "ff00::1"],
  ["multicast", "ff02::1"],
];

/** IPv6 texts that hold an IPv4 address, and the class when that address is a public one. */
const hex = (a: number, b: number): string => (a << 8 | b).toString(16);
const EMBEDDINGS: readonly [string, AddressClass | undefined, (v4: readonly number[]) => string][] = [
  ["mapped", undefined, (v4) => `::ffff:${v4.join(".")}`],
  ["mapped, in hexadecimal", undefined, ([a, b, c, d]) => `::ffff:${hex(a!, b!)}:${hex(c!, d!)}`],
  ["mapped, upper case", undefined, ([a, b, c, d]) => `0:0:0:0:0:FFFF:${hex(a!, b!)}:${hex(c!, d!)}`],
  ["compatible", "reserved", (v4) => `::${v4.join(".")}`],
  ["translated", "reserved", (v4) => `::ffff:0:${v4.join(".")}`],
  ["NAT64", undefined, (v4) => `64:ff9b::${v4.join(".")}`],
  ["local NAT64 /96", "reserved", (v4) => `64:ff9b:1::${v4.join(".")}`],
  ["local NAT64 /96, of a subnet", "reserved", (v4) => `64:ff9b:1:7::${v4.join(".")}`],
  ["6to4", undefined, ([a, b, c, d]) => `2002:${hex(a!, b!)}:${hex(c!, d!)}::1`],
  ["Teredo server", "reserved", ([a, b, c, d]) => `2001:0:${hex(a!, b!)}:${hex(c!, d!)}:0:0:f7f7:f7f7`],
  [
    "Teredo client",
    "reserved",
    ([a, b, c, d]) => `2001:0:808:808:0:0:${hex(255 - a!, 255 - b!)}:${hex(255 - c!, 255 - d!)}`,
  ],
  ["ISATAP", undefined, (v4) => `2606:4700::5efe:${v4.join(".")}`],
  ["ISATAP, universal", undefined, (v4) => `2606:4700::200:5efe:${v4.join(".")}`],
];

const INNER: readonly Case[] = [
  ["loopback", "127.0.0.1"],
  ["private", "10.0.0.5"],
  ["private", "192.168.1.1"],
  ["metadata", "169.254.169.254"],
  ["link-local", "169.254.7.7"],
  ["shared", "100.64.0.1"],
  ["multicast", "224.0.0.1"],
  ["broadcast", "255.255.255.255"],
  [undefined, "8.8.4.4"],
];

const INVALID = [
  "",
  " ",
  "127.1",
  "127.0.1",
  "2130706433",
  "0x7f000001",
  "0x7f.0.0.1",
  "0177.0.0.1",
  "127.0.0.01",
  "00.0.0.0",
  "1.2.3.256",
  "1.2.3.4.5",
  "1.2.3.",
  ".1.2.3.4",
  "1.2.3.4 ",
  " 1.2.3.4",
  "1.2.3.4\n",
  "1.2.3.4\u0000",
  "1.2.3.4:80",
  "10.0.0.0/8",
  "１.2.3.4",
  "+1.2.3.4",
  "1e0.2.3.4",
  "fe80::1%eth0",
  "fe80::1%25eth0",
  "::1%",
  "[::1]",
  ":",
  ":::",
  "1::2::3",
  "1:2:3:4:5:6:7",
  "1:2:3:4:5:6:7:8:9",
  "1:2:3:4:5:6:7::8",
  ":1:2:3:4:5:6:7",
  "1:2:3:4:5:6:7:",
  "12345::",
  "::g",
  "::0x1",
  "::-1",
  "::ffff:010.0.0.1",
  "::ffff:127.1",
  "::ffff:1.2.3.4:5",
  "1.2.3.4::",
  "1:2:3:4:5:6:7:1.2.3.4",
  "localhost",
  "::1".repeat(1_000),
  "1".repeat(1_000_000),
];

describe("refusedClass()", () => {
  test.each([...V4, ...METADATA, ...V6])(
    "says %s of %s",
    (expected: AddressClass | undefined, text: string) => {
      expect(refusedClass(text)).toBe(expected);
    },
  );

  test("judges the IPv4 address inside an IPv6 address, whatever the form", () => {
    let cases = 0;
    const faults: string[] = [];
    for (const [form, whenPublic, write] of EMBEDDINGS) {
      for (const [expected, inner] of INNER) {
        cases += 1;
        const text = write(inner.split(".").map(Number));
        const found = refusedClass(text);
        if (found !== (expected ?? whenPublic)) faults.push(`${form} ${text}: ${found}, not ${expected}`);
      }
    }
    expect(faults).toEqual([]);
    expect(cases).toBe(117);
  });

  test("finds a metadata address in a local NAT64 of every length", () => {
    // 169.254.169.254 is a9fe:a9fe; bits 64 to 71 are jumped over.
    const texts = [
      "64:ff9b:1:a9fe:a9:fe00::",
      "64:ff9b:1:77a9:fe:a9fe::",
      "64:ff9b:1:7777:a9:fea9:fe00:0",
      "64:ff9b:1:7777::a9fe:a9fe",
    ];
    expect(texts.map(refusedClass)).toEqual(["metadata", "metadata", "metadata", "metadata"]);
    expect(refusedClass("64:ff9b:1:77a9:fea9:fe00::")).toBe("reserved");
  });

  test("says invalid of every text that is no address in its usual form", () => {
    const faults = INVALID.filter((text) => refusedClass(text) !== "invalid");
    expect(faults.map((text) => text.slice(0, 60))).toEqual([]);
    expect(INVALID.length).toBeGreaterThan(40);
  });
});

describe("parseAddress()", () => {
  test("reads and writes IPv6 as a URL does", () => {
    let compared = 0;
    fc.assert(
      fc.property(fc.ipV6(), (text) => {
        const parsed = parseAddress(text);
        expect(parsed).toBeDefined();
        const url = `http://[${text}]/`;
        // Bun reads no URL with as many groups as in ::0:0:0:0:0.0.0.0, and a mapped address is written as IPv4 here.
        if (parsed?.bits !== 128 || !URL.canParse(url)) return;
        compared += 1;
        expect(`[${formatAddress(parsed)}]`).toBe(new URL(url).hostname);
      }),
      { numRuns: 300 },
    );
    expect(compared).toBeGreaterThan(200);
  });

  test("gives one value to all spellings, and its text is read as the same value", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: (1n << 128n) - 1n }), (value) => {
        const groups = Array.from({ length: 8 }, (_, at) => (value >> BigInt(112 - 16 * at)) & 0xffffn);
        const long = groups.map((group) => group.toString(16).padStart(4, "0").toUpperCase()).join(":");
        const parsed = parseAddress(long);
        expect(parsed).toBeDefined();
        expect(parsed && parseAddress(formatAddress(parsed))).toEqual(parsed);
        if (value >> 32n !== 0xffffn) expect(parsed?.value).toBe(value);
      }),
      { numRuns: 300 },
    );
  });

  test("reads every IPv4 address as a URL does", () => {
    fc.assert(
      fc.property(fc.ipV4(), (text) => {
        const parsed = parseAddress(text);
        expect(parsed && formatAddress(parsed)).toBe(new URL(`http://${text}/`).hostname);
      }),
      { numRuns: 300 },
    );
  });
});
