/**
 * The visitor's address, and that nobody can lend themselves another one.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { clientAddress, HOPS_MAX, TrustedProxies } from "../../lib/auth/client_ip.ts";

describe("TrustedProxies", () => {
  test("includes() knows IPv4, IPv6, and IPv4 written as IPv6", () => {
    const trusted = new TrustedProxies(["10.0.0.0/8", "192.168.1.7", "fd00::/8", "::ffff:172.16.0.0/108"]);
    const cases: [string, boolean][] = [
      ["10.1.2.3", true],
      ["::ffff:10.1.2.3", true],
      ["::FFFF:0a01:0203", true],
      ["11.0.0.0", false],
      ["192.168.1.7", true],
      ["192.168.1.8", false],
      ["fd12::1", true],
      ["FD12::1", true],
      ["fd12::1%eth0", true],
      ["fe80::1", false],
      ["172.16.1.1", true],
      ["172.32.0.1", false],
      ["", false],
      ["localhost", false],
      ["10.1", false],
      ["0x0a.1.2.3", false],
      ["012.1.2.3", false],
      ["10.1.2.3.4", false],
      ["::ffff:999.1.1.1", false],
    ];
    for (const [address, included] of cases) {
      expect([address, trusted.includes(address)]).toEqual([address, included]);
    }
    expect(cases).toHaveLength(19);
    expect(new TrustedProxies(["0.0.0.0/0"]).includes("::1")).toBe(false);
    expect(new TrustedProxies(["::/0"]).includes("1.2.3.4")).toBe(false);
    expect(new TrustedProxies([]).empty).toBe(true);
  });
  test("refuses what is no network", () => {
    const texts = [
      "",
      "localhost",
      "10/8",
      "10.0.0.0/33",
      "10.0.0.0/-1",
      "10.0.0.0/",
      "::/129",
      "fe80::%a/10",
    ];
    for (const text of texts) expect(() => new TrustedProxies([text])).toThrow(RangeError);
    expect(texts).toHaveLength(8);
  });
});

describe("clientAddress()", () => {
  const trusted = new TrustedProxies(["10.0.0.0/8", "fd00::/8"]);
  test("is the right-most hop that is not trusted", () => {
    const cases: [string, string | undefined, string][] = [
      ["1.1.1.1", undefined, "1.1.1.1"],
      ["1.1.1.1", "9.9.9.9", "1.1.1.1"],
      ["::ffff:1.1.1.1", "9.9.9.9", "1.1.1.1"],
      ["10.0.0.1", undefined, "10.0.0.1"],
      ["10.0.0.1", "", "10.0.0.1"],
      ["10.0.0.1", "9.9.9.9", "9.9.9.9"],
      ["10.0.0.1", "8.8.8.8, 9.9.9.9", "9.9.9.9"],
      ["10.0.0.1", "8.8.8.8, 9.9.9.9, 10.0.0.2", "9.9.9.9"],
      ["10.0.0.1", "8.8.8.8,10.0.0.3 ,\t10.0.0.2", "8.8.8.8"],
      ["10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"],
      ["::ffff:10.0.0.1", "::ffff:9.9.9.9", "9.9.9.9"],
      ["fd00::1", "2001:DB8::1", "2001:db8::1"],
      ["fd00::1", "[2001:db8::1]:443", "2001:db8::1"],
      ["10.0.0.1", "9.9.9.9:1234", "9.9.9.9"],
      ["10.0.0.1", "8.8.8.8, unknown", "10.0.0.1"],
      ["10.0.0.1", "8.8.8.8, unknown, 10.0.0.2", "10.0.0.2"],
      ["10.0.0.1", "8.8.8.8,", "10.0.0.1"],
      ["10.0.0.1", ",8.8.8.8", "8.8.8.8"],
      ["10.0.0.1", ",10.0.0.9", "10.0.0.9"],
      ["10.0.0.1", "1.2.3", "10.0.0.1"],
      ["10.0.0.1", "0177.0.0.1", "10.0.0.1"],
      ["10.0.0.1", "9.9.9.9\r\n", "9.9.9.9"],
      ["", "9.9.9.9", ""],
      ["/run/x.sock", "9.9.9.9", "/run/x.sock"],
    ];
    for (const [peer, header, client] of cases) {
      expect([peer, header, clientAddress(peer, header, trusted)]).toEqual([peer, header, client]);
    }
    expect(cases).toHaveLength(24);
    expect(clientAddress("10.0.0.1", "9.9.9.9", new TrustedProxies([]))).toBe("10.0.0.1");
  });
  test("follows a bounded number of hops, however long the header", () => {
    const header = `9.9.9.9,${Array(HOPS_MAX).fill("10.0.0.2").join(",")}`;
    expect(clientAddress("10.0.0.1", header, trusted)).toBe("10.0.0.2");
    expect(clientAddress("10.0.0.1", header.replace(",10.0.0.2", ""), trusted)).toBe("9.9.9.9");
    const commas = ",".repeat(1 << 20);
    for (let round = 0; round < 1000; round += 1) clientAddress("10.0.0.1", commas, trusted);
    const blank = `9.9.9.9,${" ".repeat(1 << 20)}10.0.0.2`;
    expect(clientAddress("10.0.0.1", blank, trusted)).toBe("9.9.9.9");
    expect(clientAddress("10.0.0.1", "x".repeat(1 << 20), trusted)).toBe("10.0.0.1");
  });
  test("of an untrusted peer never depends on the header", () => {
    fc.assert(fc.property(fc.string(), fc.ipV4(), (header, peer) => {
      if (!trusted.includes(peer)) expect(clientAddress(peer, header, trusted)).toBe(peer);
    }));
  });
  test("never depends on what stands left of the first stranger", () => {
    fc.assert(fc.property(fc.string(), (left) => {
      expect(clientAddress("10.0.0.1", `${left},9.9.9.9,10.0.0.2`, trusted)).toBe("9.9.9.9");
    }));
  });
});
