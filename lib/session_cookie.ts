/**
 * The cookie of the page: how it is written, read, and taken out of what is passed on.
 *
 * A cookie belongs to a host name and not to a port. A browser that is signed in to the page sends it to whatever
 * else it visits at that name, below the same path: also to a service behind the public listener. That service could
 * set it just so, and sign the browser out, or in as somebody else. So the name is known here, to the admin API that
 * reads it and to the gateway that passes it on neither way.
 *
 * Source: RFC 6265 §4.1, §5.4 and §8.5 (no isolation by port). RFC 6265bis §5.6 (cookies without a name).
 *
 * @module
 */

export const SESSION_COOKIE = "netwall_session";
/** The only paths that a browser sends it to. */
export const SESSION_COOKIE_PATH = "/api/v1";
/** The longest Cookie field that is looked into; a browser keeps some 4 KiB for a cookie. */
export const COOKIE_CHARS_MAX = 8_192;

/** Ids of one request that are looked up. */
export const SESSION_IDS_MAX = 8;

/** 32 bytes in base64url. */
const SESSION_ID = /^[A-Za-z0-9_-]{43}$/;
/** Some proxies make one field of two with a comma, though no server reads it so. Source: RFC 9113 §8.2.3. */
const JOINED = new RegExp(
  `,[ \\t]*${SESSION_COOKIE}[ \\t]*=[ \\t]*"?[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])"?`,
  "g",
);

/**
 * The ids in a Cookie field, each once.
 *
 * There may be several: whatever else is served at the host name, on whatever port, can set a cookie of this name for
 * another path. What is not of the shape of an id is left out, so that such a one locks nobody out.
 *
 * @returns None of more than `SESSION_IDS_MAX`, or of a field that is too long.
 */
export function sessionIdsOf(field: string | null): string[] {
  if (field === null || field.length > COOKIE_CHARS_MAX) return [];
  const values = field.split(";").filter(isSessionCookie).map((pair) => pair.slice(pair.indexOf("=") + 1));
  const ids = [...new Set(values.filter((value) => SESSION_ID.test(value)))];
  return ids.length <= SESSION_IDS_MAX ? ids : [];
}

/**
 * The value of Set-Cookie.
 *
 * @param id Empty to have the browser forget it.
 * @param lifeMs How long the browser is to keep it; rounded down to seconds.
 * @param isSecure Whether it may travel over TLS alone.
 */
export function sessionCookie(id: string, lifeMs: number, isSecure: boolean): string {
  const attributes = [`Path=${SESSION_COOKIE_PATH}`, `Max-Age=${Math.max(0, Math.floor(lifeMs / 1000))}`];
  return [
    `${SESSION_COOKIE}=${id}`,
    ...attributes,
    "HttpOnly",
    "SameSite=Strict",
    ...(isSecure ? ["Secure"] : []),
  ].join("; ");
}

/**
 * A Cookie field without the cookie of the page; the others stay byte for byte.
 *
 * A field without the name costs one search.
 *
 * @returns Empty when no other cookie is in it.
 */
export function withoutSessionCookie(field: string): string {
  if (!field.includes(SESSION_COOKIE)) return field;
  const pairs = field.split(";");
  const others = pairs.filter((pair) => !isSessionCookie(pair));
  const rest = (others.length === pairs.length ? field : others.join(";")).replace(JOINED, "");
  return isSessionCookie(pairs[0]!) ? rest.replace(/^[ \t]+/, "") : rest;
}

/**
 * Whether a browser that takes this value of Set-Cookie would send the cookie of the page because of it. One that has
 * no name is sent as its value alone, which may look like a name and a value.
 */
export function setsSessionCookie(value: string): boolean {
  return value.includes(SESSION_COOKIE) && isSessionCookie(value.split(";", 1)[0]!.replace(/^[\s=]+/, ""));
}

function isSessionCookie(pair: string): boolean {
  const end = pair.indexOf("=");
  return (end < 0 ? pair : pair.slice(0, end)).trim() === SESSION_COOKIE;
}
