/**
 * Agents that were linked while the page was open, and are not any more.
 *
 * @module
 */
import type { Link } from "./types.ts";

/** Those that went last; of more the first are forgotten. */
export const GONE_MAX = 100;

export interface GoneLink {
  /** As it was seen last. */
  readonly link: Link;
  /** When the page found that it is gone. */
  readonly sinceMs: number;
}

/**
 * Who is gone after a new list of links has come, the last that went first. An agent that is linked again, or still by
 * another link, is not gone.
 *
 * @param gone Before. @returns The same list when nothing has changed.
 */
export function goneAfter(
  gone: readonly GoneLink[],
  before: readonly Link[],
  now: readonly Link[],
  atMs: number,
): readonly GoneLink[] {
  const here = new Set(now.map(({ agent }) => agent));
  const kept = gone.filter(({ link }) => !here.has(link.agent));
  const lost = new Map(before.filter(({ agent }) => !here.has(agent)).map((link) => [link.agent, link]));
  if (lost.size === 0 && kept.length === gone.length) return gone;
  const added = [...lost.values()].map((link): GoneLink => ({ link, sinceMs: atMs }));
  const old = kept.filter(({ link }) => !lost.has(link.agent));
  return [...added, ...old].slice(0, GONE_MAX);
}
