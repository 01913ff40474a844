/**
 * Masks the values of header fields that hold secrets. What helps to understand a request and is none is kept: the
 * scheme of credentials, the names of cookies, the attributes of those that are set.
 *
 * Every request passes here, so what is known of a name is kept.
 *
 * Source: RFC 9110 §11.4, RFC 6265 §4.
 *
 * @module
 */
import { ownCopy } from "../own_copy.ts";
import { maskPairs } from "./mask_pairs.ts";
import { isSecretName, MASK } from "./secret_names.ts";

type Kind = "plain" | "secret" | "credentials" | "cookie" | "setCookie" | "address" | "protocols";

/** Names that are remembered; those of clients in use are a few hundred. */
const NAMES_MAX = 1_024;
/** Longer ones are judged each time: they are nobody's usual ones. */
const NAME_CHARS_MAX = 64;

const KINDS: ReadonlyMap<string, Kind> = new Map<string, Kind>([
  ["authorization", "credentials"],
  ["proxy-authorization", "credentials"],
  ["cookie", "cookie"],
  ["set-cookie", "setCookie"],
  ["set-cookie2", "setCookie"],
  ["sec-websocket-protocol", "protocols"],
  // Their names have a word of secrets, and they are none.
  ...["sec-websocket-key", "idempotency-key", "surrogate-key", "www-authenticate", "proxy-authenticate"]
    .map((name): [string, Kind] => [name, "plain"]),
  ...["location", "content-location", "referer", "referrer", "refresh", "link", "origin", "destination"]
    .map((name): [string, Kind] => [name, "address"]),
]);

/** Schemes that are known: anything else before a space may be half of a secret. */
const SCHEME =
  /^(basic|bearer|digest|negotiate|ntlm|dpop|hoba|mutual|vapid|token|apikey|gnap|privatetoken|aws4-hmac-sha256|scram-sha-1|scram-sha-256) +\S/i;

const COOKIE_NAME = /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$/;
const COOKIE_ATTRIBUTE =
  /^(?:(?:expires|max-age|domain|path|samesite|priority)=[^"]*|secure|httponly|partitioned)$/i;

export class FieldMasks {
  readonly #kinds = new Map<string, Kind>();

  /** The value as it may be shown. */
  mask(name: string, value: string): string {
    switch (this.#kindOf(name)) {
      case "plain":
        return maskPlain(value);
      case "secret":
        return value === "" ? "" : MASK;
      case "credentials":
        return maskCredentials(value);
      case "cookie":
        return maskCookies(value);
      case "setCookie":
        return maskSetCookie(value);
      case "address":
        return maskPlain(maskPairs(value));
      case "protocols":
        return /bearer|auth|token|jwt|eyJ/i.test(value) ? MASK : value;
    }
  }

  #kindOf(name: string): Kind {
    const known = this.#kinds.get(name);
    if (known !== undefined) return known;
    const lower = name.toLowerCase();
    const kind = KINDS.get(lower) ??
      (isSecretName(lower) ? "secret" : /ur[il]$/.test(lower) ? "address" : "plain");
    if (name.length <= NAME_CHARS_MAX) {
      // Whoever makes names up must not keep those in use out for good.
      if (this.#kinds.size >= NAMES_MAX) this.#kinds.clear();
      this.#kinds.set(ownCopy(name), kind);
    }
    return kind;
  }
}

/** A field that nobody takes for a secret may hold one all the same: it is known by how it begins. */
function maskPlain(value: string): string {
  switch (value.charCodeAt(0) | 0x20) {
    // b, d, n: Bearer, Basic, Digest, DPoP, Negotiate.
    case 0x62:
    case 0x64:
    case 0x6e:
      return SCHEME.test(value) ? maskCredentials(value) : value;
    // e: the first letters of every JSON Web Token.
    case 0x65:
      return /^eyJ[\w-]{4,}\./.test(value) ? MASK : value;
    default:
      return value;
  }
}

function maskCredentials(value: string): string {
  if (value === "") return "";
  const scheme = SCHEME.exec(value)?.[1];
  return scheme === undefined ? MASK : `${scheme} ${MASK}`;
}

/** What stands in quotation marks may hold semicolons for one reader and not for another: from there on all is masked. */
function maskCookies(value: string): string {
  const quote = value.indexOf('"');
  const parts = (quote < 0 ? value : value.slice(0, quote)).split(";").map(maskCookie);
  if (quote >= 0) parts[parts.length - 1] = MASK;
  return parts.join("; ");
}

function maskCookie(part: string): string {
  const at = part.indexOf("=");
  const name = part.slice(0, Math.max(0, at)).trim();
  if (part.trim() === "") return "";
  return at > 0 && COOKIE_NAME.test(name) ? `${name}=${MASK}` : MASK;
}

function maskSetCookie(value: string): string {
  const [pair = "", ...attributes] = value.split(";");
  if (value.includes('"')) return maskCookie(pair);
  const shown = attributes.map((part) => {
    const attribute = part.trim();
    return attribute === "" || COOKIE_ATTRIBUTE.test(attribute) ? attribute : MASK;
  });
  return [maskCookie(pair), ...shown].join("; ");
}
