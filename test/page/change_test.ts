/**
 * Changes of the policy by a button: what each makes of the document, and that it can be taken back.
 *
 * @module
 */
import { expect, test } from "bun:test";
import {
  addRule,
  afterWords,
  type Change,
  freeId,
  isBlocking,
  partsOf,
  removeRule,
  replaceRule,
  ruleOfEdge,
  setMode,
} from "../../lib/page/core/change.ts";
import { type PolicyDocument, type PolicyRule, policySchema, ruleSchema } from "../../lib/policy/document.ts";
import type { SimulationReport } from "../../lib/policy/simulate.ts";
import { edgeOf, edgeRecord } from "./samples.ts";

function document(...ids: string[]): PolicyDocument {
  return policySchema.parse({
    ...{ apiVersion: "netwall/v1", kind: "Policy" },
    spec: {
      rules: ids.map((id) => ({ id, effect: "alert" })),
      modes: [{ mode: "alert", namespace: "shop" }],
    },
  });
}

const rule = (id: string): PolicyRule => ruleSchema.parse({ id, effect: "prevent" });
const ids = ({ spec }: PolicyDocument): string[] => spec.rules.map(({ id }) => id);

test("addRule() puts the rule in front, and takes it back whatever came since", () => {
  const change = addRule(rule("new"), "Add");
  const before = document("a", "b");
  const made = change.make(before);
  expect(ids(made)).toEqual(["new", "a", "b"]);
  expect(ids(before)).toEqual(["a", "b"]);
  expect(ids(change.unmake({ ...made, spec: { ...made.spec, rules: [rule("later"), ...made.spec.rules] } })))
    .toEqual(["later", "a", "b"]);
});

test("removeRule() puts the rule back where it stood, or at the end of what is left", () => {
  const before = document("a", "b", "c");
  const change = removeRule(before.spec.rules[1]!, 1, "Remove");
  const made = change.make(before);
  expect(ids(made)).toEqual(["a", "c"]);
  expect(change.unmake(made)).toEqual(before);
  expect(ids(change.unmake(document()))).toEqual(["b"]);
});

test("replaceRule() leaves the rule in its place both ways, and adds none that has gone", () => {
  const before = document("a", "b");
  const change = replaceRule(before.spec.rules[0]!, { ...before.spec.rules[0]!, effect: "allow" }, "Replace");
  const made = change.make(before);
  expect(made.spec.rules.map(({ effect }) => effect)).toEqual(["allow", "alert"]);
  expect(change.unmake(made)).toEqual(before);
  expect(ids(change.make(document("b")))).toEqual(["b"]);
});

test("setMode() takes the place of the modes of the group alone, and brings them back", () => {
  const group = "shop/ghcr.io/acme/web";
  const own = { namespace: "shop", image: "ghcr.io/acme/web" };
  const first = document();
  const cases: readonly (readonly [Change, unknown[]])[] = [
    [setMode(group, "prevent"), [{ ...own, mode: "prevent", origin: "manual" }]],
    [setMode(group, "learn", "egress"), [
      { ...own, direction: "east-west", mode: "alert", origin: "promoted" },
      { ...own, mode: "learn", direction: "egress", origin: "manual" },
    ]],
    [setMode(group, "default"), []],
    [setMode(group, "default", "east-west"), [{
      ...own,
      direction: "egress",
      mode: "alert",
      origin: "manual",
    }]],
  ];
  const before = policySchema.parse({
    ...first,
    spec: {
      ...first.spec,
      modes: [
        ...first.spec.modes,
        { ...own, direction: "east-west", mode: "alert", origin: "promoted" },
        { ...own, direction: "egress", mode: "alert" },
      ],
    },
  });
  let count = 0;
  for (const [change, wanted] of cases) {
    const made = policySchema.parse(change.make(before));
    expect(made.spec.modes.slice(1)).toEqual(wanted as never);
    expect(made.spec.modes[0]).toEqual(before.spec.modes[0]!);
    const back = change.unmake(made).spec.modes;
    expect(sorted(back)).toEqual(sorted(before.spec.modes));
    count += 1;
  }
  expect(count).toBe(4);
});

test("ruleOfEdge() is a rule that the policy takes, about just that edge", () => {
  const internal = ruleOfEdge(edgeRecord(), "allow", "one");
  expect(ruleSchema.parse(internal)).toEqual(internal);
  expect(internal.source).toEqual({ namespace: "shop", image: "front-end" });
  expect(internal.destination).toEqual({ namespace: "shop", image: "user", service: "user" });
  const outside = ruleOfEdge(
    edgeOf({ destination: "", service: "", host: "2001:db8::1", port: 443 }),
    "prevent",
    "two",
  );
  expect(ruleSchema.parse(outside).destination).toEqual({ host: "2001:db8::1", ports: [443] });
  const visitor = ruleOfEdge(edgeOf({ source: "internet" }), "alert", "three", "2030-01-01T00:00:00.000Z");
  expect(ruleSchema.parse(visitor).source).toEqual({ network: "internet" });
  expect(visitor.expires).toBe("2030-01-01T00:00:00.000Z");
});

test("freeId() makes a name that the policy takes of any words, and that nobody has", () => {
  const words = [
    "Allow Web → DB",
    "",
    "---",
    "ж".repeat(80),
    `${"a-".repeat(80)}`,
    "__proto__",
    "x".repeat(200),
  ];
  const taken = new Set<string>();
  let count = 0;
  for (let round = 0; round < 12; round++) {
    for (const each of words) {
      const id = freeId(each, taken);
      expect(taken.has(id)).toBe(false);
      expect(ruleSchema.safeParse({ id, effect: "allow" }).success).toBe(true);
      taken.add(id);
      count += 1;
    }
  }
  expect(count).toBe(84);
  expect(freeId("allow web", new Set(["allow-web", "allow-web-2"]))).toBe("allow-web-3");
});

test("partsOf() ends the namespace at the first slash; a network has none", () => {
  expect(partsOf("shop/ghcr.io/acme/web")).toEqual({ namespace: "shop", image: "ghcr.io/acme/web" });
  expect(partsOf("internet")).toBeUndefined();
});

function sorted(values: readonly unknown[]): string[] {
  return values.map((value) => JSON.stringify(value)).sort();
}

test("a change says how it holds for what is open", () => {
  const changes = (to: "dropped" | "audited"): SimulationReport =>
    ({ changes: [{ to }] }) as unknown as SimulationReport;
  const none = { changes: [] } as unknown as SimulationReport;
  const allowing = addRule({ ...rule("a"), effect: "allow" }, "Allow");
  const blocking = addRule(rule("a"), "Block");
  expect(afterWords(allowing)).toBe("It holds from the next connection on; what is open goes on.");
  expect([blocking, removeRule(rule("a"), 0, "Remove"), {}].map(afterWords)).toEqual(["", "", ""]);
  expect([blocking, setMode("shop/a", "prevent")].map((each) => isBlocking(each, none))).toEqual([
    true,
    true,
  ]);
  expect([allowing, setMode("shop/a", "alert"), {}].map((each) => isBlocking(each, none)))
    .toEqual([false, false, false]);
  // Whatever it is for: traffic that is known would be refused.
  expect([allowing, {}].map((each) => isBlocking(each, changes("dropped")))).toEqual([true, true]);
  expect(isBlocking({}, changes("audited"))).toBe(false);
});
