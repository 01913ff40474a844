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

/**
 * Finds out who is logged in, or logs in by the one-time code in the address. The code leaves the address first: it
 * must not stay in the history, whatever becomes of it.
 */
export async function startSession(): Promise<void> {
  onLoggedOut(() => {
    if (session.peek()) loginNotice.value = "Your session has ended: log in again";
    session.value = null;
  });
  const code = new URLSearchParams(location.hash.slice(1)).get("code");
  if (code !== null) history.replaceState(null, "", location.pathname + location.search);
  try {
    session.value = code === null ? await ask<Session>("GET", "/session") : await begin({ code });
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
    session.value = null;
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

/** Whether the user may change anything. */
export function isOperator(): boolean {
  return session.value?.role === "operator";
}

function begin(credential: { readonly token: string } | { readonly code: string }): Promise<Session> {
  return ask<Session>("POST", "/session", { json: credential });
}
