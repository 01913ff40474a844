/**
 * What goes to a target in front of a raw connection: who calls, as the gateway said.
 *
 * @module
 */
import { decodeFields } from "../wire/head.ts";
import { encodeProxyHeader, type Endpoint, parseEndpoint } from "./proxy_protocol.ts";

/**
 * The header of the PROXY protocol for a stream. Who is not known, such as another container, is told as unknown.
 *
 * @param version The one that the target wants; `undefined` wants none.
 * @param head The encoded fields of OPEN, from the gateway: what is no address there is not passed on.
 * @throws {ProtocolError} When the head is no list of fields.
 */
export function prefaceOf(version: 1 | 2 | undefined, head: Uint8Array): Uint8Array | undefined {
  // Also when nothing is wanted: a head that is none ends the session, whatever the service.
  const fields = decodeFields(head);
  if (version === undefined) return undefined;
  const endpoint = (name: string): Endpoint | undefined => {
    const at = fields.findIndex((field, index) => index % 2 === 0 && field === name);
    return at < 0 ? undefined : parseEndpoint(fields[at + 1]!);
  };
  return encodeProxyHeader(version, endpoint("source"), endpoint("destination"));
}
