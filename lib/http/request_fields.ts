/**
 * The fields that a gateway adds to a request, so that the target knows who called, and for which address.
 *
 * Whatever a visitor sent under these names is gone by now, unless the visitor is a trusted proxy: its word is then
 * continued, not replaced. Source: RFC 7239, and X-Forwarded-* as everybody writes them.
 *
 * @module
 */
import type { RequestReading } from "./reading.ts";

/** Who called, as the gateway knows it. */
export interface VisitorAddress {
  /** The address of the peer on the socket, without brackets; for another agent `_` and its name. */
  peer: string;
  /** Whether the peer is a proxy whose fields are believed. */
  trusted: boolean;
  scheme: "http" | "https";
}

/**
 * The fields to send on: the visitor's, then Forwarded and X-Forwarded-For, -Host and -Proto.
 *
 * @param upgrade For an upgrade: the protocols asked for. Connection and Upgrade are then written afresh.
 */
export function forwardedFields(
  reading: RequestReading,
  visitor: VisitorAddress,
  upgrade?: string,
): string[] {
  const before = visitor.trusted ? reading.forwarded : NOTHING;
  const fields = upgrade === undefined
    ? reading.fields.slice()
    : [...reading.fields, "Connection", "Upgrade", "Upgrade", upgrade];
  const node = visitor.peer.includes(":") ? `"[${visitor.peer}]"` : visitor.peer;
  const host = isPlain(reading.authority) ? reading.authority : `"${reading.authority}"`;
  const element = `for=${node};host=${host};proto=${visitor.scheme}`;
  // Many readers take X-Forwarded-For for an address, and a name is none.
  if (!visitor.peer.startsWith("_")) {
    fields.push(
      "X-Forwarded-For",
      before.xForwardedFor === undefined ? visitor.peer : `${before.xForwardedFor}, ${visitor.peer}`,
    );
  }
  fields.push(
    "X-Forwarded-Host",
    before.xForwardedHost ?? reading.authority,
    "X-Forwarded-Proto",
    before.xForwardedProto ?? visitor.scheme,
    "Forwarded",
    before.forwarded === undefined ? element : `${before.forwarded}, ${element}`,
  );
  return fields;
}

const NOTHING = {
  forwarded: undefined,
  xForwardedFor: undefined,
  xForwardedHost: undefined,
  xForwardedProto: undefined,
};

/** A token needs no quotes. @see RFC 7239 §4 */
function isPlain(authority: string): boolean {
  return /^[A-Za-z0-9.-]+$/.test(authority);
}
