/**
 * Rate limits: how many requests or connections one source may make of a service in a time.
 *
 * Each limit has a token bucket for each source and service. The clock is passed, so it is pure. A request takes one
 * token of every limit that is about its service, or none at all.
 *
 * **A flood of sources.** Whoever has many addresses can make a bucket with every request, and memory must not follow.
 * A bucket that is full again says the same as no bucket, so that each new source pays for looking at two old ones,
 * and full ones are taken away. When there is no room even so, a new source takes the place of the one that has most
 * tokens left among a few, *and begins with what that one had*. So the source that is just being held, which has the
 * fewest, keeps its bucket; nobody gains tokens by having others pushed out; and all sources together never get more
 * than as many buckets as there are would give. (The counting is that of the Space-Saving algorithm.)
 *
 * Source: Metwally, Agrawal, El Abbadi, "Efficient computation of frequent and top-k elements in data streams" (2005);
 * RFC 4291 §2.5.4 for interface identifiers of 64 bits.
 *
 * @module
 */
import { formatAddress, parseAddress } from "../egress/address_class.ts";
import { ownCopy } from "../own_copy.ts";
import { type Ban, Bans, EVERY_SERVICE } from "./bans.ts";
import type { RateLimitRule } from "./document.ts";

/** Buckets of all limits together; each limit has an equal share. One takes about 150 bytes, so 15 MB at most. */
export const KEYS_MAX = 100_000;
/** The longest source that is kept as it is; the id of a group has 577. */
export const SOURCE_KEY_CHARS_MAX = 600;
/** Old buckets that are looked at for a new one: two, so that full ones go faster than others come. */
const LOOKS = 2;
/** The same when there is no room. */
const LOOKS_WHEN_FULL = 8;

/** Whether a request may pass. */
export type Taken =
  | { readonly ok: true }
  | {
    readonly ok: false;
    /** The limit that makes it wait longest. */
    readonly limit: RateLimitRule;
    /** At least 1. */
    readonly retryAfterMs: number;
    /** Whether the source is banned, from now on or since before. */
    readonly banned: boolean;
  };

/** Canonical text whose first four groups stand there and are not 0: they are the network, and nothing is to be read. */
const NETWORK = /^[1-9a-f][0-9a-f]{0,3}(?::[1-9a-f][0-9a-f]{0,3}){3}(?=:)/;

const PASSED: Taken = Object.freeze({ ok: true });

/**
 * What stands for a source in limits and bans.
 *
 * An IPv6 host has 2^64 addresses of its own, so it is known by its network of 64 bits.
 *
 * @param address An address in canonical text, or any other name of a source, such as the id of a group.
 */
export function sourceKeyOf(address: string): string {
  // The canonical text of an IPv4 address has no colon, and is its key.
  const isV6 = address.includes(":");
  const network = isV6 ? NETWORK.exec(address) : null;
  if (network !== null) return `${network[0]}::/64`;
  const parsed = isV6 ? parseAddress(address) : undefined;
  if (parsed === undefined) return address.slice(0, SOURCE_KEY_CHARS_MAX);
  if (parsed.bits === 32) return formatAddress(parsed);
  return `${formatAddress({ bits: 128, value: parsed.value >> 64n << 64n })}/64`;
}

interface Bucket {
  tokens: number;
  atMs: number;
}

/** All limits of a policy. */
export class RateLimiter {
  readonly #keysMax: number;
  readonly #bans: Bans;
  #limits: readonly Limit[] = [];
  /** Of services that a limit names: all limits about them, in the order of the policy. */
  #byService = new Map<string, readonly Limit[]>();
  /** Of all other services. */
  #general: readonly Limit[] = [];
  /** The buckets of the present call, so that none makes a list. */
  readonly #scratch: Bucket[] = [];

  /** @param bans Where sources that are over a limit with `banSeconds` are put. @param keysMax @default KEYS_MAX */
  constructor(bans: Bans = new Bans(), keysMax: number = KEYS_MAX) {
    this.#bans = bans;
    this.#keysMax = keysMax;
  }

  /** Buckets that are kept. */
  get size(): number {
    return this.#limits.reduce((sum, limit) => sum + limit.size, 0);
  }

  /** Takes the limits of a policy. One that is the same as before keeps its buckets and bans; others begin anew. */
  update(rules: readonly RateLimitRule[], nowMs: number): void {
    const before = this.#limits;
    const bucketsMax = Math.max(1, Math.floor(this.#keysMax / Math.max(1, rules.length)));
    this.#limits = rules.map((rule) => before.find((limit) => isSame(limit.rule, rule)) ?? new Limit(rule));
    for (const limit of before) if (!this.#limits.includes(limit)) this.#bans.liftAllOf(limit.rule.id);
    for (const limit of this.#limits) limit.shrink(bucketsMax, nowMs);
    const named = new Set(rules.flatMap(({ service }) => service ?? []));
    const about = (service: string): Limit[] =>
      this.#limits.filter(({ rule }) => rule.service === undefined || rule.service === service);
    this.#byService = new Map([...named].map((service) => [service, about(service)]));
    this.#general = this.#limits.filter(({ rule }) => rule.service === undefined);
  }

  /**
   * Takes one token of every limit that is about a service.
   *
   * @param sourceKey As `sourceKeyOf` writes it.
   * @param service Of those that there are: a name that anybody can make up would make buckets.
   * @param nowMs On any clock, always the same. One that was put back gives no tokens and takes none.
   */
  take(sourceKey: string, service: string, nowMs: number): Taken {
    if (this.#limits.length === 0) return PASSED;
    const limits = this.#byService.get(service) ?? this.#general;
    let over: Limit | undefined;
    let waitMs = 0;
    for (let at = 0; at < limits.length; at++) {
      const limit = limits[at]!;
      if (limit.rule.banSeconds > 0) {
        const ban = this.#bans.find(limit.rule.id, sourceKey, nowMs);
        if (ban !== undefined) return bannedBy(limit, ban, nowMs);
      }
      const bucket = limit.bucket(sourceKey, service, nowMs);
      this.#scratch[at] = bucket;
      const lackMs = bucket.tokens >= 1 ? 0 : (1 - bucket.tokens) / limit.tokensPerMs;
      if (lackMs > waitMs || (lackMs > 0 && over === undefined)) {
        over = limit;
        waitMs = lackMs;
      }
    }
    if (over !== undefined) return this.#refuse(limits, over, waitMs, sourceKey, nowMs);
    for (let at = 0; at < limits.length; at++) this.#scratch[at]!.tokens -= 1;
    return PASSED;
  }

  /**
   * Lifts a ban, and gives the source a full bucket: with an empty one its next request would ban it again.
   *
   * @param key Of a `Ban`. @returns Whether there was one.
   */
  unban(key: string): boolean {
    const lifted = this.#bans.unban(key);
    if (lifted === undefined) return false;
    this.#limits.find(({ rule }) => rule.id === lifted.limitId)?.forget(lifted.source);
    return true;
  }

  /** Bans by every limit that is over and has a ban. */
  #refuse(limits: readonly Limit[], over: Limit, waitMs: number, sourceKey: string, nowMs: number): Taken {
    let longest: { limit: Limit; ban: Ban } | undefined;
    for (let at = 0; at < limits.length; at++) {
      const limit = limits[at]!;
      const { id, banSeconds, service = EVERY_SERVICE } = limit.rule;
      if (banSeconds <= 0 || this.#scratch[at]!.tokens >= 1) continue;
      // A ban that ended before there is a token again would only begin anew.
      const lackMs = (1 - this.#scratch[at]!.tokens) / limit.tokensPerMs;
      this.#bans.add(id, sourceKey, service, nowMs + Math.max(banSeconds * 1_000, lackMs), nowMs);
      const ban = this.#bans.find(id, sourceKey, nowMs);
      if (ban !== undefined && ban.untilMs > (longest?.ban.untilMs ?? 0)) longest = { limit, ban };
    }
    if (longest !== undefined) return bannedBy(longest.limit, longest.ban, nowMs);
    return { ok: false, limit: over.rule, retryAfterMs: Math.max(1, Math.ceil(waitMs)), banned: false };
  }
}

function bannedBy(limit: Limit, ban: Ban, nowMs: number): Taken {
  return {
    ok: false,
    limit: limit.rule,
    retryAfterMs: Math.max(1, Math.ceil(ban.untilMs - nowMs)),
    banned: true,
  };
}

/** Whether two rules limit the same in the same way. */
function isSame(a: RateLimitRule, b: RateLimitRule): boolean {
  return a.id === b.id && a.service === b.service && a.requests === b.requests && a.seconds === b.seconds &&
    a.burst === b.burst && a.banSeconds === b.banSeconds;
}

/** One limit and its buckets. */
class Limit {
  readonly rule: RateLimitRule;
  readonly tokensPerMs: number;
  readonly #tokensMax: number;
  #bucketsMax = 1;
  /** By service, then by source: no text is put together for a look-up. */
  readonly #tables = new Map<string, Map<string, Bucket>>();
  #size = 0;
  /** Goes round all buckets, and on from where it was. */
  #round: Iterator<[string, string, Bucket]>;

  constructor(rule: RateLimitRule) {
    this.rule = rule;
    this.tokensPerMs = rule.requests / (rule.seconds * 1_000);
    this.#tokensMax = rule.burst ?? rule.requests;
    this.#round = this.#all();
  }

  get size(): number {
    return this.#size;
  }

  /** Sets how many buckets there may be, and makes do with them. */
  shrink(bucketsMax: number, nowMs: number): void {
    this.#bucketsMax = bucketsMax;
    while (this.#size > bucketsMax) this.#makeRoom(nowMs);
  }

  /** The bucket of a source, with the tokens that it has now. */
  bucket(sourceKey: string, service: string, nowMs: number): Bucket {
    const known = this.#tables.get(service)?.get(sourceKey);
    if (known !== undefined) {
      this.#refill(known, nowMs);
      return known;
    }
    const tokens = this.#size < this.#bucketsMax ? this.#tokensMax : this.#makeRoom(nowMs);
    this.#tidy(nowMs);
    const bucket = { tokens, atMs: nowMs };
    let table = this.#tables.get(service);
    if (table === undefined) this.#tables.set(service, table = new Map());
    table.set(ownCopy(sourceKey), bucket);
    this.#size++;
    return bucket;
  }

  /** Takes the buckets of a source away, which makes them full. */
  forget(sourceKey: string): void {
    for (const service of this.#tables.keys()) this.#remove(service, sourceKey);
  }

  #refill(bucket: Bucket, nowMs: number): void {
    const elapsedMs = nowMs - bucket.atMs;
    bucket.atMs = nowMs;
    if (elapsedMs <= 0) return;
    bucket.tokens = Math.min(this.#tokensMax, bucket.tokens + elapsedMs * this.tokensPerMs);
  }

  /** Takes full buckets away among the next few. */
  #tidy(nowMs: number): void {
    for (let look = 0; look < LOOKS && this.#size > 0; look++) {
      const [service, sourceKey, bucket] = this.#next();
      this.#refill(bucket, nowMs);
      if (bucket.tokens >= this.#tokensMax) this.#remove(service, sourceKey);
    }
  }

  /** Takes the fullest bucket away among the next few. @returns What it had. */
  #makeRoom(nowMs: number): number {
    let fullest = this.#next();
    this.#refill(fullest[2], nowMs);
    for (let look = 1; look < LOOKS_WHEN_FULL && fullest[2].tokens < this.#tokensMax; look++) {
      const other = this.#next();
      this.#refill(other[2], nowMs);
      if (other[2].tokens > fullest[2].tokens) fullest = other;
    }
    this.#remove(fullest[0], fullest[1]);
    return fullest[2].tokens;
  }

  /** The next bucket of the round; there must be one. */
  #next(): [string, string, Bucket] {
    for (;;) {
      const step = this.#round.next();
      if (step.done !== true) return step.value;
      this.#round = this.#all();
    }
  }

  *#all(): Generator<[string, string, Bucket], undefined> {
    for (const [service, table] of this.#tables) {
      for (const [sourceKey, bucket] of table) yield [service, sourceKey, bucket];
    }
    return undefined;
  }

  #remove(service: string, sourceKey: string): void {
    const table = this.#tables.get(service)!;
    if (!table.delete(sourceKey)) return;
    this.#size--;
    if (table.size === 0) this.#tables.delete(service);
  }
}
