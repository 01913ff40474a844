/**
 * Routes of sessions: how the page signs in, knows who it is, makes a link for another browser, and signs out.
 *
 * The audit log has all of these. A store that cannot be written keeps nobody out: who is called at night because of
 * it must get in.
 *
 * @module
 */
import { z } from "zod";
import { ADMIN_TOKEN_BYTES_MAX } from "../auth/admin_token.ts";
import { type Session, SESSION_LIFE_MS_MAX, type Sessions } from "../auth/sessions.ts";
import { sessionCookie, sessionIdsOf } from "../session_cookie.ts";
import { StoreError } from "../store/store.ts";
import { type Credential, isOfPage, PAGE_HEADER, tooMany } from "./access.ts";
import type { Backend, SessionBackend } from "./backend.ts";
import { jsonBody } from "./body.ts";
import type { Actor } from "./control.ts";
import { ApiFault } from "./fault.ts";
import { type Route, route } from "./route.ts";
import { codeSchema, sessionSchema } from "./schemas.ts";

/** Nobody has shown who they are yet, so the body may be no larger than it must. */
const SIGN_IN_BYTES_MAX = 4_096;

function sessionsOf({ sessions }: Backend): SessionBackend {
  if (sessions !== undefined) return sessions;
  throw new ApiFault(404, "There is no page here: use a token");
}

function viewOf({ name, role, endsAtMs }: Session): z.output<typeof sessionSchema> {
  return { name, role, expiresAtMs: endsAtMs };
}

function writeAudit({ firewall, nowMs }: Backend, by: Actor, action: string, detail: string): void {
  try {
    firewall?.store.addAudit({ atMs: nowMs(), by: by.name, role: by.role, action, detail });
  } catch (error) {
    // Its alarm is raised elsewhere, and is what somebody signs in for.
    if (!(error instanceof StoreError)) throw error;
  }
}

function countStep(sessions: Sessions, actor: Actor): void {
  const waitMs = sessions.step(actor);
  if (waitMs > 0) throw tooMany("Too many sessions and links were made with this token: wait", waitMs);
}

const printableText = z.string().regex(/^[\x21-\x7e]+$/, "is not one line of visible ASCII");

const begin = route({
  id: "beginSession",
  method: "post",
  path: "/api/v1/session",
  summary: "Signs the page in, by an admin token or the code of a link",
  description:
    `For the page alone: it sends ${PAGE_HEADER}: 1. A session ends when it was not used for an hour.`,
  role: "anyone",
  body: {
    ...jsonBody(
      z.strictObject({
        token: printableText.max(ADMIN_TOKEN_BYTES_MAX).optional().describe("An admin token"),
        code: printableText.max(128).optional().describe("The code of a link, which is used up by this"),
      }).refine(
        ({ token, code }) => (token === undefined) !== (code === undefined),
        "give a token or a code",
      ),
    ),
    bytesMax: SIGN_IN_BYTES_MAX,
  },
  answer: { description: "The session; its cookie is in Set-Cookie", schema: sessionSchema },
  handle: async ({ backend, body, headers, answerHeaders, peer }) => {
    const { sessions, grantOf } = sessionsOf(backend);
    // Without it any form of any page could sign a browser in, as whoever it likes.
    if (!isOfPage(headers)) {
      throw new ApiFault(403, `Sessions are for the page, which sends ${PAGE_HEADER}: 1`);
    }
    const { token, code = "" } = body;
    const credential: Credential = token === undefined
      ? { kind: "code", text: code }
      : { kind: "token", text: token };
    const grant = await grantOf(credential, peer);
    if (grant instanceof ApiFault) throw grant;
    countStep(sessions, grant);
    // The id is new whatever the browser came with, and what it came with ends.
    const before = sessions.findOnly(sessionIdsOf(headers.get("cookie")));
    const { id, session } = sessions.begin(grant, before);
    const lifeMs = Math.min(session.endsAtMs - backend.nowMs(), SESSION_LIFE_MS_MAX);
    const isSecure = headers.get("origin")?.startsWith("https://") === true;
    answerHeaders.set("Set-Cookie", sessionCookie(id, lifeMs, isSecure));
    const way = credential.kind === "code" ? "link" : "token";
    writeAudit(backend, grant, "session.begin", `by ${way}${peer === "" ? "" : ` from ${peer}`}`);
    return viewOf(session);
  },
});

const read = route({
  id: "readSession",
  method: "get",
  path: "/api/v1/session",
  summary: "The session that this request came by",
  role: "viewer",
  answer: { description: "Who is signed in, and until when at most", schema: sessionSchema },
  handle: ({ caller: { session } }) => {
    if (session !== undefined) return viewOf(session);
    throw new ApiFault(404, "This request came with a token and not by a session: see /api/v1/status");
  },
});

const end = route({
  id: "endSession",
  method: "delete",
  path: "/api/v1/session",
  summary: "Signs out: the session ends, and those that its links have begun",
  role: "viewer",
  answer: { description: "It has ended; its streams end within seconds" },
  handle: ({ backend, caller: { session, actor }, headers, answerHeaders }) => {
    if (session === undefined) {
      throw new ApiFault(404, "This request came with a token and not by a session: there is none to end");
    }
    sessionsOf(backend).sessions.end(session);
    const isSecure = headers.get("origin")?.startsWith("https://") === true;
    answerHeaders.set("Set-Cookie", sessionCookie("", 0, isSecure));
    writeAudit(backend, actor, "session.end", "");
  },
});

const makeCode = route({
  id: "makeSessionCode",
  method: "post",
  path: "/api/v1/session/codes",
  summary: "Makes the code of a link that opens the page once",
  description:
    "The link is the address of the page with #code=CODE. Nothing behind # is ever sent to a server.",
  role: "viewer",
  body: {
    ...jsonBody(
      z.strictObject({
        role: z.enum(["viewer", "operator"]).optional().describe("The own one when it is left out"),
      }),
    ),
    isOptional: true,
  },
  answer: { status: 201, description: "It is shown this once, and holds once", schema: codeSchema },
  handle: ({ backend, actor, caller: { grant }, body }) => {
    const { sessions } = sessionsOf(backend);
    const role = body.role ?? actor.role;
    if (role === "operator" && actor.role !== "operator") {
      throw new ApiFault(403, "This needs the role operator: yours is viewer, make a link for a viewer");
    }
    countStep(sessions, actor);
    const made = sessions.makeCode(grant, role);
    if (made === "tooManyLinks") {
      throw new ApiFault(
        403,
        "This session came by a link of a link of a link: sign in with a token to make more",
      );
    }
    writeAudit(backend, actor, "session.code", `for ${role}s`);
    return made;
  },
});

export const SESSION_ROUTES: readonly Route[] = [begin, read, end, makeCode];
