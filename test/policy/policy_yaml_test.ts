/**
 * The policy as text: what is refused and with which words, and that writing and reading are each other's reverse.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { POLICY_BYTES_MAX, type PolicyDocument } from "../../lib/policy/document.ts";
import { POLICY_FAULTS_MAX, PolicyError } from "../../lib/policy/policy_fault.ts";
import { formatPolicy, parsePolicy, plainPolicy } from "../../lib/policy/policy_yaml.ts";
import { arbitraryPolicy, policyOf } from "./arbitrary_policy.ts";

const HEAD = "apiVersion: netwall/v1\nkind: Policy\n";

/** What is said of a text. */
function faultOf(text: string): string {
  try {
    parsePolicy(text);
  } catch (error) {
    if (error instanceof PolicyError) return error.message;
    throw error;
  }
  return "nothing";
}

describe("parsePolicy()", () => {
  const table: [text: string, fault: string][] = [
    ["", "line 1: is empty: begin with apiVersion: netwall/v1"],
    ["# nothing", "line 1: is empty: begin with apiVersion: netwall/v1"],
    ["a: 1\na: 2", 'line 2: key "a" is there twice: keep one'],
    ["kind: Policy", "apiVersion: write netwall/v1"],
    [`${HEAD}spc: {}`, 'line 3: spc: unknown key "spc": did you mean spec'],
    [
      `${HEAD}spec: {x: 1}`,
      'line 3: spec.x: unknown key "x": remove it; here may stand defaultMode, networks, modes, rules, rateLimits',
    ],
    [
      `${HEAD}spec:\n  rules:\n    - id: a\n      effect: alow`,
      "line 6: spec.rules.0.effect: write allow, alert or prevent (rule a)",
    ],
    [
      `${HEAD}spec:\n  rules:\n    - {id: a, effect: allow}\n    - {id: a, effect: allow}`,
      "line 6: spec.rules.1.id: the id a is taken",
    ],
    [
      `${HEAD}spec: {rules: [{id: a, effect: allow, source: {network: constructor}}]}`,
      "line 3: spec.rules.0.source.network: there is no network constructor: name it under networks (rule a)",
    ],
    [
      `${HEAD}spec: {rules: [{id: a, effect: allow, source: {imge: x}}]}`,
      'line 3: spec.rules.0.source.imge: unknown key "imge": did you mean image (rule a)',
    ],
    [
      `${HEAD}spec: {rules: [{id: a, effect: allow, destination: {cidr: 10.0/8}}]}`,
      "line 3: spec.rules.0.destination.cidr: write a network such as 10.0.0.0/8 (rule a)",
    ],
    [`${HEAD}spec: {rules: {}}`, "line 3: spec.rules: write a list"],
    [
      `${HEAD}spec: {networks: {internet: [10.0.0.0/8]}}`,
      "line 3: spec.networks: internet is what lies in no network: take another name",
    ],
    [
      `${HEAD}spec: {rateLimits: [{id: a, requests: 0}]}`,
      "line 3: spec.rateLimits.0.requests: at least 1 (rate limit a)",
    ],
    [
      `${HEAD}spec: {rules: [{id: a, effect: allow, expires: tomorrow}]}`,
      "line 3: spec.rules.0.expires: write a time such as 2031-01-31T12:00:00Z (rule a)",
    ],
    // A wrong value in one way to write a destination is no unknown key of another.
    [
      `${HEAD}spec: {rules: [{id: a, effect: allow, destination: {host: a.example, ports: ["443"]}}]}`,
      "line 3: spec.rules.0.destination.ports.0: write a number (rule a)",
    ],
    [
      `${HEAD}spec: {rules: [{id: a, effect: allow, destination: {host: a.example, port: 443}}]}`,
      'line 3: spec.rules.0.destination.port: unknown key "port": did you mean ports (rule a)',
    ],
    [
      `${HEAD}spec: {rules: [{id: a, effect: allow, destination: {host: a.example, service: b}}]}`,
      'line 3: spec.rules.0.destination.service: "service" does not belong here: remove it; here may stand ' +
      "(host, ports) or (cidr, ports) or (namespace, image, service) (rule a)",
    ],
    [
      `${HEAD}spec: {rules: [{id: a, effect: allow, http: {contentTypes: [A/b]}}]}`,
      "line 3: spec.rules.0.http.contentTypes.0: write a type in lower case such as application/json or image/*, " +
      'or "" for requests that name none (rule a)',
    ],
    [
      `${HEAD}spec: {rules: [{id: "A\e[2J", effect: no}]}`,
      "line 3: spec.rules.0.id: use lower-case letters, digits and " +
      "hyphens, at most 63, such as office\nline 3: spec.rules.0.effect: write allow, alert or prevent",
    ],
    ['{"apiVersion": "netwall/v1",\n"kind": "Policie"}', "line 2: kind: write Policy"],
  ];
  test("names the line, the path and what to write", () => {
    for (const [text, fault] of table) expect(`${text}\n${faultOf(text)}`).toBe(`${text}\n${fault}`);
    expect(table).toHaveLength(21);
  });

  test("refuses what is no plain document", () => {
    const texts = [
      "x",
      "- x",
      "[",
      "a: [",
      "%YAML 3.0\n---\na: 1",
      "a: 1\n---\na: 1",
      "a: !!js/function x",
      "a: &x [*x]",
      "*x",
      "\u0000",
      "? [a]\n: b",
    ];
    expect(texts.filter((it) => faultOf(it) === "nothing")).toEqual([]);
    expect(texts).toHaveLength(11);
  });

  test("refuses bombs before they go off", () => {
    const bombs: [string, RegExp][] = [
      ["[".repeat(100_000), /^line 1: nested too deeply/],
      ["[".repeat(190) + "]".repeat(190), /^line 1: nested too deeply/],
      [`a: ${"{a: ".repeat(40)}1${"}".repeat(40)}`, /nested too deeply/],
      [`${"  ".repeat(400)}- x`, /nested too deeply/],
      ["- ".repeat(5_000), /nested too deeply/],
      [`a: &a [x]\nb: [${"*a,".repeat(101)}]`, /too many aliases/],
      [`# ${"x".repeat(POLICY_BYTES_MAX)}`, /^too large: at most 16 MiB/],
      [`# ${"€".repeat(POLICY_BYTES_MAX / 3)}`, /^too large: at most 16 MiB/],
    ];
    for (const [text, fault] of bombs) expect(faultOf(text)).toMatch(fault);
    expect(bombs).toHaveLength(8);
  });

  test("tells all faults in the order of the text, and of very many the first", () => {
    const rules = Array.from({ length: 50 }, (_, index) => `    - {id: r${index}, effect: nothing}`);
    const text = `${HEAD}spec:\n  rules:\n${rules.join("\n")}\n`;
    const lines = faultOf(text).split("\n");
    expect(lines).toHaveLength(POLICY_FAULTS_MAX + 1);
    expect(lines[0]).toBe("line 5: spec.rules.0.effect: write allow, alert or prevent (rule r0)");
    expect(lines[19]).toBe("line 24: spec.rules.19.effect: write allow, alert or prevent (rule r19)");
    expect(lines[20]).toBe("and 30 more");
    try {
      parsePolicy(text);
    } catch (error) {
      expect(error instanceof PolicyError && error.faults[1]).toEqual({
        line: 6,
        path: "spec.rules.1.effect",
        message: "write allow, alert or prevent (rule r1)",
      });
    }
  });

  test("repeats nothing that could act on a terminal", () => {
    expect(faultOf(`${HEAD}"\\e[31mx": 1`)).toBe(
      'line 3: \\u001b[31mx: unknown key "\\u001b[31mx": remove it; here may stand apiVersion, kind, metadata, spec, model',
    );
  });

  test("reads JSON", () => {
    const document = policyOf({ rules: [{ id: "a", effect: "allow" }] });
    expect(parsePolicy(JSON.stringify(document))).toEqual(document);
    expect(parsePolicy(` \n${JSON.stringify(document, null, 2)}`)).toEqual(document);
  });

  test("refuses a key twice in JSON too, however it is written", () => {
    const twice =
      '{"apiVersion":"netwall/v1","kind":"Policy","spec":{"defaultMode":"prevent"},\n"sp\\u0065c":{}}';
    expect(faultOf(twice)).toBe('line 2: key "spec" is there twice: keep one');
    const inText = '{"apiVersion":"netwall/v1","kind":"Policy","metadata":{"comment":"a \\"x\\": 1, \\\\"}}';
    expect(parsePolicy(inText).metadata.comment).toBe('a "x": 1, \\');
    const long = `{"apiVersion":"netwall/v1","kind":"Policy","metadata":{"comment":"${
      "x".repeat(1 << 20)
    }"}}`;
    expect(faultOf(long)).toBe("metadata.comment: at most 512 characters");
    expect(faultOf(`{"a":${"[".repeat(5_000)}${"]".repeat(5_000)}}`)).toMatch(/^line 1: nested too deeply/);
  });
});

describe("formatPolicy()", () => {
  test("writes an equal policy for every policy, and the same text for equal ones", () => {
    let bytes = 0;
    fc.assert(
      fc.property(arbitraryPolicy(8), (document: PolicyDocument) => {
        const text = formatPolicy(document);
        const again = parsePolicy(text);
        expect(again).toEqual(document);
        expect(formatPolicy(again)).toBe(text);
        expect(parsePolicy(JSON.stringify(document))).toEqual(document);
        bytes += text.length;
      }),
      { numRuns: 150 },
    );
    expect(bytes).toBeGreaterThan(100_000);
  });

  test("leaves defaults out and keeps what only looks like one", () => {
    const text = formatPolicy(policyOf({
      networks: { on: ["10.0.0.0/8"], "1": ["fd00::/8"] },
      modes: [{ mode: "alert" }],
      rules: [
        { id: "a", effect: "allow" },
        {
          id: "b",
          effect: "prevent",
          enabled: false,
          http: {},
          source: { image: "1e3" },
          comment: "no: [ #",
        },
        {
          id: "yes",
          effect: "alert",
          http: { paths: ["/users/{int}"], contentTypes: [""] },
          destination: { host: "::1", ports: [443, 80] },
        },
      ],
      rateLimits: [{ id: "l", requests: 5 }],
    }, { model: { edges: [] } }));
    expect(text.replace(/^#.*\n/gm, "")).toBe(`apiVersion: netwall/v1
kind: Policy
spec:
  networks:
    "1": ["fd00::/8"]
    "on": [10.0.0.0/8]
  modes:
    - mode: alert
  rules:
    - id: a
      effect: allow
    - id: b
      comment: "no: \\u005b #"
      enabled: false
      source:
        image: "1e3"
      http: {}
      effect: prevent
    - id: "yes"
      destination:
        host: "::1"
        ports: [443, 80]
      http:
        paths: ["/users/{int}"]
        contentTypes: [""]
      effect: alert
  rateLimits:
    - id: l
      requests: 5
model:
  edges: []
`);
    expect(text).toMatch(/^# Policy of a netwall gateway\.\n/);
  });

  test("escapes what readers of YAML take for a line end or cannot read", () => {
    const odd = 'a\u00a0\u2028\u2029\ufeff😀é"\\]{';
    const document = policyOf({ rules: [{ id: "a", effect: "allow", comment: odd }] });
    const text = formatPolicy(document);
    expect(text).not.toMatch(/[\u00a0\u2028\u2029\ufeff]/);
    expect(parsePolicy(text)).toEqual(document);
    const lone = policyOf({ rules: [{ id: "a", effect: "allow", comment: "\ud800x" }] });
    expect(parsePolicy(formatPolicy(lone))).toEqual(lone);
  });

  test("writes a large model that is read again", () => {
    const operations = Array.from({ length: 20 }, (_, index) => `GET /api/v${index}/[[[{int}/x`);
    const edges = Array.from({ length: 1_000 }, (_, index) => ({
      direction: "east-west",
      source: `shop/web-${index}`,
      destination: "shop/db",
      service: "db",
      protocol: "http",
      operations,
    }));
    const document = policyOf({}, { model: { edges } });
    expect(parsePolicy(formatPolicy(document))).toEqual(document);
  });

  test("plainPolicy() is what JSON should be made of", () => {
    const document = policyOf({ rules: [{ id: "a", effect: "allow" }] });
    expect(JSON.stringify(plainPolicy(document))).toBe(
      '{"apiVersion":"netwall/v1","kind":"Policy","spec":{"rules":[{"id":"a","effect":"allow"}]}}',
    );
  });
});
