/**
 * The two secrets of a gateway: the key that signs agent tokens, and the token of its admin API.
 *
 * Both are made on first start. Several processes may start on one directory at once and all end up with the same
 * secret: each writes a file of its own and one of them, whole, becomes the secret.
 *
 * Source: RFC 8410 (Ed25519 in PKCS #8), open(2) `O_EXCL`, link(2).
 *
 * @module
 */

import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  randomBytes,
  timingSafeEqual,
} from "node:crypto";
import {
  closeSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  statSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { importPKCS8, importSPKI } from "jose";
import type { SigningKey } from "./token.ts";

export const KEY_FILE = "signing-key.pem";
export const ADMIN_TOKEN_FILE = "admin-token";
/** The largest secret file; a key has 119 bytes. */
export const SECRET_FILE_BYTES_MAX = 4096;
/** An admin token that somebody put there themselves is at least this long. */
export const ADMIN_TOKEN_CHARS_MIN = 32;
const ADMIN_TOKEN_BYTES = 32;

/** The directory or a file in it cannot be used. Ends the start; the message says what to do. */
export class KeyStoreError extends Error {
  override name = "KeyStoreError";
}

/**
 * The key that signs agent tokens, made when there is none.
 *
 * @param dataDir Made with mode 0700 when it is not there. The mode of one that is there stays, as a mounted volume
 *   has an owner of its own.
 * @throws {KeyStoreError} Not readable, not writable, readable by everyone, or not an Ed25519 key.
 */
export async function loadOrCreateKey(dataDir: string): Promise<SigningKey> {
  const pem = loadOrCreate(dataDir, KEY_FILE, () => {
    const { privateKey } = generateKeyPairSync("ed25519");
    return privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  });
  const path = join(dataDir, KEY_FILE);
  try {
    const privateKey = createPrivateKey(pem);
    if (privateKey.asymmetricKeyType !== "ed25519") throw new TypeError("another kind of key");
    const publicPem = createPublicKey(privateKey).export({ type: "spki", format: "pem" }).toString();
    const pkcs8 = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
    return { privateKey: await importPKCS8(pkcs8, "EdDSA"), publicKey: await importSPKI(publicPem, "EdDSA") };
  } catch (cause) {
    throw new KeyStoreError(
      `Cannot read ${path}: not an Ed25519 private key in PEM, restore it or move it away for a new one`,
      { cause },
    );
  }
}

/**
 * The token of the admin API, made when there is none: 32 random bytes in base64url.
 *
 * @param dataDir As for `loadOrCreateKey`.
 * @throws {KeyStoreError} Not readable, not writable, readable by everyone, or too short.
 */
export function loadOrCreateAdminToken(dataDir: string): string {
  const text = loadOrCreate(
    dataDir,
    ADMIN_TOKEN_FILE,
    () => `${randomBytes(ADMIN_TOKEN_BYTES).toString("base64url")}\n`,
  );
  const token = text.trim();
  if (token.length >= ADMIN_TOKEN_CHARS_MIN && /^[\x21-\x7e]+$/.test(token)) return token;
  throw new KeyStoreError(
    `Cannot use ${
      join(dataDir, ADMIN_TOKEN_FILE)
    }: not ${ADMIN_TOKEN_CHARS_MIN} visible ASCII characters or more, ` +
      "remove it for a new one",
  );
}

/**
 * Compares two secrets in a time that tells nothing about either, also when their lengths differ.
 *
 * An empty text equals nothing, itself included: a secret that was not set must never open a door.
 */
export function secretsEqual(a: string, b: string): boolean {
  // Digests have one length, and one that differs early says nothing about where the secrets differ.
  const equal = timingSafeEqual(digest(a), digest(b));
  return equal && a.length > 0;
}

function digest(text: string): Uint8Array {
  return createHash("sha256").update(text, "utf8").digest();
}

function loadOrCreate(dataDir: string, name: string, create: () => string): string {
  const path = join(dataDir, name);
  try {
    const known = readSecret(path);
    if (known !== undefined) return known;
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    publish(dataDir, path, create());
    const made = readSecret(path);
    if (made !== undefined) return made;
  } catch (cause) {
    if (cause instanceof KeyStoreError) throw cause;
    throw new KeyStoreError(`Cannot use ${path}: ${codeOf(cause)}, choose a writable directory with --data`, {
      cause,
    });
  }
  throw new KeyStoreError(`Cannot use ${path}: it was removed while it was made, try again`);
}

/** Puts a whole file in place unless there is one by then. Whoever comes second keeps the first one's. */
function publish(dataDir: string, path: string, text: string): void {
  const own = join(dataDir, `.${randomBytes(12).toString("hex")}.tmp`);
  writeNew(own, text);
  try {
    linkSync(own, path);
  } catch (error) {
    if (codeOf(error) === "EEXIST") return;
    // Some network volumes have no hard links. There, only a crash within this write can leave half a file.
    if (!["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"].includes(codeOf(error))) throw error;
    try {
      writeNew(path, text);
    } catch (second) {
      if (codeOf(second) !== "EEXIST") throw second;
    }
  } finally {
    unlinkSync(own);
  }
}

/** Writes a file that must not be there yet, readable by its owner alone, and down to the disk. */
function writeNew(path: string, text: string): void {
  const file = openSync(path, "wx", 0o600);
  try {
    writeSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

function readSecret(path: string): string | undefined {
  try {
    const { mode, size } = statSync(path);
    if ((mode & 0o007) !== 0) {
      throw new KeyStoreError(
        `Cannot use ${path}: everyone on this machine can open it, run chmod 600 on it`,
      );
    }
    if (size > SECRET_FILE_BYTES_MAX) {
      throw new KeyStoreError(
        `Cannot use ${path}: larger than ${SECRET_FILE_BYTES_MAX} bytes, is it the right file`,
      );
    }
    return readFileSync(path, "utf8");
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "unknown reason";
}
