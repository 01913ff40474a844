/**
 * Which tokens were minted, and which were revoked: two files of JSON lines in the data directory.
 *
 * The gateway and its `token` command are different processes, so the files are what they share: the command
 * appends a line, the gateway sees the file change. Neither file ever holds a token, only its id and claims.
 *
 * @module
 */

import {
  closeSync,
  fstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  statSync,
  writeSync,
} from "node:fs";
import { Buffer } from "node:buffer";
import { join } from "node:path";
import { decodeJwt, errors } from "jose";
import { z } from "zod";
import { quoted } from "../printable.ts";
import type { AdminClaims } from "./admin_token.ts";
import { TOKEN_BYTES_MAX, type TokenClaims } from "./token.ts";

export const TOKENS_FILE = "tokens.jsonl";
export const REVOKED_FILE = "revoked.jsonl";
/** Revoked tokens; a list over it is refused as a whole. */
export const REVOKED_MAX = 100_000;
/** Minted tokens that are listed. */
export const TOKENS_MAX = 100_000;
/** The largest file of either kind. */
export const TOKEN_LIST_BYTES_MAX = 64 << 20;

/** A list cannot be read or written, or does not hold what was asked for. The message says what to do. */
export class TokenListError extends Error {
  override name = "TokenListError";
}

const ID = /^[A-Za-z0-9_-]{8,64}$/;
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

const recordSchema = z.object({
  id: z.string().regex(ID),
  name: z.string().min(1).max(128),
  serve: z.array(z.string().max(63)),
  reach: z.array(z.string().max(63)),
  egress: z.boolean(),
  namespace: z.string().max(63),
  image: z.string().max(512),
  issuedAtMs: z.number(),
  expiresAtMs: z.number(),
  /** Of an admin token; the token of an agent has none. A list of before there were any is read all the same. */
  role: z.enum(["viewer", "operator"]).optional(),
});
const revokedSchema = z.object({ id: z.string().regex(ID), revokedAtMs: z.number() });

/** A token that was minted: its claims, without the token. */
export type TokenRecord = z.output<typeof recordSchema>;

/**
 * Writes down a minted token.
 *
 * @param claims Its claims. What else an object holds is not written.
 * @throws {TokenListError} Not writable.
 */
export function recordMinted(dataDir: string, claims: TokenClaims): void {
  append(dataDir, TOKENS_FILE, [recordSchema.parse(claims)]);
}

/** Writes down a minted admin token: it serves nothing and reaches nothing. @throws {TokenListError} Not writable. */
export function recordMintedAdmin(dataDir: string, claims: AdminClaims): void {
  const none = { serve: [], reach: [], egress: false, namespace: "", image: "" };
  append(dataDir, TOKENS_FILE, [recordSchema.parse({ ...none, ...claims })]);
}

/**
 * The tokens that were minted, in the order they were.
 *
 * @throws {TokenListError} Not readable, or a broken line, by its number.
 */
export function listMinted(dataDir: string): TokenRecord[] {
  return readLines(dataDir, TOKENS_FILE, TOKENS_MAX, recordSchema);
}

/**
 * The ids that were revoked.
 *
 * @throws {TokenListError} As `listMinted`.
 */
export function listRevoked(dataDir: string): Set<string> {
  return new Set(readLines(dataDir, REVOKED_FILE, REVOKED_MAX, revokedSchema).map((line) => line.id));
}

/**
 * Revokes tokens.
 *
 * @param subject The id of a token, the token itself, or the name of an agent or admin for all of its tokens. An id counts
 *   before a name. An id that is in no list is revoked too when it is one of ours by its shape: the list may have
 *   been lost.
 * @param nowMs The time now, since 1970.
 * @returns The ids that are revoked now and were not before; empty when all were.
 * @throws {TokenListError} Nothing is known by that name, or a list cannot be read or written.
 */
export function revoke(dataDir: string, subject: string, nowMs: number): string[] {
  const revoked = listRevoked(dataDir);
  const ids = idsOf(dataDir, subject).filter((id) => !revoked.has(id));
  if (revoked.size + ids.length > REVOKED_MAX) {
    throw new TokenListError(
      `Cannot revoke: at most ${REVOKED_MAX} tokens can be revoked, move signing-key.pem away to refuse all and start anew`,
    );
  }
  if (ids.length > 0) append(dataDir, REVOKED_FILE, ids.map((id) => ({ id, revokedAtMs: nowMs })));
  return ids;
}

function idsOf(dataDir: string, subject: string): string[] {
  if (subject.split(".").length === 3 && subject.length > 64) return [idInToken(subject)];
  const records = listMinted(dataDir);
  if (records.some((record) => record.id === subject)) return [subject];
  const named = records.filter((record) => record.name === subject).map((record) => record.id);
  if (named.length > 0) return [...new Set(named)];
  if (UUID.test(subject)) return [subject];
  throw new TokenListError(
    `Cannot revoke ${quoted(subject, 24)}: no token and no agent has that name, see token list`,
  );
}

/** The id in a token. Its signature does not matter: revoking a foreign id harms nobody. */
function idInToken(token: string): string {
  try {
    const id = token.length > TOKEN_BYTES_MAX ? undefined : decodeJwt(token).jti;
    if (id !== undefined && ID.test(id)) return id;
  } catch (error) {
    if (!(error instanceof errors.JOSEError)) throw error;
  }
  throw new TokenListError(
    "Cannot revoke the token: it holds no id, give the id or the agent's name instead",
  );
}

export interface RevocationsOptions {
  readonly dataDir: string;
  /** How often the file is looked at, in milliseconds. */
  readonly intervalMs: number;
  /** Ids that were not in the list before. Their sessions must end. */
  readonly onChange: (newIds: readonly string[]) => void;
  /** The changed file cannot be used; the list before it stays. Called once for each change. */
  readonly onError: (error: TokenListError) => void;
}

/**
 * The revoked ids, kept up to date with the file until `stop`.
 *
 * A file that becomes broken or vanishes never un-revokes anything: the last good list stays.
 */
export class Revocations {
  readonly #options: RevocationsOptions;
  readonly #timer: ReturnType<typeof setInterval>;
  #ids: ReadonlySet<string>;
  #stamp: string;

  /** @throws {TokenListError} The list cannot be read: a gateway must not start without it. */
  constructor(options: RevocationsOptions) {
    this.#options = options;
    // The stamp is taken first: a line that comes in between is then read once more, never missed.
    this.#stamp = stampOf(options.dataDir);
    this.#ids = listRevoked(options.dataDir);
    this.#timer = setInterval(() => this.poll(), options.intervalMs);
    this.#timer.unref();
  }

  /** How many ids are revoked. */
  get size(): number {
    return this.#ids.size;
  }

  has(id: string): boolean {
    return this.#ids.has(id);
  }

  /** Looks at the file now. The timer calls it; a program may, after it changed the file itself. */
  poll(): void {
    const stamp = stampOf(this.#options.dataDir);
    if (stamp === this.#stamp) return;
    this.#stamp = stamp;
    const before = this.#ids;
    try {
      if (stamp === GONE) {
        throw new TokenListError(`Cannot read ${REVOKED_FILE}: it was removed, the list before stays`);
      }
      this.#ids = listRevoked(this.#options.dataDir);
    } catch (error) {
      if (!(error instanceof TokenListError)) throw error;
      this.#options.onError(error);
      return;
    }
    const newIds = [...this.#ids].filter((id) => !before.has(id));
    if (newIds.length > 0) this.#options.onChange(newIds);
  }

  /** Ends the watching. The list stays as it is. */
  stop(): void {
    clearInterval(this.#timer);
  }
}

const GONE = "gone";

/** What changes whenever the file does: also when it is replaced, or written twice within one tick of the clock. */
function stampOf(dataDir: string): string {
  try {
    const { mtimeMs, ctimeMs, size, ino } = statSync(join(dataDir, REVOKED_FILE));
    return `${mtimeMs} ${ctimeMs} ${size} ${ino}`;
  } catch (error) {
    return codeOf(error) === "ENOENT" ? GONE : `unreadable ${codeOf(error)}`;
  }
}

function readLines<T>(dataDir: string, name: string, linesMax: number, schema: z.ZodType<T>): T[] {
  const path = join(dataDir, name);
  let text: string;
  try {
    if (statSync(path).size > TOKEN_LIST_BYTES_MAX) {
      throw new TokenListError(`Cannot read ${path}: larger than ${TOKEN_LIST_BYTES_MAX} bytes`);
    }
    text = readFileSync(path, "utf8");
  } catch (cause) {
    if (codeOf(cause) === "ENOENT") return [];
    if (cause instanceof TokenListError) throw cause;
    throw new TokenListError(`Cannot read ${path}: ${codeOf(cause)}, check its owner and mode`, { cause });
  }
  const values: T[] = [];
  text.split("\n").forEach((line, index) => {
    if (line.trim() === "") return;
    if (values.length >= linesMax) {
      throw new TokenListError(`Cannot read ${path}: more than ${linesMax} lines`);
    }
    values.push(parseLine(line, `${path}:${index + 1}`, schema));
  });
  return values;
}

function parseLine<T>(line: string, place: string, schema: z.ZodType<T>): T {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (cause) {
    throw new TokenListError(`Cannot read ${place}: not JSON, correct or remove the line`, { cause });
  }
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const field = result.error.issues[0]?.path.join(".") ?? "";
  throw new TokenListError(
    `Cannot read ${place}: ${field || "the line"} is not valid, correct or remove the line`,
  );
}

/** Appends lines with one write, so that lines of two processes never mix. */
function append(dataDir: string, name: string, values: readonly unknown[]): void {
  const path = join(dataDir, name);
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    const file = openSync(path, "a+", 0o600);
    try {
      // A line that a crash cut short must not swallow the next one.
      const start = endsOpen(file) ? "\n" : "";
      const bytes = Buffer.from(start + values.map((value) => `${JSON.stringify(value)}\n`).join(""));
      const written = writeSync(file, bytes);
      if (written !== bytes.length) throw new TokenListError(`Cannot write ${path}: the disk is full`);
    } finally {
      closeSync(file);
    }
  } catch (cause) {
    if (cause instanceof TokenListError) throw cause;
    throw new TokenListError(
      `Cannot write ${path}: ${codeOf(cause)}, choose a writable directory with --data`,
      { cause },
    );
  }
}

function endsOpen(file: number): boolean {
  const { size } = fstatSync(file);
  const last = Buffer.alloc(1);
  return size > 0 && readSync(file, last, 0, 1, size - 1) === 1 && last[0] !== 0x0a;
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "unknown reason";
}
