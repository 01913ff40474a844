/**
 * Networks by address and hosts by pattern, against slow models of both.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { formatAddress, parseAddress } from "../../lib/egress/address_class.ts";
import { canonicalHost, HostPatterns, namesAbove } from "../../lib/policy/host_pattern.ts";
import { CidrTable, NetworkNames, parseCidr } from "../../lib/policy/networks.ts";

describe("parseCidr()", () => {
  test("drops the bits beyond the length", () => {
    expect(parseCidr("10.1.2.3/8")).toEqual(parseCidr("10.0.0.0/8")!);
    expect(parseCidr("10.1.2.3/32")).toMatchObject({ bits: 32, first: 0x0a010203n, last: 0x0a010203n });
    expect(parseCidr("::/0")).toMatchObject({ bits: 128, first: 0n, last: (1n << 128n) - 1n });
  });
  test("refuses what is no network", () => {
    const bad = [
      "",
      "/",
      "10.0.0.0",
      "10.0.0.0/",
      "10.0.0.0/33",
      "10.0.0.0/08",
      "10.0/8",
      "fd00::/129",
      "fd00::/-1",
      "x/8",
      "10.0.0.0/8/8",
      "::ffff:10.0.0.0/104",
    ];
    expect(bad.filter((it) => parseCidr(it) !== undefined)).toEqual([]);
    expect(bad).toHaveLength(12);
  });
});

describe("CidrTable", () => {
  test("finds every network that holds an address, the longest first", () => {
    const networks = fc.array(
      fc.oneof(
        fc.tuple(
          fc.constant(32 as const),
          fc.integer({ min: 0, max: 32 }),
          fc.bigInt({ min: 0n, max: (1n << 32n) - 1n }),
        ),
        fc.tuple(
          fc.constant(32 as const),
          fc.integer({ min: 24, max: 32 }),
          fc.bigInt({ min: 0x0a000000n, max: 0x0a0000ffn }),
        ),
        fc.tuple(
          fc.constant(128 as const),
          fc.integer({ min: 0, max: 128 }),
          fc.bigInt({ min: 1n << 64n, max: (1n << 64n) + 99n }),
        ),
      ),
      { maxLength: 60 },
    );
    let found = 0;
    fc.assert(
      fc.property(networks, (list) => {
        const cidrs = list.map(([bits, length, value]) => `${formatAddress({ bits, value })}/${length}`);
        const table = new CidrTable<string[]>();
        for (const text of cidrs) table.at(parseCidr(text)!, () => []).push(text);
        table.seal();
        const addresses = list.flatMap((
          [bits, , value],
        ) => [{ bits, value }, { bits, value: value ^ 1n }, { bits, value: value ^ 0x8000n }]);
        for (const address of addresses) {
          const holding = cidrs.filter((text) => {
            const cidr = parseCidr(text)!;
            return cidr.bits === address.bits && cidr.first <= address.value && address.value <= cidr.last;
          }).sort();
          const walked: string[][] = [];
          for (let node = table.deepest(address); node !== undefined; node = node.parent) {
            walked.push(node.value);
          }
          expect(walked.flat().sort()).toEqual(holding);
          const lengths = walked.map(([first]) => Number(first!.split("/")[1]));
          expect(lengths).toEqual([...lengths].sort((a, b) => b - a));
          found += holding.length;
        }
      }),
      { numRuns: 200 },
    );
    expect(found).toBeGreaterThan(1_000);
  });
});

describe("NetworkNames", () => {
  const names = new NetworkNames({
    office: ["10.0.0.0/8", "fd00::/8"],
    vpn: ["10.1.0.0/16"],
    copy: ["10.1.0.0/16"],
    constructor: ["192.0.2.7/32"],
  });
  const table: [address: string, name: string][] = [
    ["10.2.0.1", "office"],
    ["10.1.0.1", "vpn"],
    ["::ffff:10.1.0.1", "vpn"],
    ["fd12::1", "office"],
    ["192.0.2.7", "constructor"],
    ["9.255.255.255", "internet"],
    ["11.0.0.0", "internet"],
    ["fe00::", "internet"],
    ["", "internet"],
    ["10.1", "internet"],
    ["10.1.0.1%eth0", "internet"],
    ["10.1.0.1:443", "internet"],
  ];
  test("names the longest network, of equal ones the first", () => {
    for (const [address, name] of table) {
      expect(`${address} ${names.nameOf(parseAddress(address))}`).toBe(`${address} ${name}`);
    }
    expect(table).toHaveLength(12);
    expect(names.nameOf(undefined)).toBe("internet");
  });
});

describe("hosts", () => {
  test("have one spelling", () => {
    const table: [string, string][] = [
      ["Example.COM", "example.com"],
      ["example.com.", "example.com"],
      ["example.com..", "example.com."],
      ["[FD00:0::1]", "fd00::1"],
      ["::ffff:10.0.0.1", "10.0.0.1"],
      ["10.0.0.1.", "10.0.0.1"],
      ["10.1", "10.1"],
      ["", ""],
    ];
    for (const [written, text] of table) expect(canonicalHost(written).text).toBe(text);
    expect(table).toHaveLength(8);
  });

  test("lie below a name and not beside it", () => {
    const patterns = new HostPatterns(["*.example.com", "plain.test", "*.0.0.1", "fd00::1"]);
    const good = ["a.example.com", "A.b.EXAMPLE.com.", "plain.test", "[fd00:0::1]", "x.0.0.1"];
    const bad = [
      "example.com",
      "badexample.com",
      "example.com.evil.test",
      "a.plain.test",
      "127.0.0.1",
      ".example.com".slice(1),
      "com",
      "",
      "fd00::2",
    ];
    expect(good.filter((it) => !patterns.has(canonicalHost(it)))).toEqual([]);
    expect(bad.filter((it) => patterns.has(canonicalHost(it)))).toEqual([]);
    expect([good.length, bad.length]).toEqual([5, 9]);
  });

  test("have as many names above as are asked for", () => {
    expect([...namesAbove(canonicalHost("a.b.example.com"), 2)]).toEqual(["com", "example.com"]);
    expect([...namesAbove(canonicalHost("a.b.example.com"), 9)]).toEqual([
      "com",
      "example.com",
      "b.example.com",
    ]);
    expect([...namesAbove(canonicalHost("10.0.0.1"), 9)]).toEqual([]);
    expect([...namesAbove(canonicalHost(".".repeat(255)), 3)]).toHaveLength(3);
  });
});
