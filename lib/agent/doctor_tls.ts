/**
 * What a TLS server shows of itself, and whether it would be trusted.
 *
 * The handshake accepts any certificate, so that a bad one can be described, and sends nothing after it.
 *
 * Source: RFC 8446 §4.4.2, RFC 6066 §3, RFC 9525.
 *
 * @module
 */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { isIP, type Socket } from "node:net";
import { connect, type TLSSocket } from "node:tls";
import { type CheckTime, days, fail, type Finding, ok, reasonOf, warn } from "./check.ts";

/** From this many days to the end of a certificate or token on, it is worth a word. */
export const EXPIRY_DAYS_WARN = 14;

const DAY_MS = 86_400_000;

/** PEM, as far as it is given. */
export interface TlsFiles {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

export interface TlsQuestion extends TlsFiles {
  /** The name or address to find in the certificate. */
  readonly host: string;
  /** Take any certificate, as `--target-insecure` does. @default false */
  readonly insecure?: boolean;
  readonly time: CheckTime;
  /** The flag that takes authorities, for the cure. */
  readonly caFlag: string;
  readonly nowMs: number;
}

/**
 * Does a handshake over an open socket and judges the certificate.
 *
 * @param use What to do over the connection when it can be trusted; its finding stands then. The socket is
 *   destroyed after it.
 */
export async function inspectTls(
  socket: Socket,
  question: TlsQuestion,
  use: (secured: TLSSocket, finding: Finding) => Promise<Finding>,
): Promise<Finding> {
  const { host, ca, cert, key, time } = question;
  let secured: TLSSocket | undefined;
  try {
    secured = connect({
      socket,
      host,
      // RFC 6066 §3: a server name is never an address.
      ...(isIP(host) === 0 ? { servername: host } : {}),
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined || key === undefined ? {} : { cert, key }),
      ALPNProtocols: ["http/1.1"],
      rejectUnauthorized: false,
    });
    const error = await handshake(secured, time);
    if (error !== undefined) return handshakeFault(error, time.timeoutMs);
    const finding = judge(secured, question);
    return finding.status === "fail" ? finding : await use(secured, finding);
  } catch (error) {
    return fail(
      `the TLS settings cannot be used (${reasonOf(error)})`,
      "Check the certificate, key and CA files",
    );
  } finally {
    secured?.destroy();
    socket.destroy();
  }
}

/** Waits for the handshake; gives the error, or undefined when it is done. */
function handshake(secured: TLSSocket, time: CheckTime): Promise<string | undefined> {
  const done = new Promise<string | undefined>((resolve) => {
    secured.on("error", (error) => resolve(reasonOf(error)));
    secured.on("close", () => resolve("closed"));
    secured.once("secureConnect", () => resolve(undefined));
  });
  return Promise.race([done, time.soon]);
}

function handshakeFault(error: string, timeoutMs: number): Finding {
  if (error === "late") {
    return fail(
      `it accepts connections and does not answer in TLS within ${timeoutMs} ms`,
      "Check that TLS is served on this port: without TLS the address begins with ws:// or http://",
    );
  }
  if (/WRONG_VERSION|PACKET_LENGTH|RECORD|HTTP_REQUEST/i.test(error)) {
    return fail(
      `it does not speak TLS (${error})`,
      "Use ws:// or http:// here, or give the port that serves TLS",
    );
  }
  if (error === "closed" || error === "ECONNRESET") {
    return fail(
      "it ends the connection during the handshake",
      "Check that TLS is served on this port, and that this server name is known there",
    );
  }
  return fail(
    `the handshake fails (${error})`,
    "Check the versions and client certificates that the server takes",
  );
}

function judge(secured: TLSSocket, question: TlsQuestion): Finding {
  const { host, insecure = false, caFlag, nowMs } = question;
  const { valid_to: validTo, valid_from: validFrom, subject, issuer, subjectaltname } = secured
    .getPeerCertificate();
  const daysLeft = Math.floor((Date.parse(validTo) - nowMs) / DAY_MS);
  const by = nameOf(issuer);
  const code = secured.authorized ? "" : reasonOf(secured.authorizationError);
  if (code !== "" && !insecure) {
    const names = subjectaltname ?? nameOf(subject);
    return certificateFault(code, { host, names, by, validTo, validFrom, nowMs, caFlag, ca: question.ca });
  }
  const about = `${secured.getProtocol() ?? "TLS"}, certificate of ${by}, ${days(daysLeft)} left`;
  if (code !== "") return warn(`${about}, taken unchecked (${code})`, `Give ${caFlag} instead of taking any`);
  if (daysLeft < EXPIRY_DAYS_WARN) return warn(about, "Renew the certificate");
  return ok(about);
}

interface CertificateFacts {
  readonly host: string;
  readonly names: string;
  readonly by: string;
  readonly validTo: string;
  readonly validFrom: string;
  readonly nowMs: number;
  readonly caFlag: string;
  readonly ca: string | undefined;
}

function certificateFault(code: string, facts: CertificateFacts): Finding {
  const { host, names, by, validTo, validFrom, nowMs, caFlag, ca } = facts;
  const clock = "or correct the clock of this machine";
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") {
    return fail(
      `the certificate is for other names: ${names} (${code})`,
      `Use one of its names in the address, or get a certificate for ${host}`,
    );
  }
  if (code === "CERT_HAS_EXPIRED" || Date.parse(validTo) < nowMs) {
    return fail(`the certificate ended on ${validTo} (${code})`, `Renew the certificate, ${clock}`);
  }
  if (code === "CERT_NOT_YET_VALID") {
    return fail(`the certificate begins on ${validFrom} (${code})`, `Wait until then, ${clock}`);
  }
  return fail(
    `the certificate of ${by} is not trusted (${code})`,
    ca === undefined
      ? `Give the certificate of its authority with ${caFlag} FILE`
      : `Put the certificate of its authority, ${by}, into the file of ${caFlag}`,
  );
}

/** The name of a subject or issuer, from what it has. */
function nameOf(subject: { CN?: string | string[]; O?: string | string[] } | undefined): string {
  return [subject?.CN ?? subject?.O ?? "no name"].flat()[0] ?? "no name";
}

/** Looks at the client certificate: whether it can be read, ends soon, and has the key that is given with it. */
export function judgeClientCertificate(cert: string, key: string, nowMs: number): Finding {
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(cert);
  } catch (error) {
    return fail(`the certificate cannot be read (${reasonOf(error)})`, "Give a certificate in PEM");
  }
  try {
    if (!certificate.checkPrivateKey(createPrivateKey(key))) {
      return fail("the key is not that of the certificate", "Give the key the certificate was made for");
    }
  } catch (error) {
    return fail(`the key cannot be read (${reasonOf(error)})`, "Give the key in PEM, without a passphrase");
  }
  const daysLeft = Math.floor((Date.parse(certificate.validTo) - nowMs) / DAY_MS);
  if (daysLeft < 0) return fail(`the certificate ended on ${certificate.validTo}`, "Renew it");
  if (daysLeft < EXPIRY_DAYS_WARN) return warn(`${days(daysLeft)} left`, "Renew it");
  return ok(`${days(daysLeft)} left`);
}
