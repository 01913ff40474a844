/**
 * The routes of one service as one source uses them: placeholders, collapsing, quotas and bounds.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import { COUNT_STRONG, OBSERVED_MIN } from "../../lib/policy/collapse.ts";
import type { Owner } from "../../lib/policy/route_node.ts";
import { NOBODY, templateOf } from "../../lib/policy/route_node.ts";
import {
  type Asked,
  type Learned,
  METHODS_PER_ROUTE_MAX,
  METHODS_PER_VISITOR_MAX,
  RouteTree,
  type TreeLimits,
  TYPES_PER_AGENT_MAX,
  TYPES_PER_METHOD_MAX,
  TYPES_PER_VISITOR_MAX,
} from "../../lib/policy/route_tree.ts";
import { LITERAL_CHARS_MAX, readPath } from "../../lib/policy/segment.ts";

const LIMITS: TreeLimits = {
  siblingsMax: 16,
  routesMax: 256,
  routesPerVisitorMax: 30,
  routesPerAgentMax: 192,
  bytesMax: 2 << 20,
};
const AGENT: Owner = { key: "agent", isVisitor: false };

function visitor(number: number): Owner {
  return { key: `visitor-${number}`, isVisitor: true };
}

function ask(path: string, method = "GET", contentType = ""): Asked {
  return { segments: readPath(path)!, method, contentType };
}

function routesOf(tree: RouteTree): string[] {
  return [...tree.operations()].map(([node, { method }]) => `${method} ${templateOf(node)}`).sort();
}

function learn(tree: RouteTree, path: string, owner: Owner = AGENT, limits: TreeLimits = LIMITS): Learned {
  return tree.learn(ask(path), owner, limits);
}

/** The word for a number, without a digit in it. */
function word(number: number): string {
  const letters = "abcdefghijklmnopqrstuvwxyz";
  return `${letters[Math.floor(number / 26) % 26]}x${letters[number % 26]}`;
}

describe("RouteTree", () => {
  test("values become placeholders at once, words stay beside them", () => {
    const tree = new RouteTree();
    for (const path of ["/users/7", "/users/8", "/users/me", "/users/3f0c2b1a-9d8e-4f7a-8b6c-5d4e3f2a1b0c"]) {
      learn(tree, path);
    }
    expect(routesOf(tree)).toEqual(["GET /users/me", "GET /users/{int}", "GET /users/{uuid}"]);
    expect(tree.find(ask("/users/99"))).toBeDefined();
    expect(tree.find(ask("/users/you"))).toBeUndefined();
    expect(tree.find(ask("/Users/me"))).toBeUndefined();
    expect(tree.find(ask("/users/99/orders"))).toBeUndefined();
    expect(tree.find(ask("/users/"))).toBeUndefined();
  });

  test("a number that may be hexadecimal falls under the placeholder that is there", () => {
    const tree = new RouteTree();
    learn(tree, "/commits/deadbee1");
    expect(tree.find(ask("/commits/12345678"))).toBeDefined();
    expect(tree.find(ask("/commits/deadbeef"))).toBeDefined();
    expect(tree.find(ask("/commits/1234567"))).toBeUndefined();
  });

  test("leaves beside each other collapse beyond the bound, and are covered still", () => {
    const tree = new RouteTree();
    for (let at = 0; at < 16; at += 1) learn(tree, `/shops/${word(at)}`);
    expect(tree.routes).toBe(16);
    expect(tree.find(ask("/shops/new"))).toBeUndefined();
    learn(tree, `/shops/${word(16)}`);
    expect(routesOf(tree)).toEqual(["GET /shops/{str}"]);
    expect(tree.find(ask("/shops/new"))).toBeDefined();
    for (let at = 0; at < 17; at += 1) expect(tree.find(ask(`/shops/${word(at)}`))).toBeDefined();
    // Never what hides a slash, and nothing empty.
    for (const path of ["/shops/a%2Fb", "/shops/", "/shops/a%5Cb"]) {
      expect(tree.find(ask(path))).toBeUndefined();
    }
    expect(tree.find(ask("/shops/new", "DELETE"))).toBeUndefined();
  });

  test("subtrees are merged with what stands in them", () => {
    const tree = new RouteTree();
    for (let round = 0; round < OBSERVED_MIN; round += 1) {
      const name = word(round % 300);
      learn(tree, `/shops/${name}`);
      learn(tree, `/shops/${name}/orders/${round}`);
    }
    expect(routesOf(tree)).toEqual(["GET /shops/{str}", "GET /shops/{str}/orders/{int}"]);
    expect(tree.find(ask("/shops/other/orders/5"))).toBeDefined();
    expect(tree.find(ask("/shops/other/orders"))).toBeUndefined();
  });

  test("a closed set that comes again and again stays words", () => {
    const tree = new RouteTree();
    for (let round = 0; round < 40; round += 1) {
      for (let at = 0; at < 20; at += 1) {
        learn(tree, `/api/${word(at)}/${round}`);
        if (round > 20) learn(tree, `/api/${word(at)}`);
      }
    }
    expect(tree.find(ask("/api/other/1"))).toBeUndefined();
    expect(tree.routes).toBe(40);
  });

  test("a word that was seen often stays, and what has pages of its own stays", () => {
    const tree = new RouteTree();
    for (let at = 0; at < COUNT_STRONG; at += 1) learn(tree, "/users/me");
    learn(tree, "/users/admin");
    learn(tree, "/users/admin/keys");
    for (let at = 0; at < OBSERVED_MIN; at += 1) learn(tree, `/users/${word(at)}`);
    expect(routesOf(tree)).toEqual([
      "GET /users/admin",
      "GET /users/admin/keys",
      "GET /users/me",
      "GET /users/{str}",
    ]);
    expect(tree.find(ask("/users/other/keys"))).toBeUndefined();
  });

  test("one visitor cannot make words collapse, and brings no more routes than his quota", () => {
    const tree = new RouteTree();
    const outcomes: Learned[] = [];
    for (let at = 0; at < 60; at += 1) outcomes.push(learn(tree, `/${word(at)}`, visitor(1)));
    expect(tree.routes).toBe(LIMITS.routesPerVisitorMax);
    expect(outcomes.filter((it) => it === "refused")).toHaveLength(30);
    expect(tree.find(ask("/other"))).toBeUndefined();
    expect(tree.full).toBeUndefined();
    // Again and again is no more than once.
    for (let times = 0; times < 500; times += 1) {
      expect(learn(tree, `/${word(59)}`, visitor(1))).toBe("refused");
    }
    expect(learn(tree, `/${word(59)}`, visitor(2))).toBe("new");
  });

  test("four visitors cannot make words collapse, five can", () => {
    for (const [visitors, isCollapsed] of [[4, false], [5, true]] as const) {
      const tree = new RouteTree();
      for (let at = 0; at < 25; at += 1) learn(tree, `/shops/${word(at)}`, visitor(at % visitors));
      expect(tree.find(ask("/shops/other")) !== undefined).toBe(isCollapsed);
    }
  });

  test("a merge gives the quota back", () => {
    const tree = new RouteTree();
    for (let at = 0; at < 170; at += 1) {
      expect(learn(tree, `/shops/${word(at)}/${"a".repeat(1 + at % 3)}`)).not.toBe("full");
    }
    expect(tree.routes).toBeLessThan(170);
    expect(learn(tree, "/one/more")).toBe("new");
  });

  test("a visitor cannot fill up methods and content types, several can, and then it says so", () => {
    const tree = new RouteTree();
    const methods = Array.from({ length: 12 }, (_, at) => `M${at}`);
    for (const method of methods) tree.learn(ask("/", method), visitor(1), LIMITS);
    expect(tree.operationCount).toBe(METHODS_PER_VISITOR_MAX);
    for (let at = 0; at < 12; at += 1) tree.learn(ask("/", "M0", `text/t${at}`), visitor(2), LIMITS);
    expect(tree.operationCount).toBe(METHODS_PER_VISITOR_MAX + TYPES_PER_VISITOR_MAX);
    expect(tree.full).toBeUndefined();
    for (const method of methods) tree.learn(ask("/", method), visitor(3), LIMITS);
    expect(tree.full).toBe(`${METHODS_PER_ROUTE_MAX} methods of one route`);

    const other = new RouteTree();
    for (let at = 0; at < 12; at += 1) other.learn(ask("/", "POST", `text/t${at}`), AGENT, LIMITS);
    expect(other.operationCount).toBe(TYPES_PER_AGENT_MAX);
    expect(other.full).toBeUndefined();
    const second = { key: "another agent", isVisitor: false };
    for (let at = 12; at < 24; at += 1) other.learn(ask("/", "POST", `text/t${at}`), second, LIMITS);
    expect(other.operationCount).toBe(TYPES_PER_METHOD_MAX);
    expect(other.full).toBe(`${TYPES_PER_METHOD_MAX} content types of one method`);
  });

  test("routes and bytes are bounded, whoever brings them", () => {
    const tree = new RouteTree();
    for (let at = 0; at < 400; at += 1) {
      learn(tree, `/${word(at)}/${word(at)}/${word(at + 1)}`, NOBODY, { ...LIMITS, siblingsMax: 999 });
    }
    expect(tree.routes).toBe(LIMITS.routesMax);
    expect(tree.full).toBe("256 routes");

    const small = new RouteTree();
    for (let at = 0; at < 400; at += 1) {
      learn(small, `/${word(at)}/y`, NOBODY, { ...LIMITS, siblingsMax: 999, bytesMax: 20_000 });
    }
    expect(small.full).toBe("20000 bytes");
    expect(small.bytes).toBeLessThan(22_000);
  });

  const UNLEARNABLE: readonly (readonly [string, Asked])[] = [
    ["a long word", ask(`/${"a".repeat(LITERAL_CHARS_MAX + 1)}`)],
    ["a long method", ask("/", "M".repeat(65))],
    ["an empty method", ask("/", "")],
    ["a method with a space", ask("/", "GET /x")],
    ["a long content type", ask("/", "GET", "t".repeat(128))],
    ["a content type with a space", ask("/", "GET", "text/a b")],
    ["a content type beyond ASCII", ask("/", "GET", "text/\u212a")],
  ];
  for (const [what, asked] of UNLEARNABLE) {
    test(`${what} is refused`, () => {
      const tree = new RouteTree();
      expect(tree.learn(asked, NOBODY, LIMITS)).toBe("refused");
      expect(tree.operationCount).toBe(0);
      expect(tree.routes).toBe(0);
    });
  }
});
