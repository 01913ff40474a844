/**
 * Slows whoever presents tokens that do not hold, without locking out who shares an address with them.
 *
 * A guess at an Ed25519 signature never comes true. What guessing costs is a verification of about 0.1 ms, a line in
 * the log, and the attention of who reads it. So a peer is not banned: after `FAILURES_FREE` failures its tokens are
 * looked at one at a time, with a pause between two that doubles up to `PAUSE_MS_MAX`. In between it is refused, token
 * unseen, and told how long to wait. Fifteen minutes after its last failure it is forgotten.
 *
 * Behind one address there may be many agents. Whose token held before is let through to its verification whatever
 * the others do (`held`), so that an attacker beside them keeps no agent out that this gateway has seen. One that it
 * has not seen competes with the attacker for the looks, which is why the pause stays short.
 *
 * A success forgives nothing: else a stolen token would pay for guesses at others.
 *
 * Whoever has more addresses than `PEERS_MAX` is not slowed by this: each guess may come from an address that is not
 * kept. To refuse all unknown addresses then would cost more than to look at them, as it would keep every new agent out.
 * What bounds their cost is how many handshakes may be under way at once.
 *
 * @module
 */
import { createHash } from "node:crypto";

/** Failures within `FAILURES_MS` that slow nobody: an operator who mistypes, a few agents with one old token. */
export const FAILURES_FREE = 10;
export const FAILURES_MS = 60_000;
/** The first pause between two looks, and the longest one. */
export const PAUSE_MS_MIN = 1_000;
export const PAUSE_MS_MAX = 15_000;
/** A slowed peer is forgotten so long after its last failure. */
export const CALM_MS = 15 * 60_000;
/** Peers that are kept; one takes about 200 bytes. */
export const PEERS_MAX = 10_000;
/** Tokens that held, and are kept as digests. */
export const TOKENS_MAX = 10_000;
/** Peers that are looked at to make room for one. */
const LOOKS_WHEN_FULL = 8;

/** Whether a token may be looked at. */
export type Look = { readonly ok: true } | { readonly ok: false; readonly retryAfterMs: number };

const MAY: Look = Object.freeze({ ok: true });

interface Peer {
  /** Within the window, or since it was slowed. */
  failures: number;
  /** When the window began. */
  sinceMs: number;
  lastMs: number;
  /** Before this no token is looked at. 0 until the peer is slowed. */
  nextLookMs: number;
}

/** The failures of all peers of one listener. Agents and operators have one each. */
export class Attempts {
  readonly #peers = new Map<string, Peer>();
  readonly #peersMax: number;
  readonly #tokens = new Set<string>();
  #round: Iterator<[string, Peer]>;

  /** @param peersMax @default PEERS_MAX */
  constructor(peersMax: number = PEERS_MAX) {
    this.#peersMax = peersMax;
    this.#round = this.#peers.entries();
  }

  /** Peers that are kept. */
  get size(): number {
    return this.#peers.size;
  }

  /**
   * Whether a token of a peer may be looked at now. For a slowed peer that is one look: ask once for each token.
   *
   * Handshakes that are under way before the first failure is told are all let through: bound these elsewhere.
   *
   * @param peer The address, an IPv6 one by its network of 64 bits.
   * @param nowMs On any clock, always the same.
   * @param token What it presents. Left out, nothing is known of it.
   */
  check(peer: string, nowMs: number, token?: string): Look {
    const known = this.#find(peer, nowMs);
    if (known === undefined || known.failures <= FAILURES_FREE) return MAY;
    if (token !== undefined && this.#tokens.size > 0 && this.#tokens.has(digestOf(token))) return MAY;
    const waitMs = known.nextLookMs - nowMs;
    // A clock that was put back must not make it longer than it ever was.
    if (waitMs > 0 && waitMs <= PAUSE_MS_MAX) return { ok: false, retryAfterMs: Math.ceil(waitMs) };
    known.nextLookMs = nowMs + pauseMs(known.failures);
    return MAY;
  }

  /**
   * Notes that a token of a peer did not hold. What was refused by `check` is no failure.
   *
   * @returns How many there are, and whether this one made the peer slow: then it is worth an event.
   */
  failed(peer: string, nowMs: number): { readonly count: number; readonly isNewlySlowed: boolean } {
    const known = this.#find(peer, nowMs) ?? this.#add(peer, nowMs);
    known.failures++;
    known.lastMs = nowMs;
    if (known.failures > FAILURES_FREE) known.nextLookMs = nowMs + pauseMs(known.failures);
    return { count: known.failures, isNewlySlowed: known.failures === FAILURES_FREE + 1 };
  }

  /** Notes that a token held. When there are too many the one that held longest ago is forgotten. */
  held(token: string): void {
    const digest = digestOf(token);
    this.#tokens.delete(digest);
    this.#tokens.add(digest);
    if (this.#tokens.size <= TOKENS_MAX) return;
    for (const oldest of this.#tokens) {
      this.#tokens.delete(oldest);
      break;
    }
  }

  /** What is known of a peer and still counts. */
  #find(peer: string, nowMs: number): Peer | undefined {
    const known = this.#peers.get(peer);
    if (known === undefined || !isOver(known, nowMs)) return known;
    this.#peers.delete(peer);
    return undefined;
  }

  /** A new peer. When there is no room it takes the place of the one with the fewest failures among a few. */
  #add(peer: string, nowMs: number): Peer {
    if (this.#peers.size >= this.#peersMax) {
      let [fewest, known] = this.#next();
      for (let look = 1; look < LOOKS_WHEN_FULL && !isOver(known, nowMs); look++) {
        const [other, otherKnown] = this.#next();
        if (isOver(otherKnown, nowMs) || otherKnown.failures < known.failures) {
          [fewest, known] = [other, otherKnown];
        }
      }
      this.#peers.delete(fewest);
    }
    const entry = { failures: 0, sinceMs: nowMs, lastMs: nowMs, nextLookMs: 0 };
    this.#peers.set(peer, entry);
    return entry;
  }

  #next(): [string, Peer] {
    for (;;) {
      const step = this.#round.next();
      if (step.done !== true) return step.value;
      this.#round = this.#peers.entries();
    }
  }
}

/** Whether a peer may be forgotten: the window has passed, or a slowed one was calm for long. */
function isOver(peer: Peer, nowMs: number): boolean {
  if (peer.failures > FAILURES_FREE) return nowMs - peer.lastMs >= CALM_MS;
  return nowMs - peer.sinceMs >= FAILURES_MS;
}

function pauseMs(failures: number): number {
  return Math.min(PAUSE_MS_MAX, PAUSE_MS_MIN * 2 ** Math.min(failures - FAILURES_FREE - 1, 30));
}

function digestOf(token: string): string {
  return createHash("sha256").update(token).digest("base64");
}
