/**
 * Which names of fields, parameters and keys stand for a secret.
 *
 * A name is judged by its words. It is better to mask what is none than to show what is one.
 *
 * @module
 */

/** What is shown in the place of a secret. */
export const MASK = "[masked]";

/** Longer names cannot be judged: they count as secret. */
const NAME_CHARS_MAX = 256;

/** Wherever they stand in a name. */
const PARTS =
  /token|secret|passw|passphrase|pwd|credential|signature|api[^a-z0-9]?key|session|sess(?:ion)?_?id|saml|jwt|bearer|authoriz|(?:private|access|auth|ssh|license|crypt(?:ion)?)key|otp$/i;

/** As a word of a name: `authCode`, `x-auth`, `access_key`. */
const WORDS: ReadonlySet<string> = new Set([
  ...[
    "auth",
    "code",
    "key",
    "pass",
    "pin",
    "sid",
    "sig",
    "otp",
    "totp",
    "hmac",
    "csrf",
    "xsrf",
    "cvv",
    "cvc",
  ],
  ...[
    "assertion",
    "ticket",
    "nonce",
    "cookie",
    "cookies",
    "jwk",
    "psk",
    "authentication",
    "passcode",
    "keys",
  ],
]);

/** Most names hold none of them anywhere, and need not be taken apart. */
const ANY_WORD = new RegExp([...WORDS].join("|"), "i");

/** Whether the value under a name is to be masked. @param name As it is meant: without any encoding. */
export function isSecretName(name: string): boolean {
  if (name.length > NAME_CHARS_MAX) return true;
  if (PARTS.test(name)) return true;
  if (!ANY_WORD.test(name)) return false;
  const words = name.replace(/([a-z0-9])([A-Z])/g, "$1 $2").toLowerCase().split(/[^a-z0-9]+/);
  return words.some((word) => WORDS.has(word));
}
