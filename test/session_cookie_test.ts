/**
 * Tests of the cookie of the page: read strictly, taken out cleanly.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import {
  COOKIE_CHARS_MAX,
  SESSION_COOKIE,
  sessionCookie,
  sessionIdsOf,
  setsSessionCookie,
  withoutSessionCookie,
} from "../lib/session_cookie.ts";

const ID = "Aa0_-".repeat(9).slice(0, 43);
const OURS = `${SESSION_COOKIE}=${ID}`;

test("what is set is what is read", () => {
  const field = sessionCookie(ID, 43_200_999, false);
  expect(field).toBe(`${OURS}; Path=/api/v1; Max-Age=43200; HttpOnly; SameSite=Strict`);
  expect(sessionIdsOf(field.split(";")[0]!)).toEqual([ID]);
  expect(sessionCookie(ID, 1_000, true)).toMatch(/; Max-Age=1; HttpOnly; SameSite=Strict; Secure$/);
  expect(sessionCookie("", -5, false)).toBe(
    `${SESSION_COOKIE}=; Path=/api/v1; Max-Age=0; HttpOnly; SameSite=Strict`,
  );
});

describe("reading", () => {
  const good = [
    OURS,
    `a=1; ${OURS}`,
    `${OURS}; a=1`,
    `a;${OURS};;`,
    `x${OURS}; ${OURS}; NETWALL_SESSION=1`, // Others of the name, in whatever way: they lock nobody out.
    ...[
      `${OURS}; ${OURS}`,
      `${OURS};${SESSION_COOKIE}=x`,
      `${SESSION_COOKIE}; ${OURS}`,
      `${OURS}; ${SESSION_COOKIE} =x`,
    ],
  ];
  const bad: (string | null)[] = [
    ...[null, "", ";", "a=1", SESSION_COOKIE, `${SESSION_COOKIE}=`, `${SESSION_COOKIE}="${ID}"`],
    ...[`${OURS}, ${OURS}`, `a=1, ${OURS}`, `${SESSION_COOKIE}= ${ID}`, `${OURS} `, `${OURS}=`],
    ...[`${OURS}x`, OURS.slice(0, -1), OURS.toUpperCase(), `${SESSION_COOKIE}%3d${ID}`, `x${OURS}`],
    `a=${"x".repeat(COOKIE_CHARS_MAX)}; ${OURS}`,
  ];

  test("a cookie in the right shape is an id", () => {
    for (const field of good) expect([field, sessionIdsOf(field)]).toEqual([field, [ID]]);
    expect(good).toHaveLength(9);
  });

  test("anything else is none", () => {
    for (const field of bad) expect([field, sessionIdsOf(field)]).toEqual([field, []]);
    expect(bad).toHaveLength(18);
  });

  test("a field of any length is read in a moment", () => {
    const fields = [
      ";".repeat(1e6),
      `${SESSION_COOKIE}=`.repeat(1e5),
      `${OURS};`.repeat(1e5),
      " ".repeat(1e6),
    ];
    for (const field of fields) expect(sessionIdsOf(field)).toEqual([]);
    expect(fields).toHaveLength(4);
  });

  test("several are all given, up to a bound", () => {
    const of = (count: number): string[] =>
      Array.from({ length: count }, (_, index) => ID.slice(1) + "0123456789"[index]);
    const field = (ids: string[]): string => ids.map((id) => `${SESSION_COOKIE}=${id}`).join("; ");
    expect(sessionIdsOf(field(of(8)))).toEqual(of(8));
    expect(sessionIdsOf(field(of(9)))).toEqual([]);
  });
});

describe("taking it out", () => {
  const cases: [string, string][] = [
    [OURS, ""],
    [`${OURS};`, ""],
    [`${SESSION_COOKIE}`, ""],
    [`${SESSION_COOKIE}=`, ""],
    [`${OURS}; ${OURS}`, ""],
    [`a=1; ${OURS}`, "a=1"],
    [`${OURS}; a=1`, "a=1"],
    [`a=1; ${OURS}; b=2`, "a=1; b=2"],
    [`a=1;${OURS};b=2`, "a=1;b=2"],
    [`a=1;  ${OURS} ;\tb=2 ;; c`, "a=1;\tb=2 ;; c"],
    [`a="x y", z; ${SESSION_COOKIE} = ${ID}; b==`, 'a="x y", z; b=='],
    // Names that only hold it, and values that do.
    [`x${SESSION_COOKIE}=1`, `x${SESSION_COOKIE}=1`],
    [`${SESSION_COOKIE}2=1; a=${SESSION_COOKIE}`, `${SESSION_COOKIE}2=1; a=${SESSION_COOKIE}`],
    [`NETWALL_SESSION=1;  b`, `NETWALL_SESSION=1;  b`],
    [" ;; a = b ;", " ;; a = b ;"],
    ["\xe9=\xff; " + OURS, "\xe9=\xff"],
    [`${OURS}; \xa0a=1`, "\xa0a=1"],
  ];

  test("leaves the others byte for byte", () => {
    for (const [field, rest] of cases) expect([field, withoutSessionCookie(field)]).toEqual([field, rest]);
    expect(cases).toHaveLength(17);
  });

  test("leaves nothing that would be read as one", () => {
    for (const [field] of cases) {
      const rest = withoutSessionCookie(field);
      expect(withoutSessionCookie(rest)).toBe(rest);
      expect(rest.includes(ID)).toBe(false);
    }
  });
});

test("what would set it is known, with and without a name", () => {
  const sets = [OURS, `${SESSION_COOKIE}=; Max-Age=0`, ` ${SESSION_COOKIE} = x; Path=/`, SESSION_COOKIE];
  const nameless = [`=${OURS}`, ` = ${OURS}; HttpOnly`, `=${SESSION_COOKIE}; Path=/`];
  const not = [`x${OURS}`, `a=${SESSION_COOKIE}`, `a=1; ${OURS}`, `${SESSION_COOKIE}2=x`, "", "a=1"];
  for (const value of [...sets, ...nameless]) {
    expect([value, setsSessionCookie(value)]).toEqual([value, true]);
  }
  for (const value of not) expect([value, setsSessionCookie(value)]).toEqual([value, false]);
  expect([sets.length, nameless.length, not.length]).toEqual([4, 3, 6]);
});

test("it is taken out where a proxy has joined two fields with a comma, in a moment", () => {
  const cases: [string, string][] = [
    [`a=1, ${OURS}`, "a=1"],
    [`a=1,${OURS},b=2; c=3, ${OURS}`, "a=1,b=2; c=3"],
    [`a=1, ${SESSION_COOKIE}="${ID}"`, "a=1"],
    [`a=1, ${SESSION_COOKIE}=short`, `a=1, ${SESSION_COOKIE}=short`],
  ];
  for (const [field, rest] of cases) expect([field, withoutSessionCookie(field)]).toEqual([field, rest]);
  expect(cases).toHaveLength(4);
  const startMs = performance.now();
  for (const piece of [" ", " ,", "\t", `,${SESSION_COOKIE}=`, `, ${SESSION_COOKIE}`]) {
    const field = `a=${SESSION_COOKIE}${piece.repeat(64_000)}`;
    expect(withoutSessionCookie(field)).toBe(field);
  }
  // A pattern that goes back over what it has read takes minutes.
  expect(performance.now() - startMs).toBeLessThan(10_000);
});
