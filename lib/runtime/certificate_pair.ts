/**
 * A certificate with its key, as the TLS listener and the TLS client take it.
 *
 * @module
 */
import { createPrivateKey, X509Certificate } from "node:crypto";
import tls from "node:tls";

/** A certificate chain, leaf first, and the private key of the leaf, both PEM. Never changed once made. */
export interface CertificatePair {
  readonly cert: string;
  readonly key: string;
}

/**
 * Makes the context of a pair, and fails at once when it is of no use.
 *
 * Deno parses a pair only when it is first used, and a client there goes on without one it cannot parse. So both
 * halves are parsed here.
 *
 * @throws What the parser throws.
 */
export function secureContext({ cert, key }: CertificatePair): tls.SecureContext {
  parsePem({ cert, key });
  return tls.createSecureContext({ cert, key });
}

/** Throws what the parser throws when a half of the pair is not PEM of its kind. */
export function parsePem({ cert, key }: CertificatePair): void {
  new X509Certificate(cert);
  createPrivateKey(key);
}
