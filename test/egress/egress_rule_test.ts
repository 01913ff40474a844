/**
 * Rules and hosts as people and containers write them: every form, every mistake, every trick.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { formatAddress } from "../../lib/egress/address_class.ts";
import {
  EgressRuleError,
  formatEgressRule,
  formatEgressTarget,
  parseEgressHost,
  parseEgressRule,
} from "../../lib/egress/egress_rule.ts";

const FORMS: readonly (readonly [string, string])[] = [
  ["example.com:443", "example.com:443"],
  ["EXAMPLE.Com.:443", "example.com:443"],
  ["*.Example.com:443", "*.example.com:443"],
  ["*.com:80-81", "*.com:80-81"],
  ["*:443", "*:443"],
  ["*:*", "*:*"],
  ["localhost:1", "localhost:1"],
  ["_srv.example.com:65535", "_srv.example.com:65535"],
  ["xn--bcher-kva.example:*", "xn--bcher-kva.example:*"],
  ["1password.com:443", "1password.com:443"],
  ["example.com:1-65535", "example.com:*"],
  ["example.com:80-80", "example.com:80"],
  ["10.0.0.5:5432", "10.0.0.5:5432"],
  ["10.0.0.5/32:5432", "10.0.0.5:5432"],
  ["10.0.0.0/8:5432", "10.0.0.0/8:5432"],
  ["0.0.0.0/0:443", "0.0.0.0/0:443"],
  ["[2001:DB8:0:0::1]:443", "[2001:db8::1]:443"],
  ["[fd00::/8]:8000-8999", "[fd00::/8]:8000-8999"],
  ["[::/0]:443", "[::/0]:443"],
  ["[::1]:80", "[::1]:80"],
  ["[::ffff:10.0.0.5]:80", "10.0.0.5:80"],
  ["[::ffff:10.0.0.0/104]:80", "10.0.0.0/8:80"],
  ["[::ffff:0:0/96]:80", "0.0.0.0/0:80"],
];

/** A rule that is wrong, and words of the message that help. */
const FAULTS: readonly (readonly [string, string])[] = [
  ["", "has no port: write example.com:443"],
  ["db.example.com", "has no port: write db.example.com:443, or db.example.com:* for every port"],
  ["*", "has no port"],
  ["10.0.0.5", "has no port"],
  [":443", "has no host: write example.com:443, or *:443"],
  ["https://example.com", "has a scheme: leave it out"],
  ["https://example.com:443/", "has a scheme"],
  ["example.com:443/path", "has no valid port"],
  ["example.com:", "has no valid port"],
  ["example.com:0", "has no valid port"],
  ["example.com:65536", "has no valid port"],
  ["example.com:99999", "has no valid port"],
  ["example.com:1-65536", "has no valid port"],
  ["example.com:0-10", "has no valid port"],
  ["example.com:https", "has no valid port"],
  ["example.com:-1", "has no valid port"],
  ["example.com:1-2-3", "has no valid port"],
  ["example.com: 443", "has no valid port"],
  ["example.com:443\n", "has no valid port"],
  ["example.com:81-80", "runs backwards: write 80-81"],
  ["::1:443", "write IPv6 in brackets"],
  ["fd00::/8:443", "write IPv6 in brackets"],
  ["[::1]", "and a port after them"],
  ["example.com:80:443", "write IPv6 in brackets"],
  ["[example.com]:443", "has no valid network"],
  ["[10.0.0.5]:443", "has no valid network"],
  ["[fe80::1%eth0]:443", "has no valid network"],
  ["[]:443", "has no valid network"],
  ["[fd00::/8/8]:443", "has no valid network"],
  ["example.com/8:443", "has no valid network"],
  ["10.0.0.0/8/8:443", "has no valid network"],
  ["10.0.0.0/33:443", "write 0 to 32"],
  ["10.0.0.0/:443", "write 0 to 32"],
  ["10.0.0.0/08:443", "write 0 to 32"],
  ["[fd00::/129]:443", "write 0 to 128"],
  ["10.0.0.5/8:443", "beyond its length: write 10.0.0.0/8 and the port"],
  ["[fd00::1/8]:443", "beyond its length: write [fd00::/8] and the port"],
  ["[::ffff:0:0/90]:443", "write the IPv4 network alone"],
  ["bücher.example:443", "write the name in punycode, as in xn--"],
  ["ex\u0430mple.com:443", "punycode"],
  ["127.1:443", "write four decimal numbers"],
  ["2130706433:443", "write four decimal numbers"],
  ["0x7f.0.0.1:443", "write four decimal numbers"],
  ["010.0.0.1:443", "write four decimal numbers"],
  ["1.2.3.256:443", "write four decimal numbers"],
  ["*.127.1:443", "write four decimal numbers"],
  ["*example.com:443", "has no valid host"],
  ["*.*.com:443", "has no valid host"],
  ["a.*.com:443", "has no valid host"],
  ["*.:443", "has no valid host"],
  ["..:443", "has no valid host"],
  ["a..b:443", "has no valid host"],
  ["-a.com:443", "has no valid host"],
  ["user@example.com:443", "has no valid host"],
  ["exa mple.com:443", "has no valid host"],
  ["example.com\u0000:443", "has no valid host"],
  [`${"a".repeat(64)}.com:443`, "has no valid host"],
  [`${"a.".repeat(127)}com:443`, "has no valid host"],
  [`${"a".repeat(100_000)}:443`, "has no valid host"],
];

describe("parseEgressRule()", () => {
  test.each(FORMS)("reads %s as %s", (text: string, written: string) => {
    const rule = parseEgressRule(text);
    expect(formatEgressRule(rule)).toBe(written);
    expect(parseEgressRule(written)).toEqual(rule);
  });

  test("refuses what is no rule, and says what to write", () => {
    const silent: string[] = [];
    for (const [text, words] of FAULTS) {
      try {
        silent.push(`${text.slice(0, 60)} was read as ${formatEgressRule(parseEgressRule(text))}`);
      } catch (error) {
        if (!(error instanceof EgressRuleError)) throw error;
        if (!error.message.includes(words)) silent.push(error.message);
        // A message is one line of bounded length.
        expect(error.message).not.toContain("\n");
        expect(error.message.length).toBeLessThan(300);
      }
    }
    expect(silent).toEqual([]);
    expect(FAULTS.length).toBeGreaterThan(50);
  });

  test("throws EgressRuleError or gives a rule that reads back, whatever the text is", () => {
    const piece = fc.constantFrom(
      "*",
      ".",
      ":",
      "[",
      "]",
      "/",
      "-",
      "a",
      "1",
      "0",
      "::",
      "10.0.0.0",
      "fd00",
      "é",
      "\n",
    );
    let rules = 0;
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        try {
          const rule = parseEgressRule(`${pieces.join("")}:443`);
          rules += 1;
          expect(parseEgressRule(formatEgressRule(rule))).toEqual(rule);
        } catch (error) {
          expect(error).toBeInstanceOf(EgressRuleError);
        }
      }),
      { numRuns: 2_000 },
    );
    expect(rules).toBeGreaterThan(0);
  });
});

describe("parseEgressHost()", () => {
  const HOSTS: readonly (readonly [string, string | undefined])[] = [
    ["example.com", "example.com"],
    ["API.Example.COM", "api.example.com"],
    ["a_b.example", "a_b.example"],
    ["3.example", "3.example"],
    ["0x7f.example", "0x7f.example"],
    ["8.8.8.8", "8.8.8.8"],
    ["::1", "::1"],
    ["[::1]", "::1"],
    ["::FFFF:10.0.0.1", "10.0.0.1"],
    ["[::ffff:10.0.0.1]", "10.0.0.1"],
    ["", undefined],
    [".", undefined],
    ["example.com.", undefined],
    ["8.8.8.8.", undefined],
    ["[8.8.8.8]", undefined],
    ["[example.com]", undefined],
    ["[[::1]]", undefined],
    ["[::1", undefined],
    ["127.1", undefined],
    ["0x7f.1", undefined],
    ["0X7F.1", undefined],
    ["2130706433", undefined],
    ["017700000001", undefined],
    ["0x", undefined],
    ["foo.0x1", undefined],
    ["foo.1", undefined],
    ["1.2.3.4.5", undefined],
    ["fe80::1%eth0", undefined],
    ["a%2eb", undefined],
    ["a b", undefined],
    [" example.com", undefined],
    ["example.com\n", undefined],
    ["example.com\u0000.evil.com", undefined],
    ["example.com:443", undefined],
    ["user@example.com", undefined],
    ["example.com/x", undefined],
    ["*.example.com", undefined],
    ["bücher.example", undefined],
    ["\u212A.example", undefined],
    ["a。b", undefined],
    ["-a.com", undefined],
    ["a-.com", undefined],
    [`${"a".repeat(63)}.com`, `${"a".repeat(63)}.com`],
    [`${"a".repeat(64)}.com`, undefined],
    [`${"a.".repeat(126)}b`, `${"a.".repeat(126)}b`],
    [`${"a.".repeat(126)}bc`, undefined],
  ];

  test("reads a name or a canonical address, and nothing else", () => {
    const faults: string[] = [];
    for (const [text, expected] of HOSTS) {
      const host = parseEgressHost(text);
      const found = host?.kind === "address" ? formatAddress(host.address) : host?.name;
      if (found !== expected) faults.push(`${text} was read as ${found}`);
    }
    expect(faults).toEqual([]);
    expect(HOSTS).toHaveLength(46);
  });

  test("puts IPv6 in brackets before a port", () => {
    const written = ["example.com", "8.8.8.8", "::1"].map((text) => {
      const host = parseEgressHost(text);
      return host && formatEgressTarget(host, 443);
    });
    expect(written).toEqual(["example.com:443", "8.8.8.8:443", "[::1]:443"]);
  });
});
