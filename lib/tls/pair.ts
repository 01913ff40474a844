/**
 * One certificate and its key, parsed and checked: what names it is for, how long it holds, whether the two fit.
 *
 * Pure: reads no files, but needs their paths to say where a fault is.
 *
 * @module
 */
import { createPrivateKey, createPublicKey, type KeyObject, X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { createSecureContext } from "node:tls";
import ipaddr from "ipaddr.js";
import type { CertificatePair } from "../runtime/certificate_pair.ts";

/**
 * What is wrong with a file. `mismatch`: the key is of another certificate; `unusable`: both are sound, but
 * the TLS library does not take them.
 */
export type CertificateErrorCode =
  | "missing"
  | "unreadable"
  | "too_long"
  | "malformed"
  | "encrypted"
  | "mismatch"
  | "unusable";

/** A certificate or key cannot be used. The message names the file and the cure, and holds nothing of a key. */
export class CertificateError extends Error {
  override name = "CertificateError";
  constructor(
    readonly code: CertificateErrorCode,
    readonly path: string,
    reason: string,
    options?: ErrorOptions,
  ) {
    super(`Cannot use ${path}: ${reason}`, options);
  }
}

export interface ParsedPair {
  readonly pair: CertificatePair;
  /** As `normalName` gives them; a wildcard begins with `*.`. */
  readonly names: readonly string[];
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

const CERTIFICATE_BLOCK = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;
const KEY_BLOCK = /-----BEGIN (?:RSA |EC )?PRIVATE KEY-----/;

/**
 * Parses and checks a pair.
 *
 * @param pair PEM of both. The chain may be long; each certificate of it must parse, the first is the server's.
 * @throws {CertificateError} `malformed`, `encrypted`, `mismatch` or `unusable`. A date is not an error.
 */
export function parsePair(pair: CertificatePair, certPath: string, keyPath: string): ParsedPair {
  const blocks = pair.cert.match(CERTIFICATE_BLOCK) ?? [];
  const begins = pair.cert.split("-----BEGIN CERTIFICATE-----").length - 1;
  if (blocks.length === 0 || blocks.length !== begins) {
    const reason = begins === 0 ? "it holds no PEM certificate" : "a PEM certificate in it is cut short";
    throw new CertificateError("malformed", certPath, `${reason}, check that it is the whole chain`);
  }
  let chain: X509Certificate[];
  try {
    chain = blocks.map((block) => new X509Certificate(block));
  } catch (error) {
    throw new CertificateError(
      "malformed",
      certPath,
      "a certificate in it cannot be parsed, write it again",
      {
        cause: error,
      },
    );
  }
  const leaf = chain[0]!;
  const key = parseKey(pair.key, keyPath);
  if (!fits(leaf, key)) {
    const later = chain.findIndex((certificate) => fits(certificate, key));
    throw new CertificateError(
      "mismatch",
      keyPath,
      later > 0
        ? `it fits certificate ${later + 1} of ${certPath}, put the server's own certificate first there`
        : `it is not the key of ${certPath}, give both of the same certificate`,
    );
  }
  try {
    createSecureContext({ cert: pair.cert, key: pair.key });
  } catch (error) {
    throw new CertificateError("unusable", certPath, "the TLS library refuses it, use another kind of key", {
      cause: error,
    });
  }
  return {
    pair: Object.freeze({ cert: pair.cert, key: pair.key }),
    names: certificateNames(leaf),
    notBeforeMs: Date.parse(leaf.validFrom),
    notAfterMs: Date.parse(leaf.validTo),
  };
}

function parseKey(pem: string, path: string): KeyObject {
  if (pem.includes("ENCRYPTED")) {
    throw new CertificateError("encrypted", path, "the key is encrypted, remove its passphrase");
  }
  if (!KEY_BLOCK.test(pem)) {
    throw new CertificateError("malformed", path, "it holds no PEM private key, check the path");
  }
  try {
    return createPrivateKey(pem);
  } catch {
    // No cause: some parsers quote what they could not read.
    throw new CertificateError("malformed", path, "its private key cannot be parsed, write it again");
  }
}

function fits(certificate: X509Certificate, key: KeyObject): boolean {
  const options = { type: "spki", format: "der" } as const;
  return createPublicKey(key).export(options).equals(certificate.publicKey.export(options));
}

/** Longest DNS name, RFC 1035 §2.3.4. */
const NAME_CHARS_MAX = 253;

/**
 * Lists the names a certificate is for: the DNS names and addresses of its SAN. The common name counts only when
 * there is no SAN at all, as RFC 6125 §6.4.4 has it.
 *
 * @returns Normal names, without those that no server name could equal (odd letters, a `*` elsewhere than in
 *   front).
 */
export function certificateNames(certificate: X509Certificate): string[] {
  const { subjectAltName } = certificate;
  const found: string[] = [];
  if (subjectAltName) {
    for (const part of subjectAltName.split(", ")) {
      const match = /^(?:DNS|IP Address):(.+)$/.exec(part);
      if (match !== null) found.push(match[1]!);
    }
  } else {
    const match = /(?:^|[\n,] ?)CN ?= ?([^\n,]+)/.exec(certificate.subject);
    if (match !== null) found.push(match[1]!);
  }
  const names = found.map(normalName).filter((name) =>
    name.length <= NAME_CHARS_MAX &&
    (isIP(name) !== 0 || /^(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*$/.test(name))
  );
  return [...new Set(names)];
}

/** Brings a host name or an address into the one form in which equal ones are equal: lower case, no last dot. */
export function normalName(name: string): string {
  if (isIP(name) !== 0) return ipaddr.process(name).toNormalizedString();
  return name.toLowerCase().replace(/\.$/, "");
}
