/**
 * Who is logged in. The session itself is a cookie that no script can read.
 *
 * @module
 */
import { signal } from "@preact/signals";
import { ApiError, ask, onLoggedOut } from "./api.ts";
import type { Session } from "./types.ts";

/** `undefined` until it is known; `null` when nobody is. */
export const session = signal<Session | null | undefined>(undefined);

/** Why somebody has to log in again; empty at first. */
export const loginNotice = signal("");

/** Finds out who is logged in, and goes on doing so. Called once. */
export async function startSession(): Promise<void> {
  onLoggedOut(() => void lookAgain());
  // A link that is opened in a tab of the page loads nothing: only what stands behind the # is another.
  globalThis.addEventListener("hashchange", () => {
    if (codeInAddress() !== null) void enter();
  });
  await enter();
}

function codeInAddress(): string | null {
  return new URLSearchParams(location.hash.slice(1)).get("code");
}

/**
 * Logs in by the one-time code in the address, or finds out who is logged in. The code leaves the address first: it
 * must not stay in the history, whatever becomes of it.
 */
async function enter(): Promise<void> {
  const code = codeInAddress();
  if (code !== null) history.replaceState(null, "", location.pathname + location.search);
  try {
    session.value = code === null ? await ask<Session>("GET", "/session") : await begin({ code });
    loginNotice.value = "";
  } catch (error) {
    const isRefused = error instanceof ApiError && error.status >= 400 && error.status < 500;
    if (code !== null && isRefused) {
      // Whoever opens a used link may well be logged in.
      const known = await ask<Session>("GET", "/session").catch(() => null);
      if (known === null) {
        loginNotice.value =
          "This link was used before, or is too old: ask for a new one, or log in with a token";
      }
      session.value = known;
      return;
    }
    if (!(error instanceof ApiError && error.status === 401)) loginNotice.value = (error as Error).message;
    // A link that could not be tried takes nobody out.
    session.value = session.peek() ?? null;
  }
}

/** @throws {ApiError} 401 when the token does not hold, 429 when too many did not. */
export async function login(token: string): Promise<void> {
  session.value = await begin({ token });
  loginNotice.value = "";
}

/** @throws {ApiError} The gateway could not be told, so that the session goes on: nobody must think that it ended. */
export async function logout(): Promise<void> {
  try {
    await ask("DELETE", "/session");
  } catch (error) {
    if (!(error instanceof ApiError && error.status === 401)) throw error;
  }
  session.value = null;
  loginNotice.value = "";
}

/**
 * Takes note of who the gateway says that asks: all tabs of a browser share one cookie, and another tab may have logged
 * in as somebody else.
 */
export async function noteCaller({ name, role }: Pick<Session, "name" | "role">): Promise<void> {
  const known = session.peek();
  if (!known || (known.name === name && known.role === role)) return;
  session.value = await ask<Session>("GET", "/session");
}

/** An answer said that nobody is logged in. While it was under way another tab may have logged in anew. */
async function lookAgain(): Promise<void> {
  const before = session.peek();
  const found = await ask<Session>("GET", "/session").catch((error) =>
    error instanceof ApiError && error.status === 401 ? null : before
  );
  if (session.peek() !== before) return;
  if (before && found === null) loginNotice.value = "Your session has ended: log in again";
  session.value = found;
}

/** Whether the user may change anything. */
export function isOperator(): boolean {
  return session.value?.role === "operator";
}

function begin(credential: { readonly token: string } | { readonly code: string }): Promise<Session> {
  return ask<Session>("POST", "/session", { json: credential });
}
