/**
 * A rule as a form and in words, and where the complaints of the gateway belong.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import type { PolicyRule } from "../../lib/page/core/types.ts";
import { partFaults, ruleFaults } from "../../lib/page/policy/faults.ts";
import {
  formOfLimit,
  formOfMode,
  formOfNetwork,
  limitOfForm,
  limitWords,
  modeOfForm,
  usersOfNetwork,
  withNetwork,
} from "../../lib/page/policy/part_forms.ts";
import { breadthWords, formOfRule, localText, ruleOfForm, wordsOf } from "../../lib/page/policy/rule_form.ts";
import { auditText } from "../../lib/page/policy/save_audit.ts";
import {
  destinationWords,
  expiryOf,
  findRules,
  httpWords,
  RULE_FILTERS,
  sourceWords,
} from "../../lib/page/policy/rule_words.ts";
import { defaultPolicy, policySchema, ruleSchema } from "../../lib/policy/document.ts";
import { PolicyError } from "../../lib/policy/policy_fault.ts";
import { parsePolicy } from "../../lib/policy/policy_yaml.ts";

const rule = (more: object): PolicyRule => ruleSchema.parse({ id: "a", effect: "allow", ...more });

/** Every branch of the schema, and all of it at once. */
const RULES: readonly PolicyRule[] = [
  rule({}),
  rule({ effect: "prevent", allowLearned: true, enabled: false, comment: "why" }),
  rule({ effect: "alert", direction: "egress", protocol: "tcp" }),
  rule({ source: { network: "office" } }),
  rule({ source: { cidr: "10.0.0.0/8" }, destination: { cidr: "2001:db8::/32", ports: [443] } }),
  rule({ source: { namespace: "shop" }, destination: { image: "ghcr.io/acme/web", service: "web" } }),
  rule({ source: { namespace: "shop", image: "web" }, destination: { namespace: "shop", image: "db" } }),
  rule({ destination: { host: "*.example.com", ports: [443, 8443] } }),
  rule({ destination: { host: "example.com" }, expires: "2031-01-31T12:00:30+02:00" }),
  rule({
    http: {
      hosts: ["a.example", "*.b.example"],
      methods: ["GET", "PURGE"],
      paths: ["/a,b/{int}", "/static/**"],
      contentTypes: ["application/json", "image/*", ""],
    },
  }),
  rule({ http: { contentTypes: [""] } }),
];

describe("the form of a rule", () => {
  test("says what the rule said", () => {
    let checked = 0;
    for (const each of RULES) {
      expect(ruleOfForm(formOfRule(each)).value).toEqual(each);
      checked++;
    }
    expect(checked).toBe(11);
  });

  test("spaces, commas and lines part words, and each is taken once", () => {
    expect(wordsOf(" GET,POST\n GET  ")).toEqual(["GET", "POST"]);
    const form = { ...formOfRule(rule({})), methods: "GET, HEAD", paths: " /a \n\n/b /a", hosts: "" };
    expect(ruleOfForm(form).value?.http).toEqual({ methods: ["GET", "HEAD"], paths: ["/a", "/b"] });
  });

  test("fields of another choice say nothing", () => {
    const form = {
      ...formOfRule(rule({})),
      sourceKind: "network" as const,
      ...{ sourceNetwork: "office", sourceCidr: "10.0.0.0/8", sourceImage: "web" },
      destinationPorts: "nonsense",
    };
    expect(ruleOfForm(form).value).toEqual(rule({ source: { network: "office" } }));
  });

  test("what allows knows no exception for what is learned", () => {
    const form = { ...formOfRule(rule({})), allowLearned: true };
    expect(ruleOfForm(form).value?.allowLearned).toBe(false);
  });

  test("what cannot be sent is told at its field", () => {
    const host = formOfRule(rule({ destination: { host: "a.example" } }));
    let checked = 0;
    for (const destinationPorts of ["http", "443-445", "-1", "4.5", "1e3", "999999"]) {
      expect(Object.keys(ruleOfForm({ ...host, destinationPorts }).faults ?? {})).toEqual([
        "destinationPorts",
      ]);
      checked++;
    }
    expect(checked).toBe(6);
    expect(ruleOfForm({ ...host, expires: "tomorrow" }).faults).toEqual({
      expires: "write a day and a time",
    });
  });

  test("an expiry that nobody touched stays to the letter, another one is a moment", () => {
    const form = formOfRule(rule({ expires: "2031-01-31T12:00:30+02:00" }));
    expect(ruleOfForm({ ...form, comment: "x" }).value?.expires).toBe("2031-01-31T12:00:30+02:00");
    const expires = localText(Date.parse("2031-02-01T08:15:00Z"));
    expect(ruleOfForm({ ...form, expires }).value?.expires).toBe("2031-02-01T08:15:00Z");
    expect(ruleOfForm({ ...form, expires: "" }).value?.expires).toBeUndefined();
  });
});

test("a rule about anyone and anywhere says what it does to all traffic", () => {
  expect(breadthWords(formOfRule())).toContain("let through, also what the modes would refuse");
  expect(breadthWords(formOfRule(rule({ direction: "egress" })))).toContain("let through");
  expect(breadthWords(formOfRule(rule({ effect: "prevent" })))).toContain("refused, also what was learned");
  expect(breadthWords(formOfRule(rule({ effect: "prevent", allowLearned: true })))).toContain("except");
  const narrow = RULES.filter((each) => breadthWords(formOfRule(each)) === "");
  const wide = RULES.length - narrow.length;
  expect(wide).toBe(
    RULES.filter(({ source, destination, http }) =>
      `${JSON.stringify(source)}${JSON.stringify(destination)}` === "{}{}" && http === undefined
    ).length,
  );
  expect(narrow.length).toBeGreaterThan(5);
});

test("the audit log as a file is a line for each entry, and says where it was cut off", () => {
  const entries = [{ id: 2, detail: "line\nbreak" }, { id: 1, detail: "first" }];
  expect(auditText(entries, undefined).split("\n")).toEqual([
    ...entries.map((entry) => JSON.stringify(entry)),
    "",
  ]);
  expect(auditText(entries, "1").trimEnd().split("\n").at(-1)).toBe('{"cutOff":true,"before":"1"}');
  expect(auditText([], undefined)).toBe("");
});

describe("complaints of the gateway", () => {
  /** What the gateway says to a rule that is sent by itself. */
  function complaints(more: object): Readonly<Record<string, string>> {
    const sent = { id: "a", effect: "allow", ...more };
    try {
      parsePolicy(JSON.stringify({ apiVersion: "netwall/v1", kind: "Policy", spec: { rules: [sent] } }));
      return {};
    } catch (error) {
      return ruleFaults((error as PolicyError).faults);
    }
  }

  const CASES: readonly (readonly [object, string])[] = [
    [{ id: "No Name" }, "id"],
    [{ comment: "x".repeat(513) }, "comment"],
    [{ source: { network: "nowhere" } }, "sourceNetwork"],
    [{ source: { network: "" } }, "sourceNetwork"],
    [{ source: { cidr: "10.0.0.0/99" } }, "sourceCidr"],
    [{ source: { namespace: "a b" } }, "sourceNamespace"],
    [{ source: { image: "web:latest" } }, "sourceImage"],
    [{ destination: { namespace: "a b" } }, "destinationNamespace"],
    [{ destination: { image: "web@sha256:0" } }, "destinationImage"],
    [{ destination: { namespace: "a", service: "a b" } }, "destinationService"],
    [{ destination: { host: "" } }, "destinationHost"],
    [{ destination: { host: "a.example", ports: [0] } }, "destinationPorts"],
    [{ destination: { cidr: "nope" } }, "destinationCidr"],
    [{ http: { methods: ["get"] } }, "methods"],
    [{ http: { paths: ["a"] } }, "paths"],
    [{ http: { hosts: ["A B"] } }, "hosts"],
    [{ http: { contentTypes: ["text"] } }, "contentTypes"],
    [{ expires: "2031-01-31" }, "expires"],
  ];
  test("stand at the field that they are about", () => {
    let checked = 0;
    for (const [more, field] of CASES) {
      expect(`${JSON.stringify(more)} ${Object.keys(complaints(more))}`).toBe(
        `${JSON.stringify(more)} ${field}`,
      );
      checked++;
    }
    expect(checked).toBe(18);
  });

  test("several at one field are all told, without the name of the rule", () => {
    const found = complaints({ http: { methods: ["get", "post"] } });
    expect(found["methods"]).toContain("; ");
    expect(found["methods"]).not.toContain("(rule a)");
  });

  test("what is about no field is told with its place", () => {
    expect(ruleFaults([{ path: "spec.networks.x", message: "is bad" }])).toEqual({
      "": "spec.networks.x: is bad",
    });
    expect(ruleFaults([{ path: "", message: "is bad" }])).toEqual({ "": "is bad" });
    expect(partFaults([{ path: "spec.rateLimits.0.seconds", message: "no (rate limit a)" }], ["seconds"]))
      .toEqual({ seconds: "no" });
  });
});

describe("rules in words", () => {
  test("ends and conditions", () => {
    expect(
      RULES.map(({ source, destination }) => `${sourceWords(source)} > ${destinationWords(destination)}`),
    )
      .toEqual([
        ...["anyone > anywhere", "anyone > anywhere", "anyone > anywhere", "network office > anywhere"],
        "10.0.0.0/8 > 2001:db8::/32 port 443",
        "shop/* > */ghcr.io/acme/web, service web",
        "shop/web > shop/db",
        "anyone > *.example.com ports 443, 8443",
        ...["anyone > example.com", "anyone > anywhere", "anyone > anywhere"],
      ]);
    expect(destinationWords({ host: "2001:db8::1", ports: [443] })).toBe("[2001:db8::1]:443");
    expect(destinationWords({ service: "web" })).toBe("service web");
    expect(httpWords(RULES[9]?.http)).toEqual([
      "GET, PURGE",
      "path /a,b/{int} or /static/**",
      "host a.example or *.b.example",
      "content type application/json, image/* or none named",
    ]);
    expect(httpWords(undefined)).toEqual([]);
  });

  test("how long a rule holds", () => {
    const nowMs = Date.parse("2031-01-31T12:00:00Z");
    const at = (expires: string): string | undefined => expiryOf(rule({ expires }), nowMs)?.words;
    expect(at("2031-01-31T14:00:00Z")).toBe("2 h left");
    expect(at("2031-01-31T12:00:00Z")).toBe("expired 0 ms ago");
    expect(at("2031-01-28T12:00:00Z")).toBe("expired 3 days ago");
    expect(expiryOf(rule({}), nowMs)).toBeUndefined();
  });

  test("rules are found by every word, and by their state", () => {
    const rules = [
      rule({ id: "a", comment: "Office", http: { paths: ["/admin"] } }),
      rule({ id: "b", enabled: false }),
      rule({ id: "c", expires: "2030-01-01T00:00:00Z" }),
    ];
    const nowMs = Date.parse("2031-01-31T12:00:00Z");
    const used = new Set(["a"]);
    const find = (text: string, only: (typeof RULE_FILTERS)[number] = "all"): number[] =>
      findRules(rules, { text, only, nowMs, used });
    expect(find("")).toEqual([0, 1, 2]);
    expect(find("  OFFICE  /admin ")).toEqual([0]);
    expect(find("office nothing")).toEqual([]);
    expect(RULE_FILTERS.map((only) => find("", only))).toEqual([[0, 1, 2], [0], [1], [2], [1, 2]]);
    // As long as nobody knows, none is left out.
    expect(findRules(rules, { text: "", only: "unused", nowMs, used: undefined })).toEqual([0, 1, 2]);
  });
});

describe("the other forms", () => {
  test("modes, networks and limits say what they said", () => {
    const mode = {
      namespace: "shop",
      image: "web",
      direction: "egress",
      mode: "prevent",
      origin: "manual",
    } as const;
    expect(modeOfForm(formOfMode(mode))).toEqual(mode);
    expect(modeOfForm(formOfMode())).toEqual({ mode: "alert", origin: "manual" });
    // A mode that a person has edited is set by a person.
    expect(modeOfForm(formOfMode({ mode: "alert", origin: "promoted" })).origin).toBe("manual");
    const limits = [
      { id: "a", requests: 5, seconds: 0.5, banSeconds: 0 },
      { id: "b", service: "web", requests: 5, seconds: 1, burst: 9, banSeconds: 60 },
    ];
    expect(limits.map((limit) => limitOfForm(formOfLimit(limit)).value)).toEqual(limits);
    expect(limits.map(limitWords)).toEqual(["5 in 0.5 s", "5 in 1 s, 9 at once, then refused for 60 s"]);
    expect(policySchema.safeParse({ ...defaultPolicy(), spec: { rateLimits: limits } }).success).toBe(true);
  });

  test("what is no number is told at its field", () => {
    const form = { ...formOfLimit(), id: "a" };
    let checked = 0;
    for (const text of ["", "abc", "1,5", "Infinity", "NaN"]) {
      expect(Object.keys(limitOfForm({ ...form, requests: text }).faults ?? {})).toEqual(["requests"]);
      checked++;
    }
    expect(checked).toBe(5);
  });

  test("a network is renamed in its place", () => {
    const networks = { a: ["10.0.0.0/8"], b: ["10.1.0.0/16"] };
    const renamed = withNetwork(networks, "a", { name: " c ", cidrs: "10.0.0.0/8\n10.2.0.0/16" });
    expect(Object.entries(renamed)).toEqual([["c", ["10.0.0.0/8", "10.2.0.0/16"]], ["b", ["10.1.0.0/16"]]]);
    expect(Object.keys(withNetwork(networks, "", formOfNetwork("d", ["10.3.0.0/16"])))).toEqual([
      "a",
      "b",
      "d",
    ]);
    const spec = { ...defaultPolicy().spec, networks, rules: [rule({ id: "x", source: { network: "a" } })] };
    expect([usersOfNetwork(spec, "a"), usersOfNetwork(spec, "b")]).toEqual([["x"], []]);
  });
});
