/**
 * What the agent's local proxy answers by itself: a refusal with its reason, or the word that a tunnel stands.
 *
 * The reader is a developer with curl on the other end of a loopback socket, so the answer is plain text that says what to
 * do. Source: RFC 9110 §9.3.6 and §15, RFC 9209 (Proxy-Status).
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { STATUS_CODES } from "node:http";
import { assert } from "../assert.ts";
import { isFieldValue, isToken } from "../http/fields.ts";
import { printable } from "../printable.ts";

/** The methods that this proxy takes. RFC 9110 §15.5.6 wants them named in a 405. */
const ALLOWED = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, CONNECT";

/** The answer to CONNECT once the other side is reached. From here on the bytes are the tunnel's. */
export const CONNECT_ESTABLISHED: Uint8Array = Buffer.from(
  "HTTP/1.1 200 Connection established\r\n\r\n",
  "latin1",
);

/**
 * A whole answer, after which the connection is to be closed.
 *
 * @param status Such as 403.
 * @param detail What went wrong and what to do, one sentence; made printable.
 * @param extra More fields, flat names and values, such as Retry-After. They must be valid: they are the program's own.
 * @param failure The word of RFC 9209 §2.3 for what happened, such as `connection_refused`.
 */
export function proxyAnswer(
  status: number,
  detail: string,
  extra: readonly string[] = [],
  failure?: string,
): Uint8Array {
  const body = Buffer.from(`netwall: ${printable(detail)}\n`);
  const fields = [
    ...["Content-Type", "text/plain; charset=utf-8"],
    ...["Content-Length", String(body.length)],
    ...["Cache-Control", "no-store"],
    ...["Connection", "close"],
    ...(status === 405 ? ["Allow", ALLOWED] : []),
    ...(failure === undefined ? [] : ["Proxy-Status", `netwall; error=${failure}`]),
    ...extra,
  ];
  let head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? "Error"}\r\n`;
  for (let index = 0; index < fields.length; index += 2) {
    const [name, value] = [fields[index] ?? "", fields[index + 1] ?? ""];
    assert(isToken(name) && isFieldValue(value), "the fields of an answer are valid");
    head += `${name}: ${value}\r\n`;
  }
  return Buffer.concat([Buffer.from(`${head}\r\n`, "latin1"), body]);
}
