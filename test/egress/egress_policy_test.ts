/**
 * What a policy says of calls: names by name rules, addresses by networks, nothing by default.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import { EgressPolicy, type EgressVerdict } from "../../lib/egress/egress_policy.ts";
import { EGRESS_RULES_MAX, EgressRuleError, parseEgressRule } from "../../lib/egress/egress_rule.ts";

const policyOf = (...rules: string[]): EgressPolicy => new EgressPolicy(rules.map(parseEgressRule));
/** The rule that allows, or the cause that refuses. */
const told = (verdict: EgressVerdict): string => verdict.allowed ? verdict.rule : `no: ${verdict.cause}`;
const messageOf = (verdict: EgressVerdict): string => verdict.allowed ? "allowed" : verdict.message;

describe("EgressPolicy.judgeName()", () => {
  test("allows nothing by default", () => {
    const policy = policyOf();
    for (const host of ["example.com", "8.8.8.8", "2606:4700::1111"]) {
      expect(told(policy.judgeName(host, 443))).toBe("no: noRule");
    }
    expect(told(policy.judgeName("127.0.0.1", 443))).toBe("no: loopback");
  });

  test("matches names whole, subdomains below the apex only, and ports", () => {
    const policy = policyOf(
      "example.com:443",
      "*.example.org:443",
      "*.deep.example.org:8000-8002",
      "only.net:*",
    );
    const cases: readonly (readonly [string, number, string])[] = [
      ["example.com", 443, "example.com:443"],
      ["EXAMPLE.com", 443, "example.com:443"],
      ["example.com", 80, "no: noRule"],
      ["a.example.com", 443, "no: noRule"],
      ["notexample.com", 443, "no: noRule"],
      ["example.com.evil.net", 443, "no: noRule"],
      ["example.org", 443, "no: noRule"],
      ["a.example.org", 443, "*.example.org:443"],
      ["a.b.c.example.org", 443, "*.example.org:443"],
      ["aexample.org", 443, "no: noRule"],
      ["x.deep.example.org", 443, "*.example.org:443"],
      ["x.deep.example.org", 8001, "*.deep.example.org:8000-8002"],
      ["x.deep.example.org", 8003, "no: noRule"],
      ["only.net", 1, "only.net:*"],
      ["only.net", 65_535, "only.net:*"],
      ["only.net", 0, "no: badPort"],
      ["only.net", 65_536, "no: badPort"],
      ["only.net", 443.5, "no: badPort"],
      ["only.net", Number.NaN, "no: badPort"],
      ["only.net.", 443, "no: badHost"],
      ["only.net\u0000", 443, "no: badHost"],
    ];
    expect(cases.map(([host, port]) => told(policy.judgeName(host, port)))).toEqual(
      cases.map(([, , rule]) => rule),
    );
    expect(cases).toHaveLength(21);
  });

  test("any name is no address", () => {
    const policy = policyOf("*:443");
    expect(told(policy.judgeName("example.com", 443))).toBe("*:443");
    expect(told(policy.judgeName("localhost", 443))).toBe("*:443");
    expect(told(policy.judgeName("8.8.8.8", 443))).toBe("no: noRule");
    expect(told(policy.judgeName("[2606:4700::1111]", 443))).toBe("no: noRule");
    expect(told(policy.judgeName("2130706433", 443))).toBe("no: badHost");
    expect(told(policy.judgeName("0x7f.1", 443))).toBe("no: badHost");
  });

  test("a network is no name, and covers public addresses as long or as short as it is", () => {
    const policy = policyOf("8.8.8.0/24:53", "0.0.0.0/0:443", "[2606:4700::/32]:443");
    expect(told(policy.judgeName("8.8.8.8", 53))).toBe("8.8.8.0/24:53");
    expect(told(policy.judgeName("8.8.9.8", 53))).toBe("no: noRule");
    expect(told(policy.judgeName("8.8.8.8", 443))).toBe("0.0.0.0/0:443");
    expect(told(policy.judgeName("::ffff:8.8.8.8", 443))).toBe("0.0.0.0/0:443");
    expect(told(policy.judgeName("2606:4700::1", 443))).toBe("[2606:4700::/32]:443");
    expect(told(policy.judgeName("2606:4701::1", 443))).toBe("no: noRule");
    expect(told(policy.judgeName("example.com", 443))).toBe("no: noRule");
  });

  test("tells the first of equal rules and its place", () => {
    const policy = policyOf("*:443", "example.com:400-500", "example.com:443", "example.com:443");
    expect(policy.judgeName("example.com", 443)).toEqual({
      allowed: true,
      rule: "example.com:400-500",
      ruleIndex: 1,
    });
  });
});

describe("EgressPolicy, on addresses that are not public", () => {
  test("a network opens them only when it lies within them", () => {
    const cases: readonly (readonly [string, string, string])[] = [
      ["0.0.0.0/0:*", "10.0.0.5", "no: private"],
      ["8.0.0.0/5:*", "10.0.0.5", "no: private"],
      ["10.0.0.0/8:*", "10.0.0.5", "10.0.0.0/8:*"],
      ["10.0.0.5:*", "10.0.0.5", "10.0.0.5:*"],
      ["10.0.0.6:*", "10.0.0.5", "no: private"],
      ["10.0.0.0/8:80", "10.0.0.5", "no: private"],
      ["10.0.0.0/8:*", "::ffff:10.0.0.5", "10.0.0.0/8:*"],
      ["[::ffff:10.0.0.0/104]:*", "10.0.0.5", "10.0.0.0/8:*"],
      ["0.0.0.0/0:*", "127.0.0.1", "no: loopback"],
      ["127.0.0.0/8:*", "127.0.0.1", "127.0.0.0/8:*"],
      ["0.0.0.0/0:*", "169.254.169.254", "no: metadata"],
      ["169.254.0.0/16:*", "169.254.169.254", "no: metadata"],
      ["169.254.169.254/31:*", "169.254.169.254", "no: metadata"],
      ["169.254.169.254:*", "169.254.169.254", "169.254.169.254:*"],
      ["169.254.0.0/16:*", "169.254.1.1", "169.254.0.0/16:*"],
      ["168.63.0.0/16:*", "168.63.129.16", "no: metadata"],
      ["[::/0]:*", "::1", "no: loopback"],
      ["[::1]:*", "::1", "[::1]:*"],
      ["[::/0]:*", "fd00::1", "no: private"],
      ["[fd00::/8]:*", "fd00::1", "[fd00::/8]:*"],
      ["[fd00::/8]:*", "fd00:ec2::254", "no: metadata"],
      ["[::/0]:*", "64:ff9b::10.0.0.5", "no: private"],
      ["[64:ff9b::/96]:*", "64:ff9b::10.0.0.5", "no: private"],
      ["10.0.0.0/8:*", "64:ff9b::10.0.0.5", "no: private"],
      ["[64:ff9b::a00:0/104]:*", "64:ff9b::10.0.0.5", "[64:ff9b::a00:0/104]:*"],
      ["[64:ff9b::a9fe:0/112]:*", "64:ff9b::169.254.169.254", "no: metadata"],
      ["[2002::/16]:*", "2002:a00:5::1", "no: private"],
      ["[2002:a00::/24]:*", "2002:a00:5::1", "[2002:a00::/24]:*"],
      ["[2606:4700::/32]:*", "2606:4700::5efe:10.0.0.5", "no: private"],
      ["[2001::/32]:*", "2001:0:a00:5::1", "no: private"],
      ["[64:ff9b:1::/48]:*", "64:ff9b:1::10.0.0.5", "[64:ff9b:1::/48]:*"],
      ["[64:ff9b:1::/48]:*", "64:ff9b:1:a9fe:a9:fe00::", "no: metadata"],
    ];
    const direct = cases.map(([rule, address]) => told(policyOf(rule).judgeName(address, 5432)));
    expect(direct).toEqual(cases.map(([, , expected]) => expected));
    // The same with a name in front, once that is allowed.
    const named = cases.map(([rule, address]) =>
      told(policyOf("db.example:5432", rule).judgeAddress("db.example", address, 5432))
    );
    expect(named).toEqual(cases.map(([, , expected]) => expected));
    expect(cases).toHaveLength(32);
  });
});

describe("EgressPolicy.judgeAddress()", () => {
  test("needs the name allowed as well as the address", () => {
    const policy = policyOf("10.0.0.0/8:5432", "db.example:5432");
    expect(told(policy.judgeAddress("db.example", "10.0.0.5", 5432))).toBe("10.0.0.0/8:5432");
    expect(told(policy.judgeAddress("other.example", "10.0.0.5", 5432))).toBe("no: noRule");
    expect(told(policy.judgeAddress("db.example", "8.8.8.8", 5432))).toBe("db.example:5432");
    expect(told(policy.judgeAddress("db.example", "8.8.8.8", 5433))).toBe("no: noRule");
  });

  test("refuses a bad address, and another one than was asked for", () => {
    const policy = policyOf("*:443", "0.0.0.0/0:443", "127.0.0.1:443");
    for (const text of ["127.1", "0x7f.0.0.1", "fe80::1%eth0", "", "localhost"]) {
      expect(told(policy.judgeAddress("example.com", text, 443))).toBe("no: invalid");
      expect(told(policy.judgeAddress("8.8.8.8", text, 443))).toBe("no: invalid");
    }
    expect(told(policy.judgeAddress("8.8.8.8", "127.0.0.1", 443))).toBe("no: invalid");
    expect(told(policy.judgeAddress("8.8.8.8", "::ffff:8.8.8.8", 443))).toBe("0.0.0.0/0:443");
  });

  test("says in words why, and which rule would allow it", () => {
    const policy = policyOf("db.example:5432", "0.0.0.0/0:5432");
    const calls: readonly (readonly [EgressVerdict, string])[] = [
      [
        policy.judgeName("other.example", 443),
        "egress to other.example:443 is refused: no rule allows this name, add --allow-egress other.example:443",
      ],
      [
        policy.judgeName("8.8.8.8", 53),
        "egress to 8.8.8.8:53 is refused: no rule allows this address, add --allow-egress 8.8.8.8:53",
      ],
      [
        policyOf().judgeName("10.0.0.5", 5432),
        "egress to 10.0.0.5:5432 is refused: a private address, if that is meant, add --allow-egress 10.0.0.5:5432",
      ],
      [
        policy.judgeName("10.0.0.5", 5432),
        "egress to 10.0.0.5:5432 is refused: a private address, 0.0.0.0/0:5432 is too wide to mean it, " +
        "if that is meant, add --allow-egress 10.0.0.5:5432",
      ],
      [
        policy.judgeAddress("db.example", "::1", 5432),
        "egress to db.example:5432 is refused: it resolves to ::1, a loopback address, if that is meant, " +
        "add --allow-egress [::1]:5432",
      ],
      [
        policyOf().judgeName("169.254.169.254", 80),
        "egress to 169.254.169.254:80 is refused: a metadata address, which can hand out the credentials of the " +
        "machine, if that is meant, add --allow-egress 169.254.169.254:80",
      ],
      [
        policy.judgeName("a\nb", 80),
        'egress to "a\\nb" is refused: it is neither a host name nor an address in its usual form',
      ],
    ];
    expect(calls.map(([verdict]) => messageOf(verdict))).toEqual(calls.map(([, message]) => message));
  });

  test("the rule that a message proposes allows the call", () => {
    const hosts = [
      "example.com",
      "8.8.8.8",
      "10.0.0.5",
      "169.254.169.254",
      "::1",
      "64:ff9b::7f00:1",
      "2001:db8::1",
    ];
    let allowed = 0;
    for (const host of hosts) {
      const rule = /--allow-egress (\S+)/.exec(messageOf(policyOf().judgeName(host, 443)))?.[1] ?? "";
      if (policyOf(rule).judgeName(host, 443).allowed) allowed += 1;
    }
    expect(allowed).toBe(hosts.length);
  });
});

describe("EgressPolicy, with very many rules", () => {
  const many = Array.from({ length: EGRESS_RULES_MAX }, (_, index) => {
    const kind = index % 4;
    if (kind === 0) return `h${index}.example:${index + 1}`;
    if (kind === 1) return `*.s${index}.example:443`;
    if (kind === 2) return `10.${index >> 8 & 255}.${index & 255}.0/24:443`;
    return `[fd00:${index.toString(16)}::/32]:443`;
  });

  test("takes the most that there may be, and no more", () => {
    expect(() => policyOf(...many, "one.more:1")).toThrow(EgressRuleError);
    const policy = policyOf(...many);
    expect(policy.judgeName("h9996.example", 9997)).toMatchObject({ allowed: true, ruleIndex: 9996 });
    expect(policy.judgeName("a.b.s9997.example", 443)).toMatchObject({ allowed: true, ruleIndex: 9997 });
    expect(policy.judgeName("10.39.14.7", 443)).toMatchObject({ allowed: true, ruleIndex: 9998 });
    expect(policy.judgeName("fd00:270f::7", 443)).toMatchObject({ allowed: true, ruleIndex: 9999 });
    expect(policy.judgeName("h1.example", 2).allowed).toBe(false);
  });

  test("does not read the list for each call", () => {
    const policy = policyOf(...many);
    const deepest = `${"a.".repeat(120)}example`;
    // 20,000 calls that look at each of 10,000 rules would take minutes, not the time that this test has.
    let refused = 0;
    for (let call = 0; call < 10_000; call += 1) {
      if (!policy.judgeName(deepest, 443).allowed) refused += 1;
      if (!policy.judgeName("10.200.200.200", 443).allowed) refused += 1;
    }
    expect(refused).toBe(20_000);
  });
});
