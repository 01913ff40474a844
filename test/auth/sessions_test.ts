/**
 * Tests of sessions and of the codes that begin them: when they end, what bounds them, and who pushes out whom.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import { GENERATIONS_MAX, type Grant } from "../../lib/auth/grant.ts";
import {
  CODE_MS_MAX,
  CODE_PATTERN,
  CODES_MAX,
  CODES_PER_HOLDER_MAX,
  OneTimeCodes,
} from "../../lib/auth/one_time_codes.ts";
import {
  SESSION_IDLE_MS_MAX,
  SESSION_LIFE_MS_MAX,
  Sessions,
  SESSIONS_MAX,
  SESSIONS_PER_HOLDER_MAX,
  VIEWER_STEPS_MAX,
  VIEWER_STEPS_MS,
} from "../../lib/auth/sessions.ts";

const START_MS = Date.UTC(2026, 0, 1);

/** A clock, sessions by it, and tokens that can be revoked. */
class Stage {
  nowMs = START_MS;
  readonly revoked = new Set<string>();
  readonly sessions = new Sessions(() => this.nowMs);

  grant(name = "otto", change: Partial<Grant> = {}): Grant {
    const isGood = (): boolean => !this.revoked.has(name);
    return { name, role: "operator", endsAtMs: Infinity, generation: 0, isGood, ...change };
  }

  code(grant: Grant, role: Grant["role"] = grant.role): string {
    const made = this.sessions.makeCode(grant, role);
    if (made === "tooManyLinks") throw new Error("no code was made");
    return made.code;
  }
}

describe("a session", () => {
  test("has an id of 256 bits that is new every time, and the name and role of its grant", () => {
    const { sessions, grant } = stageParts();
    const ids = new Set<string>();
    for (let count = 0; count < 20; count++) {
      const { id, session } = sessions.begin(grant("vera", { role: "viewer" }));
      expect(id).toMatch(/^[A-Za-z0-9_-]{43}$/);
      expect([session.name, session.role]).toEqual(["vera", "viewer"]);
      ids.add(id);
    }
    expect(ids.size).toBe(20);
    // Nothing that is kept says what an id is.
    const [id] = ids;
    expect(JSON.stringify(sessions.find(id!)).includes(id!)).toBe(false);
  });

  test("is found by its id alone", () => {
    const { sessions, grant } = stageParts();
    const { id, session } = sessions.begin(grant());
    const wrong = ["", " ", id.slice(1), `${id}=`, id.toLowerCase(), `${id}${id}`, "A".repeat(43), "\u0000"];
    for (const text of wrong) expect([text, sessions.find(text)]).toEqual([text, undefined]);
    expect(sessions.find(id) === session).toBe(true);
    expect(wrong).toHaveLength(8);
  });

  test("is over an hour after its last use, and use puts that off", () => {
    const stage = new Stage();
    const { id, session } = stage.sessions.begin(stage.grant());
    for (let hour = 0; hour < 5; hour++) {
      stage.nowMs += SESSION_IDLE_MS_MAX - 1;
      expect(stage.sessions.find(id)).toBeDefined();
    }
    // A stream that is open asks this way.
    stage.nowMs += SESSION_IDLE_MS_MAX - 1;
    expect(session.isGood()).toBe(true);
    stage.nowMs += SESSION_IDLE_MS_MAX - 1;
    expect(session.isGood()).toBe(true);
    stage.nowMs += SESSION_IDLE_MS_MAX;
    expect([session.isGood(), stage.sessions.find(id), stage.sessions.size]).toEqual([false, undefined, 0]);
    stage.nowMs = START_MS;
    expect(stage.sessions.find(id)).toBeUndefined();
  });

  test("is over after twelve hours however much it is used", () => {
    const stage = new Stage();
    const { id, session } = stage.sessions.begin(stage.grant());
    expect(session.endsAtMs).toBe(START_MS + SESSION_LIFE_MS_MAX);
    while (stage.nowMs + 60_000 < START_MS + SESSION_LIFE_MS_MAX) {
      stage.nowMs += 60_000;
      expect(stage.sessions.find(id) === session).toBe(true);
    }
    stage.nowMs = START_MS + SESSION_LIFE_MS_MAX;
    expect(session.isGood()).toBe(false);
  });

  test("ends with its token, by time or by being revoked", () => {
    const stage = new Stage();
    const short = stage.sessions.begin(stage.grant("short", { endsAtMs: START_MS + 1_000 }));
    const other = stage.sessions.begin(stage.grant("other"));
    expect(short.session.endsAtMs).toBe(START_MS + 1_000);
    stage.revoked.add("other");
    expect([short.session.isGood(), other.session.isGood()]).toEqual([true, false]);
    // What has ended stays so.
    stage.revoked.clear();
    expect([stage.sessions.find(other.id), other.session.isGood()]).toEqual([undefined, false]);
    stage.nowMs += 1_000;
    expect(stage.sessions.find(short.id)).toBeUndefined();
  });

  test("that is ended is over, and no other is", () => {
    const stage = new Stage();
    const [first, second] = [stage.sessions.begin(stage.grant()), stage.sessions.begin(stage.grant())];
    stage.sessions.end(first!.session);
    stage.sessions.end(first!.session);
    expect([stage.sessions.find(first!.id), first!.session.isGood()]).toEqual([undefined, false]);
    expect([second!.session.isGood(), stage.sessions.size]).toEqual([true, 1]);
  });
});

/** A stage in pieces. */
function stageParts(): { sessions: Sessions; grant: Stage["grant"] } {
  const stage = new Stage();
  return { sessions: stage.sessions, grant: (name, change) => stage.grant(name, change) };
}

describe("bounds of sessions", () => {
  test("one holder has so many, and its idlest goes first", () => {
    const stage = new Stage();
    const begun = Array.from({ length: SESSIONS_PER_HOLDER_MAX }, () => stage.sessions.begin(stage.grant()));
    const viewer = stage.sessions.begin(stage.grant("otto", { role: "viewer" }));
    // The first is used, so that the second is the idlest.
    expect(begun[0]!.session.isGood()).toBe(true);
    stage.sessions.begin(stage.grant());
    expect(stage.sessions.size).toBe(SESSIONS_PER_HOLDER_MAX + 1);
    expect(begun.map(({ id }) => stage.sessions.find(id) !== undefined).indexOf(false)).toBe(1);
    expect(begun.filter(({ session }) => session.isGood())).toHaveLength(SESSIONS_PER_HOLDER_MAX - 1);
    expect(viewer.session.isGood()).toBe(true);
  });

  test("a viewer pushes out no operator, not even of the same name", () => {
    const stage = new Stage();
    const operator = stage.sessions.begin(stage.grant("admin"));
    for (let count = 0; count < 4 * SESSIONS_MAX; count++) {
      stage.sessions.begin(stage.grant("admin", { role: "viewer" }));
    }
    expect(operator.session.isGood()).toBe(true);
    expect(stage.sessions.size).toBe(SESSIONS_PER_HOLDER_MAX + 1);
  });

  test("there are so many in all, and the idlest goes first", () => {
    const stage = new Stage();
    const begun = Array.from(
      { length: SESSIONS_MAX },
      (_, index) => stage.sessions.begin(stage.grant(`n${index}`)),
    );
    expect(begun[0]!.session.isGood()).toBe(true);
    for (let count = 0; count < 3; count++) stage.sessions.begin(stage.grant(`m${count}`));
    expect(stage.sessions.size).toBe(SESSIONS_MAX);
    expect(begun.map(({ session }) => session.isGood()).slice(0, 5)).toEqual([
      true,
      false,
      false,
      false,
      true,
    ]);
  });

  test("what is over makes room before anything else does", () => {
    const stage = new Stage();
    const gone = stage.sessions.begin(stage.grant("gone"));
    const begun = Array.from(
      { length: SESSIONS_MAX - 1 },
      (_, index) => stage.sessions.begin(stage.grant(`n${index}`)),
    );
    expect(gone.session.isGood()).toBe(true);
    stage.revoked.add("gone");
    stage.sessions.begin(stage.grant("new"));
    expect(begun.every(({ session }) => session.isGood())).toBe(true);
    expect(stage.sessions.size).toBe(SESSIONS_MAX);
  });

  test("a viewer takes so many steps in an hour, an operator as many as it likes", () => {
    const stage = new Stage();
    const viewer = { name: "vera", role: "viewer" } as const;
    for (let count = 0; count < VIEWER_STEPS_MAX; count++) expect(stage.sessions.step(viewer)).toBe(0);
    stage.nowMs += 1_000;
    expect(stage.sessions.step(viewer)).toBe(VIEWER_STEPS_MS - 1_000);
    expect(stage.sessions.step({ name: "other", role: "viewer" })).toBe(0);
    for (let count = 0; count < 3 * VIEWER_STEPS_MAX; count++) {
      expect(stage.sessions.step({ name: "vera", role: "operator" })).toBe(0);
    }
    stage.nowMs += VIEWER_STEPS_MS;
    expect(stage.sessions.step(viewer)).toBe(0);
    // A clock that was put back makes nobody wait for long.
    stage.nowMs -= 10 * VIEWER_STEPS_MS;
    expect(stage.sessions.step(viewer)).toBe(0);
  });
});

describe("a code", () => {
  test("has 192 bits, works once, and gives what its maker may", () => {
    const stage = new Stage();
    const { session } = stage.sessions.begin(stage.grant());
    const code = stage.code(session.grant);
    expect(code).toMatch(CODE_PATTERN);
    expect(code).not.toBe(stage.code(session.grant));
    const grant = stage.sessions.takeCode(code);
    expect(grant).toMatchObject({
      name: "otto",
      role: "operator",
      endsAtMs: session.endsAtMs,
      generation: 1,
    });
    expect(stage.sessions.takeCode(code)).toBeUndefined();
  });

  test("is for a viewer when it is asked for, and never for more than its maker is", () => {
    const stage = new Stage();
    const code = stage.code(stage.grant(), "viewer");
    expect(stage.sessions.takeCode(code)?.role).toBe("viewer");
    expect(() => stage.code(stage.grant("vera", { role: "viewer" }), "operator")).toThrow(RangeError);
  });

  test("is over after ten minutes, or earlier with its maker's token", () => {
    const stage = new Stage();
    const [early, late] = [stage.code(stage.grant()), stage.code(stage.grant())];
    const short = stage.code(stage.grant("short", { endsAtMs: START_MS + 1_000 }));
    const revoked = stage.code(stage.grant("revoked"));
    stage.revoked.add("revoked");
    expect(stage.sessions.takeCode(revoked)).toBeUndefined();
    stage.nowMs += 1_000;
    expect(stage.sessions.takeCode(short)).toBeUndefined();
    stage.nowMs = START_MS + CODE_MS_MAX - 1;
    expect(stage.sessions.takeCode(early)).toBeDefined();
    stage.nowMs += 1;
    expect(stage.sessions.takeCode(late)).toBeUndefined();
  });

  test("that was never made is none, whatever it looks like", () => {
    const stage = new Stage();
    const code = stage.code(stage.grant());
    const wrong = [
      "",
      code.slice(1),
      `${code}x`,
      code.toLowerCase(),
      ` ${code}`,
      "A".repeat(32),
      "x".repeat(1e6),
    ];
    for (const text of wrong) expect(stage.sessions.takeCode(text)).toBeUndefined();
    expect(wrong).toHaveLength(7);
    expect(stage.sessions.takeCode(code)).toBeDefined();
  });

  test("goes when there are too many: the holder's own oldest first, then the oldest of all", () => {
    const codes = new OneTimeCodes(() => START_MS);
    const stage = new Stage();
    const make = (name: string): string => codes.make(stage.grant(name)).code;
    const first = make("first");
    const own = Array.from({ length: CODES_PER_HOLDER_MAX + 1 }, () => make("own"));
    expect(codes.size).toBe(CODES_PER_HOLDER_MAX + 1);
    for (let count = 0; count < 1_000; count++) make("own");
    expect(codes.size).toBe(CODES_PER_HOLDER_MAX + 1);
    expect(codes.take(own[0]!)).toBeUndefined();
    for (let count = 0; count < CODES_MAX; count++) make(`other ${count}`);
    expect(codes.size).toBe(CODES_MAX);
    expect(codes.take(first)).toBeUndefined();
  });

  test("that is over makes room before one that holds", () => {
    const stage = new Stage();
    const codes = new OneTimeCodes(() => stage.nowMs);
    const held = codes.make(stage.grant("held")).code;
    for (let count = 1; count < CODES_MAX; count++) codes.make(stage.grant("gone" + count % 8));
    for (let count = 0; count < 8; count++) stage.revoked.add(`gone${count}`);
    codes.make(stage.grant("new"));
    expect(codes.size).toBe(2);
    expect(codes.take(held)).toBeDefined();
  });
});

describe("a session of a link", () => {
  test("ends at the latest with the one that made the link, however long it goes on", () => {
    const stage = new Stage();
    const { session } = stage.sessions.begin(stage.grant());
    stage.nowMs += 10 * 3_600_000;
    const child = stage.sessions.begin(stage.sessions.takeCode(stage.code(session.grant))!);
    expect(child.session.endsAtMs).toBe(session.endsAtMs);
  });

  test("ends when that one signs out or its token is revoked, but not when it is idle", () => {
    const stage = new Stage();
    const parent = stage.sessions.begin(stage.grant());
    const waiting = stage.code(parent.session.grant);
    const child = stage.sessions.begin(stage.sessions.takeCode(stage.code(parent.session.grant))!);
    const grandchild = stage.sessions.begin(stage.sessions.takeCode(stage.code(child.session.grant))!);
    for (let half = 0; half < 4; half++) {
      stage.nowMs += SESSION_IDLE_MS_MAX / 2;
      expect([child.session.isGood(), grandchild.session.isGood()]).toEqual([true, true]);
    }
    expect(parent.session.isGood()).toBe(false);
    const other = stage.sessions.begin(stage.grant());
    const heir = stage.sessions.begin(stage.sessions.takeCode(stage.code(other.session.grant))!);
    const late = stage.code(other.session.grant);
    stage.sessions.end(other.session);
    expect([heir.session.isGood(), stage.sessions.takeCode(late)]).toEqual([false, undefined]);
    stage.sessions.end(child.session);
    expect(grandchild.session.isGood()).toBe(false);
    stage.revoked.add("otto");
    expect(stage.sessions.takeCode(waiting)).toBeUndefined();
  });

  test("makes links no deeper than so far", () => {
    const stage = new Stage();
    let grant = stage.grant();
    for (let generation = 1; generation <= GENERATIONS_MAX; generation++) {
      grant = stage.sessions.begin(stage.sessions.takeCode(stage.code(grant))!).session.grant;
      expect(grant.generation).toBe(generation);
    }
    expect(stage.sessions.makeCode(grant, "viewer")).toBe("tooManyLinks");
  });
});
