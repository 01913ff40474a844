/**
 * Sessions of the page: who is signed in, by which browser.
 *
 * They are in memory alone, so a gateway that starts anew knows none. An id is 256 random bits, made anew for every
 * session and kept as a digest. A session ends when it was not used for an hour, after twelve hours in any case, with
 * the token that it began with, and when its holder signs out; with it end those that were begun by its links.
 *
 * @module
 */
import { createHash, randomBytes } from "node:crypto";
import { GENERATIONS_MAX, type Grant, holderKey } from "./grant.ts";
import { OneTimeCodes } from "./one_time_codes.ts";

/** Sessions at once. Over it the one that was not used for longest goes. */
export const SESSIONS_MAX = 256;
/** Sessions of one holder: nobody pushes out those of others. Over it the holder's idlest one goes. */
export const SESSIONS_PER_HOLDER_MAX = 32;
/** Without use it is over. */
export const SESSION_IDLE_MS_MAX = 3_600_000;
/** It is over then, used or not. */
export const SESSION_LIFE_MS_MAX = 12 * 3_600_000;
/**
 * Sessions and links of one viewer in an hour. Each is a line in the audit log, of which the oldest are deleted: who
 * may only look must not be able to wash away what others did.
 */
export const VIEWER_STEPS_MAX = 120;
export const VIEWER_STEPS_MS = 3_600_000;
/** Viewers whose steps are counted. */
const VIEWERS_MAX = 1_024;

const ID_BYTES = 32;

/** A browser that is signed in. */
export interface Session {
  readonly name: string;
  readonly role: Grant["role"];
  /** When it ends at the latest, since 1970. */
  readonly endsAtMs: number;
  /** Whether it holds. Asking is using it: it is not idle then. */
  isGood(): boolean;
  /** What its links give: it holds as long as nobody signed out here, and ends when this does at the latest. */
  readonly grant: Grant;
}

interface Kept extends Session {
  readonly digest: string;
  /** What it began with. */
  readonly from: Grant;
  /** What it took the place of by a link of that one. No more than `GENERATIONS_MAX` in a row. */
  readonly instead: Kept | undefined;
  usedAtMs: number;
  isSignedOut: boolean;
}

/** All sessions of a gateway, and the codes that begin some of them. */
export class Sessions {
  /** By digest, the one that was used last at the end. */
  readonly #kept = new Map<string, Kept>();
  readonly #steps = new Map<string, { sinceMs: number; count: number }>();
  readonly #codes: OneTimeCodes;
  readonly #nowMs: () => number;

  /** @param nowMs Since 1970. @default Date.now */
  constructor(nowMs: () => number = Date.now) {
    this.#nowMs = nowMs;
    this.#codes = new OneTimeCodes(nowMs);
  }

  /** Sessions that are kept, those that are over and were not asked for since among them. */
  get size(): number {
    return this.#kept.size;
  }

  /**
   * Begins a session.
   *
   * @param grant It has this name and role, and ends with it.
   * @param before What the browser came with: it ends.
   * @returns With its id, which is kept nowhere else.
   */
  begin(grant: Grant, before?: Session): { readonly id: string; readonly session: Session } {
    const instead = this.#replace(before, grant);
    this.#makeRoom(holderKey(grant));
    const id = randomBytes(ID_BYTES).toString("base64url");
    const nowMs = this.#nowMs();
    const { name, role, generation } = grant;
    const endsAtMs = Math.min(nowMs + SESSION_LIFE_MS_MAX, grant.endsAtMs);
    const kept: Kept = {
      ...{ name, role, endsAtMs, digest: digestOf(id), from: grant, instead },
      ...{ usedAtMs: nowMs, isSignedOut: false },
      isGood: () => this.#use(kept),
      grant: {
        ...{ name, role, endsAtMs, generation },
        isGood: () => !kept.isSignedOut && this.#nowMs() < endsAtMs && grant.isGood(),
      },
    };
    this.#kept.set(kept.digest, kept);
    return { id, session: kept };
  }

  /** The session by its id, which counts as its use; `undefined` when it is over or never was. */
  find(id: string): Session | undefined {
    const kept = this.#kept.get(digestOf(id));
    return kept !== undefined && this.#use(kept) ? kept : undefined;
  }

  /**
   * The only one of some ids that holds. Of two that do, nobody is to say which one counts: there is none then.
   */
  findOnly(ids: readonly string[]): Session | undefined {
    const found = ids.flatMap((id) => this.find(id) ?? []);
    return found.length === 1 ? found[0] : undefined;
  }

  /** Signs out: the session ends, and so does what its links have begun. */
  end(session: Session): void {
    const kept = this.#take(session);
    for (let each = kept; each !== undefined; each = each.instead) each.isSignedOut = true;
  }

  /**
   * Makes a code that begins a session once, see lib/auth/one_time_codes.ts.
   *
   * @param grant Of who makes it.
   * @param role Of who uses it. A viewer makes none for operators: a bug of the caller, as is any other mix-up.
   */
  makeCode(
    grant: Grant,
    role: Grant["role"],
  ): { readonly code: string; readonly expiresAtMs: number } | "tooManyLinks" {
    if (role === "operator" && grant.role !== "operator") throw new RangeError("a viewer makes no operators");
    // Each generation keeps the one before in memory, and asks it.
    if (grant.generation >= GENERATIONS_MAX) return "tooManyLinks";
    const { name, endsAtMs, generation } = grant;
    return this.#codes.make({
      ...{ name, role, endsAtMs, generation: generation + 1 },
      isGood: () => grant.isGood(),
    });
  }

  /** What a code gives, once. */
  takeCode(code: string): Grant | undefined {
    return this.#codes.take(code);
  }

  /**
   * Counts a session or a link of a holder. Operators may have as many as they like.
   *
   * @returns 0 when it may be done, or how long to wait, in milliseconds.
   */
  step(holder: Pick<Grant, "name" | "role">): number {
    if (holder.role === "operator") return 0;
    const nowMs = this.#nowMs();
    const known = this.#steps.get(holder.name);
    const ageMs = known === undefined ? 0 : nowMs - known.sinceMs;
    // A clock that was put back begins anew.
    if (known === undefined || ageMs >= VIEWER_STEPS_MS || ageMs < 0) {
      this.#steps.delete(holder.name);
      for (const oldest of this.#steps.keys()) {
        if (this.#steps.size < VIEWERS_MAX) break;
        this.#steps.delete(oldest);
      }
      this.#steps.set(holder.name, { sinceMs: nowMs, count: 1 });
      return 0;
    }
    if (known.count >= VIEWER_STEPS_MAX) return VIEWER_STEPS_MS - ageMs;
    known.count += 1;
    return 0;
  }

  /**
   * Ends what the browser came with.
   *
   * @returns The session whose link begins the new one in its own browser. That is no signing out: it would end the
   *   new one as well.
   */
  #replace(before: Session | undefined, grant: Grant): Kept | undefined {
    const kept = before && this.#take(before);
    for (let each = kept; each !== undefined; each = each.instead) {
      each.isSignedOut = true;
      if (grant.isGood()) continue;
      each.isSignedOut = false;
      return each;
    }
    return undefined;
  }

  /** Keeps a session no longer. */
  #take(session: Session): Kept | undefined {
    for (const kept of this.#kept.values()) {
      if (kept !== session) continue;
      this.#kept.delete(kept.digest);
      return kept;
    }
    return undefined;
  }

  /** Whether it holds. Then it moves to the end: what was used last goes last. */
  #use(kept: Kept): boolean {
    if (this.#kept.get(kept.digest) !== kept) return false;
    this.#kept.delete(kept.digest);
    const nowMs = this.#nowMs();
    if (!this.#holds(kept, nowMs)) return false;
    kept.usedAtMs = nowMs;
    this.#kept.set(kept.digest, kept);
    return true;
  }

  #holds({ from, endsAtMs, usedAtMs }: Kept, nowMs: number): boolean {
    return nowMs < endsAtMs && nowMs - usedAtMs < SESSION_IDLE_MS_MAX && from.isGood();
  }

  /** Room for one more of a holder. What is over goes first. */
  #makeRoom(holder: string): void {
    const nowMs = this.#nowMs();
    const own: Kept[] = [];
    for (const kept of this.#kept.values()) {
      if (!this.#holds(kept, nowMs)) this.#kept.delete(kept.digest);
      else if (holderKey(kept) === holder) own.push(kept);
    }
    if (own.length >= SESSIONS_PER_HOLDER_MAX) this.#kept.delete(own[0]!.digest);
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size < SESSIONS_MAX) break;
      this.#kept.delete(oldest);
    }
  }
}

/** An id has 256 random bits, so that a plain digest is no worse than a slow one. */
function digestOf(id: string): string {
  return createHash("sha256").update(id).digest("base64");
}
