/**
 * What a token, a link or a session lets its holder be at the admin API.
 *
 * @module
 */
import type { AdminRole } from "./admin_token.ts";

/** How many links may stand between a token and a session: a link, made by a session that a link has begun, … */
export const GENERATIONS_MAX = 3;

export interface Grant {
  /** Who: it stands in the audit log. */
  readonly name: string;
  readonly role: AdminRole;
  /** When it ends at the latest, since 1970; `Infinity` when it does not end by itself. */
  readonly endsAtMs: number;
  /** How many links lie between it and a token. */
  readonly generation: number;
  /** Whether what it comes from still holds. */
  isGood(): boolean;
}

/** Counts as one holder for bounds: a viewer never takes the room of an operator, though both have one name. */
export function holderKey({ name, role }: Pick<Grant, "name" | "role">): string {
  return `${role} ${name}`;
}
