/**
 * Tests of how the page signs in and out, and of everybody who would like to be taken for it.
 *
 * @module
 */
import { afterEach, describe, expect, test } from "bun:test";
import { connect } from "node:net";
import type { AttemptsLike } from "../../lib/admin/access.ts";
import { SESSION_IDLE_MS_MAX, SESSION_LIFE_MS_MAX, VIEWER_STEPS_MAX } from "../../lib/auth/sessions.ts";
import { Attempts, FAILURES_FREE } from "../../lib/auth/attempts.ts";
import { CODE_MS_MAX } from "../../lib/auth/one_time_codes.ts";
import { listenAdmin } from "../../lib/gateway/admin_listener.ts";
import { StoreError } from "../../lib/store/store.ts";
import { type ApiRig, apiRig, json, TOKEN } from "./api_rig.ts";

const SESSION = "/api/v1/session";
const CODES = "/api/v1/session/codes";
const NO_SESSION = "This request came with a token and not by a session: ";
const COOKIE =
  /^netwall_session=([A-Za-z0-9_-]{43}); Path=\/api\/v1; Max-Age=(\d+); HttpOnly; SameSite=Strict$/;

const rigs: ApiRig[] = [];
afterEach(() => {
  for (const rig of rigs.splice(0)) rig.close();
});

async function newRig(change: Parameters<typeof apiRig>[0] = {}): Promise<ApiRig> {
  const rig = await apiRig(change);
  rigs.push(rig);
  return rig;
}

/** Signs in as the page does. */
async function begin(rig: ApiRig, body: unknown, headers: Record<string, string> = {}): Promise<Response> {
  const init = json("POST", body);
  return await rig.askBySession(SESSION, "", { ...init, headers: { ...init.headers as object, ...headers } });
}

/** A code of whoever holds a token. */
async function codeOf(rig: ApiRig, token: string, body?: unknown): Promise<string> {
  const answer = await rig.ask(CODES, {
    ...(body === undefined ? { method: "POST" } : json("POST", body)),
    token,
  });
  expect(answer.status).toBe(201);
  const { code, expiresAtMs } = await answer.json();
  expect([code.length, expiresAtMs]).toEqual([32, rig.nowMs + CODE_MS_MAX]);
  return code;
}

async function auditOf(rig: ApiRig): Promise<string[]> {
  const { items } = await (await rig.ask("/api/v1/audit?limit=1000")).json();
  return items.map((it: Record<string, string>) =>
    [it["by"], it["role"], it["action"], it["detail"]].join(" ")
  );
}

describe("signing in", () => {
  test("by a token begins a session of its name and role", async () => {
    const rig = await newRig();
    const holders: [string, string, string, number][] = [
      [TOKEN, "admin", "operator", SESSION_LIFE_MS_MAX],
      [rig.operator, "otto", "operator", 3_600_000],
      [rig.viewer, "vera", "viewer", 3_600_000],
    ];
    for (const [token, name, role, lifeMs] of holders) {
      const answer = await begin(rig, { token });
      const session = { name, role, expiresAtMs: rig.nowMs + lifeMs };
      expect([answer.status, await answer.json()]).toEqual([200, session]);
      const [, id, seconds] = COOKIE.exec(answer.headers.get("set-cookie") ?? "")!;
      expect(Number(seconds)).toBe(lifeMs / 1000);
      const known = await rig.askBySession(SESSION, `netwall_session=${id}`);
      expect([known.status, await known.json()]).toEqual([200, session]);
      const status = await rig.askBySession("/api/v1/status", `netwall_session=${id}`);
      expect((await status.json()).caller).toEqual({ name, role });
    }
    expect(holders).toHaveLength(3);
    expect(await auditOf(rig)).toEqual([
      "vera viewer session.begin by token",
      "otto operator session.begin by token",
      "admin operator session.begin by token",
    ]);
  });

  test("over HTTPS makes the cookie one of HTTPS", async () => {
    const rig = await newRig();
    const origins: [string, boolean][] = [
      ["https://netwall.example", true],
      ["http://127.0.0.1:9090", false],
      ["null", false],
    ];
    for (const [origin, isSecure] of origins) {
      const answer = await begin(rig, { token: TOKEN }, { origin });
      expect((answer.headers.get("set-cookie") ?? "").endsWith("; Secure")).toBe(isSecure);
      expect(answer.headers.get("access-control-allow-origin")).toBeNull();
    }
    expect(origins).toHaveLength(3);
  });

  test("never takes the id that the browser came with, and ends that session", async () => {
    const rig = await newRig();
    const planted = `netwall_session=${"A".repeat(43)}`;
    const first = await rig.askBySession(SESSION, planted, json("POST", { token: TOKEN }));
    const [, id] = COOKIE.exec(first.headers.get("set-cookie") ?? "")!;
    expect(id).not.toBe("A".repeat(43));
    expect((await rig.askBySession(SESSION, planted)).status).toBe(401);
    const own = `netwall_session=${id}`;
    const second = await rig.askBySession(SESSION, own, json("POST", { token: rig.viewer }));
    expect(second.headers.get("set-cookie")).not.toContain(id);
    expect([(await rig.askBySession(SESSION, own)).status, rig.sessions.size]).toEqual([401, 1]);
  });

  test("takes a token or a code and nothing else", async () => {
    const rig = await newRig();
    const bodies: [unknown, number][] = [
      [{}, 422],
      [{ token: TOKEN, code: "x" }, 422],
      [{ token: "" }, 422],
      [{ token: `${TOKEN}\n` }, 422],
      [{ token: [TOKEN] }, 422],
      [{ token: "x".repeat(1_025) }, 422],
      [{ code: "é" }, 422],
      [{ token: TOKEN, role: "operator" }, 422],
      [TOKEN, 422],
      [null, 422],
      [{ token: "x".repeat(5_000) }, 413],
    ];
    for (const [body, status] of bodies) {
      const answer = await begin(rig, body);
      expect([body, answer.status]).toEqual([body, status]);
      expect(answer.headers.get("set-cookie")).toBeNull();
      // What somebody took for a token is not said again.
      expect((await answer.text()).includes(TOKEN)).toBe(false);
    }
    expect([bodies.length, rig.sessions.size]).toEqual([11, 0]);
  });

  test("without the header of the page is refused, from whatever page", async () => {
    const rig = await newRig();
    const code = await codeOf(rig, TOKEN);
    const good = json("POST", { code });
    const headers = good.headers as Record<string, string>;
    const foreign: RequestInit[] = [
      good,
      { ...good, headers: { ...headers, "x-netwall-page": "0" } },
      { ...good, headers: { ...headers, "x-netwall-page": "1", "sec-fetch-site": "cross-site" } },
      { ...good, headers: { ...headers, "x-netwall-page": "1", "sec-fetch-site": "same-site" } },
      { ...good, headers: { ...headers, "x-netwall-page": "1", "sec-fetch-site": "none" } },
    ];
    for (const init of foreign) {
      const answer = await rig.app.request(SESSION, init);
      expect([answer.status, answer.headers.get("set-cookie")]).toEqual([403, null]);
    }
    // A form sends one of three types, and none of them is JSON.
    const forms = ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"];
    for (const type of forms) {
      const init = { method: "POST", headers: { "content-type": type }, body: JSON.stringify({ code }) };
      expect((await rig.app.request(SESSION, init)).status).toBe(415);
    }
    expect([foreign.length, forms.length]).toEqual([5, 3]);
    // None of them used the code up.
    expect((await begin(rig, { code }, { "sec-fetch-site": "same-origin" })).status).toBe(200);
  });

  test("goes on while the store cannot be written: that is when somebody is called", async () => {
    const rig = await newRig();
    rig.firewall.store.addAudit = () => {
      throw new StoreError("the disk is full", "full");
    };
    const cookie = await rig.signIn();
    expect((await rig.askBySession(SESSION, cookie)).status).toBe(200);
    expect((await rig.askBySession(CODES, cookie, { method: "POST" })).status).toBe(201);
    expect((await rig.askBySession(SESSION, cookie, { method: "DELETE" })).status).toBe(204);
  });

  test("is not there where there are no sessions", async () => {
    const rig = await newRig();
    const { sessions: _sessions, ...options } = rig.options;
    const { adminApp } = await import("../../lib/admin/api.ts");
    const app = adminApp(options);
    const cookie = await rig.signIn();
    const headers = { "x-netwall-page": "1", cookie, "content-type": "application/json" };
    const body = JSON.stringify({ token: TOKEN });
    expect((await app.request(SESSION, { method: "POST", headers, body })).status).toBe(404);
    expect((await app.request(SESSION, { headers })).status).toBe(401);
  });
});

describe("a wrong token or code", () => {
  class Guesses implements AttemptsLike {
    readonly inner = new Attempts();
    readonly told: [string, number][] = [];
    check = this.inner.check.bind(this.inner);
    failed = this.inner.failed.bind(this.inner);
    held = this.inner.held.bind(this.inner);
  }

  test("is counted with those of the Authorization header, slowed, and told", async () => {
    const attempts = new Guesses();
    const onGuess = (peer: string, failures: number): void => void attempts.told.push([peer, failures]);
    const rig = await newRig({ attempts, onGuess });
    const code = await codeOf(rig, TOKEN);
    const answers: number[] = [];
    for (let count = 0; count < FAILURES_FREE + 3; count++) {
      const guess = count % 2 === 0 ? { token: `${rig.operator}x` } : { code: "A".repeat(32) };
      answers.push((await begin(rig, guess)).status);
    }
    expect(answers).toEqual([...Array(FAILURES_FREE + 1).fill(401), 429, 429]);
    expect(attempts.told.map(([, failures]) => failures)).toEqual(
      Array.from({ length: FAILURES_FREE + 1 }, (_, index) => index + 1),
    );
    const slowed = await begin(rig, { token: "wrong" });
    expect([slowed.status, slowed.headers.get("retry-after")]).toEqual([429, "1"]);
    expect((await rig.ask("/api/v1/status", { token: "wrong" })).status).toBe(429);
    // Who holds the file or a link is kept out by nobody.
    expect((await begin(rig, { token: TOKEN })).status).toBe(200);
    expect((await begin(rig, { code })).status).toBe(200);
  });

  test("has one answer for every reason", async () => {
    const rig = await newRig();
    const used = await codeOf(rig, rig.operator);
    expect((await begin(rig, { code: used })).status).toBe(200);
    const revoked = await codeOf(rig, rig.viewer);
    rig.revoked.add(rig.viewerId);
    const old = await codeOf(rig, TOKEN);
    rig.nowMs += CODE_MS_MAX;
    const guesses = [
      used,
      revoked,
      old,
      "A".repeat(32),
      "x",
      "..",
      "x".repeat(128),
      TOKEN,
      rig.operator.slice(0, 32),
    ];
    const bodies = new Set<string>();
    for (const code of guesses) {
      const answer = await begin(rig, { code });
      expect([code, answer.status]).toEqual([code, 401]);
      expect(answer.headers.get("set-cookie")).toBeNull();
      bodies.add(await answer.text());
    }
    expect([guesses.length, bodies.size]).toEqual([9, 1]);
    const tokens = new Set<string>();
    for (const token of [rig.viewer, `${TOKEN}x`, "x", used, "a.b.c"]) {
      tokens.add(await (await begin(rig, { token })).text());
    }
    expect(tokens.size).toBe(1);
  });
});

describe("a link", () => {
  test("has the role of its maker, or of a viewer where that was asked for", async () => {
    const rig = await newRig();
    const links: [string, unknown, string, string][] = [
      [TOKEN, undefined, "admin", "operator"],
      [TOKEN, {}, "admin", "operator"],
      [rig.operator, { role: "viewer" }, "otto", "viewer"],
      [rig.operator, { role: "operator" }, "otto", "operator"],
      [rig.viewer, undefined, "vera", "viewer"],
      [rig.viewer, { role: "viewer" }, "vera", "viewer"],
    ];
    for (const [token, body, name, role] of links) {
      const answer = await begin(rig, { code: await codeOf(rig, token, body) });
      expect(await answer.json()).toMatchObject({ name, role });
      const cookie = (answer.headers.get("set-cookie") ?? "").split(";")[0]!;
      const changed = await rig.askBySession("/api/v1/policy/staged", cookie, { method: "DELETE" });
      expect(changed.status).toBe(role === "operator" ? 204 : 403);
    }
    expect(links).toHaveLength(6);
  });

  test("for an operator is not made for a viewer, by whatever way it asks", async () => {
    const rig = await newRig();
    const init = json("POST", { role: "operator" });
    expect((await rig.ask(CODES, { ...init, token: rig.viewer })).status).toBe(403);
    expect((await rig.askBySession(CODES, await rig.signIn(rig.viewer), init)).status).toBe(403);
    const code = await codeOf(rig, TOKEN, { role: "viewer" });
    const cookie = ((await begin(rig, { code })).headers.get("set-cookie") ?? "").split(";")[0]!;
    expect((await rig.askBySession(CODES, cookie, init)).status).toBe(403);
    const own = await (await rig.askBySession(CODES, cookie, { method: "POST" })).json();
    expect(await (await begin(rig, { code: own.code })).json()).toMatchObject({
      name: "admin",
      role: "viewer",
    });
    for (const role of ["admin", "", null, ["operator"]]) {
      expect((await rig.ask(CODES, json("POST", { role }))).status).toBe(422);
    }
  });

  test("works for one of many who use it at once", async () => {
    const rig = await newRig();
    const code = await codeOf(rig, TOKEN);
    const answers = await Promise.all(Array.from({ length: 20 }, () => begin(rig, { code })));
    expect(answers.map(({ status }) => status).toSorted()).toEqual([200, ...Array(19).fill(401)]);
    expect(rig.sessions.size).toBe(1);
  });

  test("of a session ends with it, and lives on in no session of its own", async () => {
    const rig = await newRig();
    const cookie = await rig.signIn(rig.operator);
    const codes: string[] = [];
    for (let count = 0; count < 2; count++) {
      codes.push((await (await rig.askBySession(CODES, cookie, { method: "POST" })).json()).code);
    }
    const child = ((await begin(rig, { code: codes[0] })).headers.get("set-cookie") ?? "").split(";")[0]!;
    expect((await rig.askBySession(SESSION, child)).status).toBe(200);
    expect((await rig.askBySession(SESSION, cookie, { method: "DELETE" })).status).toBe(204);
    expect((await rig.askBySession(SESSION, child)).status).toBe(401);
    expect((await begin(rig, { code: codes[1] })).status).toBe(401);
    expect((await auditOf(rig)).toReversed()).toEqual([
      "otto operator session.begin by token",
      "otto operator session.code for operators",
      "otto operator session.code for operators",
      "otto operator session.begin by link",
      "otto operator session.end ",
    ]);
  });

  test("may be opened by its own maker, whose signing out ends all of it", async () => {
    const rig = await newRig();
    const code = async (cookie: string): Promise<string> =>
      (await (await rig.askBySession(CODES, cookie, { method: "POST" })).json()).code;
    const open = async (link: string, cookie: string): Promise<string> => {
      const answer = await rig.askBySession(SESSION, cookie, json("POST", { code: link }));
      return (answer.headers.get("set-cookie") ?? "").split(";")[0]!;
    };
    const statuses = async (cookies: readonly string[]): Promise<number[]> =>
      await Promise.all(cookies.map(async (each) => (await rig.askBySession(SESSION, each)).status));
    const first = await rig.signIn(TOKEN);
    const [own, again, colleague] = [await code(first), await code(first), await code(first)];
    const second = await open(own, first);
    const guest = await open(colleague, "");
    expect(await statuses([first, second, guest])).toEqual([401, 200, 200]);
    // A sibling of the link that it came by.
    const third = await open(again, second);
    expect(await statuses([second, third, guest])).toEqual([401, 200, 200]);
    const late = await code(third);
    expect((await rig.askBySession(SESSION, third, { method: "DELETE" })).status).toBe(204);
    expect(await statuses([first, second, third, guest])).toEqual([401, 401, 401, 401]);
    expect((await begin(rig, { code: late })).status).toBe(401);
    expect(rig.sessions.size).toBe(0);
  });

  test("of a link of a link has an end", async () => {
    const rig = await newRig();
    let cookie = await rig.signIn(TOKEN);
    const statuses: number[] = [];
    for (let count = 0; count < 4; count++) {
      const made = await rig.askBySession(CODES, cookie, { method: "POST" });
      statuses.push(made.status);
      if (made.status !== 201) break;
      const answer = await begin(rig, await made.json().then(({ code }) => ({ code })));
      cookie = (answer.headers.get("set-cookie") ?? "").split(";")[0]!;
    }
    expect(statuses).toEqual([201, 201, 201, 403]);
  });

  test("does not let a viewer wash the audit log away", async () => {
    const rig = await newRig();
    await rig.ask("/api/v1/policy/versions/1/rollback", { method: "POST" });
    const statuses: number[] = [];
    for (let count = 0; count < VIEWER_STEPS_MAX + 5; count++) {
      statuses.push((await begin(rig, { token: rig.viewer })).status);
    }
    expect(statuses.filter((status) => status === 200)).toHaveLength(VIEWER_STEPS_MAX);
    const late = await rig.ask(CODES, { method: "POST", token: rig.viewer });
    expect([late.status, late.headers.get("retry-after")]).toEqual([429, "3600"]);
    expect((await begin(rig, { token: rig.operator })).status).toBe(200);
    expect(await auditOf(rig)).toHaveLength(VIEWER_STEPS_MAX + 2);
  });
});

describe("a session", () => {
  test("counts in no request that another page can send", async () => {
    const rig = await newRig();
    const cookie = await rig.signIn();
    const page = { cookie, "x-netwall-page": "1" };
    const requests: [string, string, Record<string, string>][] = [
      // An image, a link, a form: none can have a header.
      ["GET", "/api/v1/status", { cookie }],
      ["GET", "/api/v1/events.csv", { cookie, "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors" }],
      ["GET", "/api/v1/stream", { cookie, "sec-fetch-site": "same-site" }],
      ["HEAD", "/api/v1/status", { cookie }],
      ["POST", "/api/v1/policy/versions/1/rollback", { cookie, "content-type": "text/plain" }],
      // Header and all, as after a preflight that was answered by mistake.
      ["DELETE", "/api/v1/policy/staged", { ...page, "sec-fetch-site": "cross-site" }],
      ["DELETE", "/api/v1/policy/staged", { ...page, "sec-fetch-site": "same-site" }],
      ["DELETE", "/api/v1/policy/staged", { ...page, "sec-fetch-site": "none" }],
      ["DELETE", "/api/v1/policy/staged", { ...page, "sec-fetch-site": "" }],
      ["DELETE", "/api/v1/policy/staged", { ...page, "sec-fetch-site": "same-origin, cross-site" }],
      ["DELETE", "/api/v1/policy/staged", { ...page, "x-netwall-page": "1, 1" }],
      ["DELETE", "/api/v1/policy/staged", { ...page, "x-netwall-page": "true" }],
      ["HEAD", "/api/v1/status", { ...page, "sec-fetch-site": "same-site" }],
      ["DELETE", SESSION, { cookie }],
      ["POST", CODES, { cookie }],
      ["GET", "/metrics", { cookie }],
      // The id beside the cookie.
      ["GET", "/api/v1/status", { "x-netwall-page": "1", authorization: `Bearer ${cookie.split("=")[1]}` }],
      ["GET", `/api/v1/status?${cookie}`, { "x-netwall-page": "1" }],
    ];
    for (const [method, path, headers] of requests) {
      const answer = await rig.app.request(path, { method, headers });
      expect([method, path, answer.status]).toEqual([method, path, 401]);
    }
    expect(requests).toHaveLength(18);
    expect((await rig.askBySession(SESSION, cookie)).status).toBe(200);
    expect((await auditOf(rig)).map((line) => line.split(" ")[2])).toEqual(["session.begin"]);
  });

  test("gets no leave for another origin: a preflight is refused", async () => {
    const rig = await newRig();
    const cookie = await rig.signIn();
    const headers = {
      ...{ origin: "http://127.0.0.1:3000", cookie, "x-netwall-page": "1" },
      "access-control-request-method": "DELETE",
      "access-control-request-headers": "x-netwall-page",
    };
    for (const path of ["/api/v1/policy/staged", SESSION, CODES, "/"]) {
      const answer = await rig.app.request(path, { method: "OPTIONS", headers });
      expect(answer.status).toBeGreaterThanOrEqual(400);
      expect([...answer.headers.keys()].filter((name) => name.startsWith("access-control"))).toEqual([]);
    }
  });

  test("counts where the browser says that this origin asks, or says nothing", async () => {
    const rig = await newRig();
    const cookie = await rig.signIn();
    for (const headers of [{}, { "sec-fetch-site": "same-origin" }, { authorization: "Basic dTpw" }]) {
      const answer = await rig.askBySession("/api/v1/status", cookie, { headers: headers as HeadersInit });
      expect(answer.status).toBe(200);
    }
    const head = await rig.askBySession("/api/v1/status", cookie, { method: "HEAD" });
    expect([head.status, await head.text()]).toEqual([200, ""]);
  });

  test("makes no wrong token good", async () => {
    const rig = await newRig();
    const cookie = await rig.signIn();
    const wrong = [
      "Bearer wrong",
      "Bearer",
      "bearer ",
      `Bearer ${rig.operator} x`,
      `bearer${TOKEN}`,
      "Bearer\t x",
    ];
    for (const authorization of wrong) {
      const answer = await rig.askBySession("/api/v1/status", cookie, { headers: { authorization } });
      expect([authorization, answer.status]).toEqual([authorization, 401]);
    }
    // And it takes nothing from a good one.
    const viewer = await rig.askBySession("/api/v1/status", cookie, {
      headers: { authorization: `Bearer ${rig.viewer}` },
    });
    expect((await viewer.json()).caller.name).toBe("vera");
    expect(wrong).toHaveLength(6);
  });

  test("counts by the one cookie that holds, and by nothing like it", async () => {
    const rig = await newRig();
    const cookie = await rig.signIn();
    const other = await rig.signIn(rig.viewer);
    const fields: [string, number][] = [
      [`a=1; ${cookie}; b`, 200],
      // Two that hold: nobody is to say which one counts.
      [`${cookie}; ${other}`, 401],
      [`${other}; ${cookie}`, 401],
      // Anybody at the host name can set one that does not hold, for whatever path: it locks nobody out.
      [`${cookie}; ${cookie}`, 200],
      [`${cookie}; netwall_session=`, 200],
      [`netwall_session=x; ${cookie}`, 200],
      [`netwall_session=${"A".repeat(43)}; ${cookie}`, 200],
      [`${cookie}, ${other}`, 401],
      [cookie.slice(0, -1), 401],
      [`${cookie}A`, 401],
      [cookie.replace("=", '="') + '"', 401],
      [cookie.toUpperCase(), 401],
      [`netwall_session=${"A".repeat(43)}`, 401],
      [`a=${"x".repeat(9_000)}; ${cookie}`, 401],
      ["netwall_session=; ".repeat(400), 401],
    ];
    for (const [field, status] of fields) {
      expect([field.slice(0, 80), (await rig.askBySession(SESSION, field)).status]).toEqual([
        field.slice(0, 80),
        status,
      ]);
    }
    expect(fields).toHaveLength(15);
  });

  test("is over when it is idle, old, signed out, or its token does not hold", async () => {
    const rig = await newRig();
    const statusOf = async (cookie: string): Promise<number> =>
      (await rig.askBySession(SESSION, cookie)).status;
    const [signedOut, revoked, idle] = [
      await rig.signIn(TOKEN),
      await rig.signIn(rig.viewer),
      await rig.signIn(TOKEN),
    ];
    const out = await rig.askBySession(SESSION, signedOut, { method: "DELETE" });
    expect([out.status, out.headers.get("set-cookie")]).toEqual([
      204,
      "netwall_session=; Path=/api/v1; Max-Age=0; HttpOnly; SameSite=Strict",
    ]);
    expect([await statusOf(signedOut), await statusOf(revoked), await statusOf(idle)]).toEqual([
      401,
      200,
      200,
    ]);
    expect((await rig.askBySession(SESSION, signedOut, { method: "DELETE" })).status).toBe(401);
    rig.revoked.add(rig.viewerId);
    expect(await statusOf(revoked)).toBe(401);
    rig.nowMs += SESSION_IDLE_MS_MAX;
    const over = await rig.askBySession(SESSION, idle);
    expect([over.status, (await over.json()).detail]).toEqual([401, "The session is over: sign in again"]);
    const used = await rig.signIn(TOKEN);
    const endMs = rig.nowMs + SESSION_LIFE_MS_MAX;
    for (; rig.nowMs < endMs; rig.nowMs += SESSION_IDLE_MS_MAX / 2) expect(await statusOf(used)).toBe(200);
    expect(await statusOf(used)).toBe(401);
  });

  test("that is over is no guess: a page that was left open raises no alarm", async () => {
    const told: string[] = [];
    const rig = await newRig({ attempts: new Attempts(), onGuess: (peer) => void told.push(peer) });
    const cookie = await rig.signIn();
    rig.nowMs += SESSION_IDLE_MS_MAX;
    for (let count = 0; count < 3 * FAILURES_FREE; count++) {
      expect((await rig.askBySession("/api/v1/edges", cookie)).status).toBe(401);
    }
    expect(told).toEqual([]);
  });

  test("holds as long as its stream is open, and its stream no longer than it", async () => {
    const rig = await newRig();
    const { LiveStream } = await import("../../lib/admin/live_stream.ts");
    const { adminApp } = await import("../../lib/admin/api.ts");
    const live = new LiveStream(rig.firewall, { heartbeatMs: 5 });
    const app = adminApp({ ...rig.options, live });
    const cookie = await rig.signIn(TOKEN);
    const headers = { cookie, "x-netwall-page": "1" };
    const stream = (await app.request("/api/v1/stream", { headers })).body!.getReader();
    const beat = async (): Promise<boolean> => {
      const { done } = await stream.read();
      return !done;
    };
    // Far more than an idle session would last; each heartbeat is a use.
    for (let quarter = 0; quarter < 12; quarter++) {
      rig.nowMs += SESSION_IDLE_MS_MAX / 4;
      for (let count = 0; count < 3; count++) expect(await beat()).toBe(true);
    }
    expect((await app.request(SESSION, { headers })).status).toBe(200);
    expect((await app.request(SESSION, { method: "DELETE", headers })).status).toBe(204);
    while (await beat());
    expect(live.clients).toBe(0);
    live.close();
  });

  test("is none of a token's: who asks by one is told so", async () => {
    const rig = await newRig();
    for (const method of ["GET", "DELETE"]) {
      const answer = await rig.ask(SESSION, { method, headers: { cookie: await rig.signIn() } });
      expect([answer.status, (await answer.json()).detail]).toEqual([
        404,
        `${NO_SESSION}${method === "GET" ? "see /api/v1/status" : "there is none to end"}`,
      ]);
    }
  });
});

describe("over a socket", () => {
  /** Sends bytes, and gives the status of the answer. */
  function statusOf(port: number, lines: readonly string[]): Promise<number> {
    return new Promise((resolve, reject) => {
      const socket = connect(port, "127.0.0.1");
      let text = "";
      socket.on("data", (chunk) => text += chunk);
      socket.on("error", reject);
      socket.on("close", () => resolve(Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1] ?? 0)));
      socket.write([...lines, "Host: localhost", "Connection: close", "", ""].join("\r\n"));
    });
  }

  test("two Cookie fields are two cookies, and two headers of the page are none", async () => {
    const rig = await newRig();
    const listener = await listenAdmin(rig.app, { host: "127.0.0.1", port: 0 });
    const port = Number(listener.address.split(":").at(-1));
    const [own, other] = [await rig.signIn(), await rig.signIn(rig.viewer)];
    const get = `GET ${SESSION} HTTP/1.1`;
    const cases: [string[], number][] = [
      [[get, `Cookie: ${own}`, "X-Netwall-Page: 1"], 200],
      [[get, `cookie: ${own}`, "x-netwall-page:1", "Sec-Fetch-Site: same-origin"], 200],
      [[get, `Cookie: ${own}`, `Cookie: ${other}`, "X-Netwall-Page: 1"], 401],
      [[get, `Cookie: ${other}`, `Cookie: ${own}`, "X-Netwall-Page: 1"], 401],
      [[get, `Cookie: ${own}`, "X-Netwall-Page: 1", "X-Netwall-Page: 1"], 401],
      [[
        get,
        `Cookie: ${own}`,
        "X-Netwall-Page: 1",
        "Sec-Fetch-Site: same-origin",
        "Sec-Fetch-Site: same-site",
      ], 401],
      [[get, `Cookie: ${own}`, "X_Netwall_Page: 1"], 401],
      [[get, `Cookie: ${own}`, `Authorization: Bearer x`, "X-Netwall-Page: 1"], 401],
      [[`POST ${SESSION} HTTP/1.1`, "X-Netwall-Page: 1", "Content-Length: 0"], 415],
      [[`POST ${CODES} HTTP/1.1`, `Cookie: ${own}`, "X-Netwall-Page: 1", "Content-Length: 0"], 201],
      [[`POST ${CODES} HTTP/1.1`, `Cookie: ${own}`, "X-Netwall-Page: 1"], 201],
    ];
    for (const [lines, status] of cases) {
      expect([lines, await statusOf(port, lines)]).toEqual([lines, status]);
    }
    expect(cases).toHaveLength(11);
    listener.close();
  });
});

describe("the page", () => {
  const FILE = "<!doctype html>";

  async function pageRig(): Promise<{ rig: ApiRig; asked: [string, string][] }> {
    const asked: [string, string][] = [];
    const page = {
      find(path: string, acceptEncoding: string): Response | undefined {
        asked.push([path, acceptEncoding]);
        const headers = {
          "content-type": "text/html",
          "cache-control": "no-cache",
          "x-frame-options": "ALLOWALL",
        };
        return path.startsWith("/nothing") ? undefined : new Response(FILE, { headers });
      },
    };
    return { rig: await newRig({ page }), asked };
  }

  test("is given to everybody, with a policy that lets nothing else run", async () => {
    const { rig, asked } = await pageRig();
    const answer = await rig.app.request("/map?x=1", { headers: { "accept-encoding": "gzip, br" } });
    expect([answer.status, await answer.text()]).toEqual([200, FILE]);
    const policy = (answer.headers.get("content-security-policy") ?? "").split("; ");
    expect(policy).toEqual([
      ...[
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
      ],
      ...["connect-src 'self'", "form-action 'none'", "base-uri 'none'", "frame-ancestors 'none'"],
      ...["require-trusted-types-for 'script'", "trusted-types 'none'"],
    ]);
    const rest: [string, string][] = [
      ["cache-control", "no-cache"],
      ["content-type", "text/html"],
      ["x-content-type-options", "nosniff"],
      ["cross-origin-resource-policy", "same-origin"],
      ["cross-origin-opener-policy", "same-origin"],
      ["referrer-policy", "no-referrer"],
      ["x-frame-options", "DENY"],
    ];
    for (const [name, value] of rest) expect([name, answer.headers.get(name)]).toEqual([name, value]);
    const features = (answer.headers.get("permissions-policy") ?? "").split(", ");
    expect(features.length).toBeGreaterThan(10);
    expect(features.filter((feature) => !/^[a-z-]+=\(\)$/.test(feature))).toEqual([]);
    const head = await rig.app.request("/", { method: "HEAD" });
    expect([head.status, await head.text()]).toEqual([200, ""]);
    expect(asked).toEqual([["/map", "gzip, br"], ["/", ""]]);
  });

  test("is asked for nothing that is the API's, and answers no other method", async () => {
    const { rig, asked } = await pageRig();
    const paths = [
      "/api",
      "/api/",
      "/api/v1/status",
      "/api/v2",
      "/metrics",
      "/metrics/x",
      "/healthz",
      "/readyz/",
    ];
    for (const path of paths) {
      const answer = await rig.app.request(path);
      expect([path, answer.status]).toEqual([path, path === "/healthz" ? 200 : 401]);
      expect(answer.headers.get("content-security-policy")).toBe(
        "default-src 'none'; frame-ancestors 'none'",
      );
    }
    for (const method of ["POST", "PUT", "DELETE", "OPTIONS"]) {
      expect((await rig.app.request("/", { method })).status).toBe(401);
    }
    expect([paths.length, asked.length]).toEqual([8, 0]);
  });

  test("that has no such file leaves all as it was", async () => {
    const { rig } = await pageRig();
    const answer = await rig.app.request("/nothing");
    expect([answer.status, answer.headers.get("cache-control")]).toEqual([401, "no-store"]);
    expect((await rig.ask("/nothing")).status).toBe(404);
  });
});
