/**
 * Isolating a workload: the rules that it makes hold, can be lifted and taken back, and are known again.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import { isolate, isolationOf, liftIsolation } from "../../lib/page/detail/isolation.ts";
import { type PolicyDocument, policySchema } from "../../lib/policy/document.ts";

const GROUP = "shop/ghcr.io/acme/user-db";
const NOW_MS = 1_800_000_000_000;

function documentOf(...rules: readonly object[]): PolicyDocument {
  return policySchema.parse({ apiVersion: "netwall/v1", kind: "Policy", spec: { rules } });
}

const ids = ({ spec }: PolicyDocument): string[] => spec.rules.map(({ id }) => id);

describe("isolate()", () => {
  test("puts two rules in front of all others, which the policy takes as they are", () => {
    const made = isolate(GROUP, false).make(documentOf({ id: "first", effect: "allow" }));
    expect(ids(made)).toEqual(["isolate-user-db-from", "isolate-user-db-to", "first"]);
    expect(policySchema.parse(made)).toEqual(made);
    const [from, to] = made.spec.rules;
    const workload = { namespace: "shop", image: "ghcr.io/acme/user-db" };
    expect(from).toMatchObject({ source: workload, destination: {}, effect: "prevent", allowLearned: false });
    expect(to).toMatchObject({ source: {}, destination: workload, effect: "prevent", allowLearned: false });
    expect(isolationOf(GROUP, made, NOW_MS)).toMatchObject({ isWhole: true, holes: [] });
  });

  const GROUPS = [
    "shop/~web-1",
    `shop/${"long/".repeat(40)}${"a".repeat(200)}`,
    "shop/UPPER_case.x",
    "a/~~~",
  ];
  test("makes rules that the policy takes, of whatever image", () => {
    const made = GROUPS.map((group) => isolate(group, false).make(documentOf()));
    made.forEach((document, index) => {
      expect(policySchema.parse(document)).toEqual(document);
      expect(new Set(ids(document)).size).toBe(2);
      expect(ids(document)[0]!).toMatch(/^isolate-.*from$/);
      expect(ids(document)[1]!).toMatch(/^isolate-.*to$/);
      expect(isolationOf(GROUPS[index]!, document, NOW_MS).isWhole).toBe(true);
    });
    expect(made).toHaveLength(4);
  });

  test("takes a free id, and is made anew on a policy that has changed meanwhile", () => {
    const change = isolate(GROUP, false);
    change.make(documentOf());
    const taken = documentOf({ id: "isolate-user-db-from", effect: "alert" });
    const made = change.make(taken);
    expect(ids(made)).toEqual(["isolate-user-db-from-2", "isolate-user-db-to", "isolate-user-db-from"]);
    expect(isolationOf(GROUP, made, NOW_MS).isWhole).toBe(true);
    expect(change.unmake(made)).toEqual(taken);
  });

  test("is taken back whatever came since, and moves an earlier one to the front", () => {
    const before = isolate(GROUP, false).make(documentOf({ id: "a", effect: "alert" }));
    const holed = documentOf({ id: "open", effect: "allow" }, ...before.spec.rules.toReversed());
    const change = isolate(GROUP, false);
    const made = change.make(holed);
    expect(ids(made)).toEqual(["isolate-user-db-from", "isolate-user-db-to", "open", "a"]);
    expect(change.unmake(made)).toEqual(holed);
    const first = isolate(GROUP, false);
    const done = first.make(documentOf({ id: "a", effect: "alert" }));
    const later = { ...done, spec: { ...done.spec, rules: [...done.spec.rules].toReversed() } };
    expect(ids(first.unmake(later))).toEqual(["a"]);
  });

  test("tells what it does, and when there is a way around", () => {
    expect(isolate(GROUP, false).words).toContain("Open connections are cut at once. Its agents stay linked");
    expect(isolate(GROUP, false).words).not.toContain("wall");
    expect(isolate(GROUP, true).words).toContain("Its wall is broken");
  });
});

describe("liftIsolation()", () => {
  test("takes the two rules of this workload alone away, and puts them back where they stood", () => {
    const other = isolate("shop/web", false).make(documentOf({ id: "a", effect: "alert" }));
    const both = isolate(GROUP, false).make(other);
    const [from, to, ...rest] = both.spec.rules;
    const before = documentOf(from!, rest[0]!, to!, ...rest.slice(1));
    const change = liftIsolation(GROUP);
    const made = change.make(before);
    expect(made).toEqual(other);
    expect(change.unmake(made)).toEqual(before);
  });

  test("changes nothing where there is no isolation", () => {
    const before = documentOf({ id: "a", effect: "alert" });
    expect(liftIsolation(GROUP).make(before)).toEqual(before);
  });
});

describe("isolationOf()", () => {
  const made = isolate(GROUP, false).make(documentOf());
  const [from, to] = made.spec.rules as [object, object];

  const OTHERS: readonly object[] = [
    { ...from, id: "by-hand" },
    { ...from, enabled: false },
    { ...from, effect: "alert" },
    { ...from, allowLearned: true },
    { ...from, direction: "egress" },
    { ...from, protocol: "http" },
    { ...from, expires: "2000-01-01T00:00:00Z" },
    { ...from, source: {} },
    { ...from, source: { namespace: "shop" } },
    { ...from, source: { namespace: "test", image: "ghcr.io/acme/user-db" } },
    { ...from, destination: { host: "example.com" } },
    { ...to, destination: { namespace: "shop", image: "ghcr.io/acme/user-db", service: "user-db" } },
    { ...to, source: { network: "internet" } },
    { ...to, http: { methods: ["GET"] } },
  ];
  test("knows no other rule for one", () => {
    const found = OTHERS.map((rule) => isolationOf(GROUP, documentOf(rule), NOW_MS).rules.length);
    expect(found).toEqual(OTHERS.map(() => 0));
    expect(found).toHaveLength(14);
  });

  test("tells that one side alone is none", () => {
    expect(isolationOf(GROUP, documentOf(to), NOW_MS)).toMatchObject({ isWhole: false });
    expect(isolationOf(GROUP, documentOf(to), NOW_MS).rules).toHaveLength(1);
  });

  const IN_FRONT: readonly (readonly [object, boolean])[] = [
    [{ effect: "allow" }, true],
    [{ effect: "alert", source: { namespace: "shop" } }, true],
    [{ effect: "prevent", allowLearned: true }, true],
    [{ effect: "allow", destination: { namespace: "shop", service: "user-db" } }, true],
    [{ effect: "allow", source: { network: "internet" } }, true],
    [{ effect: "allow", destination: { host: "example.com" } }, true],
    [{ effect: "prevent" }, false],
    [{ effect: "allow", enabled: false }, false],
    [{ effect: "allow", expires: "2000-01-01T00:00:00Z" }, false],
    [{ effect: "allow", source: { namespace: "test" }, destination: { namespace: "test" } }, false],
    [
      { effect: "allow", source: { network: "internet" }, destination: { namespace: "shop", image: "web" } },
      false,
    ],
    [{ effect: "allow", source: { image: "web" }, destination: { host: "example.com" } }, false],
    [{ effect: "allow", source: { image: "web" }, direction: "egress" }, false],
  ];
  test("names the rules in front that may let some through, and none behind", () => {
    const found = IN_FRONT.map(([rule]) =>
      isolationOf(GROUP, documentOf({ id: "front", ...rule }, from, to), NOW_MS).holes.length > 0
    );
    expect(found).toEqual(IN_FRONT.map(([, isHole]) => isHole));
    expect(found).toHaveLength(13);
    expect(isolationOf(GROUP, documentOf(from, to, { id: "back", effect: "allow" }), NOW_MS).holes).toEqual(
      [],
    );
  });
});
