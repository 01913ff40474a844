/**
 * The headers of a WebSocket handshake, for both ends.
 *
 * Source: RFC 6455 §4.
 *
 * @module
 */
import { createHash } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import { LINK_SUBPROTOCOL } from "./websocket.ts";

/** The only version of WebSocket there is, RFC 6455 §4.1. */
export const WEBSOCKET_VERSION = "13";

/** RFC 6455 §1.3. */
const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/** What a server answers to the key of a client: nobody who does not speak WebSocket says it by accident. */
function acceptOf(key: string): string {
  return createHash("sha1").update(key + GUID).digest("base64");
}

/** What a client asks with. @param key 16 random bytes in base64. */
export function upgradeHeaders(key: string): Record<string, string> {
  return {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": WEBSOCKET_VERSION,
    "Sec-WebSocket-Key": key,
    "Sec-WebSocket-Protocol": LINK_SUBPROTOCOL,
  };
}

/** The whole answer of a server that accepts. @param key What the client sent. */
export function upgradeAnswer(key: string): string {
  const lines = [
    "HTTP/1.1 101 Switching Protocols",
    "Upgrade: websocket",
    "Connection: Upgrade",
    `Sec-WebSocket-Accept: ${acceptOf(key)}`,
    `Sec-WebSocket-Protocol: ${LINK_SUBPROTOCOL}`,
  ];
  return `${lines.join("\r\n")}\r\n\r\n`;
}

/** True when the answer is that of a gateway to this key. Extensions were not offered, so none may be taken. */
export function isUpgradeAnswer(headers: IncomingHttpHeaders, key: string): boolean {
  return headers["sec-websocket-accept"] === acceptOf(key) &&
    headers.upgrade?.toLowerCase() === "websocket" &&
    headers["sec-websocket-protocol"] === LINK_SUBPROTOCOL &&
    headers["sec-websocket-extensions"] === undefined;
}
