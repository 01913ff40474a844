/**
 * Bans: their ends, their keys and their bound.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import { Bans } from "../../lib/policy/bans.ts";

describe("Bans", () => {
  test("find() knows a ban until its end", () => {
    const bans = new Bans();
    expect(bans.add("logins", "192.0.2.1", "web", 1_000, 0)).toBe(true);
    expect(bans.find("logins", "192.0.2.1", 999)).toMatchObject({ service: "web", untilMs: 1_000 });
    expect(bans.find("other", "192.0.2.1", 0)).toBeUndefined();
    expect(bans.find("logins", "192.0.2.2", 0)).toBeUndefined();
    expect(bans.find("logins", "192.0.2.1", 1_000)).toBeUndefined();
    expect(bans.size).toBe(0);
  });

  test("add() does not move the end of a ban that stands", () => {
    const bans = new Bans();
    bans.add("logins", "a", "web", 1_000, 0);
    expect(bans.add("logins", "a", "web", 9_000, 500)).toBe(true);
    expect(bans.find("logins", "a", 999)?.untilMs).toBe(1_000);
    bans.add("logins", "a", "web", 9_000, 1_000);
    expect(bans.find("logins", "a", 8_999)?.untilMs).toBe(9_000);
  });

  test("keys fit into a path, are the same each time, and differ by limit and source", () => {
    const bans = new Bans();
    bans.add("logins", "2001:db8::/64", "web", 1_000, 0);
    bans.add("other", "2001:db8::/64", "web", 1_000, 0);
    bans.add("logins", "a", "web", 1_000, 0);
    const keys = bans.list(0).map(({ key }) => key);
    expect(new Set(keys).size).toBe(3);
    for (const key of keys) expect(key).toMatch(/^[0-9a-f]{24}$/);
    expect(bans.unban(keys[0]!)).toEqual({ limitId: "logins", source: "2001:db8::/64" });
    bans.add("logins", "2001:db8::/64", "web", 5_000, 0);
    expect(bans.list(0).at(-1)!.key).toBe(keys[0]!);
  });

  test("unban() of what is none says so", () => {
    const bans = new Bans();
    expect(bans.unban("0")).toBeUndefined();
    expect(bans.unban("__proto__")).toBeUndefined();
  });

  test("liftAllOf() lifts what one limit banned", () => {
    const bans = new Bans();
    bans.add("one", "a", "web", 1_000, 0);
    bans.add("two", "a", "web", 1_000, 0);
    bans.liftAllOf("one");
    expect(bans.find("one", "a", 0)).toBeUndefined();
    expect(bans.find("two", "a", 0)).toBeDefined();
  });

  test("a full list lifts no ban for another one, and has room when bans end", () => {
    const bans = new Bans(3);
    for (const source of ["a", "b", "c"]) expect(bans.add("limit", source, "web", 10_000, 0)).toBe(true);
    expect(bans.add("limit", "d", "web", 10_000, 0)).toBe(false);
    for (const source of ["a", "b", "c"]) expect(bans.find("limit", source, 5_000)).toBeDefined();
    expect(bans.add("limit", "d", "web", 20_000, 10_000)).toBe(true);
    expect(bans.size).toBe(1);
  });
});
