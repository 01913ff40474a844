/**
 * What the list of tokens says: what a token is good for, for how long, and what ends with it.
 *
 * @module
 */
import { duration, plural } from "../core/format.ts";
import type { Link, Token } from "../core/types.ts";
import { callsOf } from "./link_facts.ts";

export interface TokenFilter {
  /** Looked for in all that is shown; empty is anything. */
  readonly text: string;
  readonly state: Token["state"] | undefined;
}

/** A token that ends so soon is pointed out. */
const SOON_MS = 7 * 86_400_000;

/** The tokens that a filter leaves, in the order they came. */
export function selectTokens(tokens: readonly Token[], { text, state }: TokenFilter): Token[] {
  const wanted = text.trim().toLowerCase();
  return tokens.filter((token) =>
    (state === undefined || token.state === state) && textOf(token).includes(wanted)
  );
}

/** What the holder may call; empty when nothing. */
export function callsText(token: Token): string {
  return token.role === undefined ? callsOf(token) : `the admin API, as ${token.role}`;
}

/** What the holder may serve. */
export function servesText({ serve }: Token): string {
  return serve.map((name) => name === "*" ? "any service" : name).join(", ");
}

/** Such as `in 12 days`, `2 h ago`. */
export function expiryText({ expiresAtMs }: Token, nowMs: number): string {
  const leftMs = expiresAtMs - nowMs;
  return leftMs > 0 ? `in ${duration(leftMs)}` : `${duration(-leftMs)} ago`;
}

export function isExpiringSoon({ state, expiresAtMs }: Token, nowMs: number): boolean {
  return state === "valid" && expiresAtMs - nowMs < SOON_MS;
}

/**
 * The links that may have come with a token. A link does not say by which token it came, but only one that says the
 * same of agent, namespace, image and calls can have made it.
 */
export function linksOfToken(token: Token, links: readonly Link[]): Link[] {
  if (token.role !== undefined) return [];
  const serves = (name: string): boolean => token.serve.includes("*") || token.serve.includes(name);
  return links.filter((link) =>
    link.agent === token.name && link.namespace === token.namespace && link.image === token.image &&
    link.egress === token.egress && sameNames(link.reach, token.reach) && link.services.every(serves)
  );
}

/** What will happen when a token is revoked. @param own The name of who asks. */
export function revokeText(
  token: Token,
  links: readonly Link[],
  tokens: readonly Token[],
  own: string,
): string {
  if (token.role !== undefined) {
    const self = token.name === own ? " If you logged in with it, that is you." : "";
    return `Nobody can use it any more, and the sessions that it began end within seconds.${self}`;
  }
  const ending = linksOfToken(token, links);
  if (ending.length === 0) return "No agent is linked by it now. None will be able to link with it again.";
  const isOnly = !tokens.some((other) =>
    other.id !== token.id && other.state === "valid" && linksOfToken(other, ending).length > 0
  );
  const services = [...new Set(ending.flatMap((link) => link.services))];
  const what = services.length === 0 ? "" : `, which serves ${services.join(", ")}`;
  const which = `${plural(ending.length, "link")} of ${token.name}${what}`;
  return isOnly
    ? `It ends ${which}, within seconds, and what is open on it is cut.`
    : `It ends those of ${which} that came by this token, within seconds; ${token.name} has other tokens, too.`;
}

function textOf(token: Token): string {
  const { id, name, serve, reach, namespace, image, role = "" } = token;
  return [id, name, ...serve, ...reach, namespace, image, role].join("\n").toLowerCase();
}

function sameNames(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((name) => b.includes(name));
}
