/**
 * Answers that are written by hand, and the polite end of a request whose body is not wanted.
 *
 * @module
 */
import type { IncomingMessage } from "node:http";
import type { ResponseHead } from "../wire/head.ts";

/** After an early answer, how long the rest of the visitor's body is read and thrown away. */
const LINGER_MS = 2_000;

/** Reads on for a moment, so that the visitor sees the answer before a reset; then cuts. After RFC 9112 §9.6. */
export function linger(incoming: IncomingMessage): void {
  incoming.resume();
  const timer = setTimeout(() => {
    if (!incoming.complete) incoming.socket.destroy();
  }, LINGER_MS);
  timer.unref?.();
}

/** A response head as bytes on the wire (latin1). The parts have been checked. */
export function formatHead(head: ResponseHead): string {
  let text = `HTTP/1.1 ${head.status} ${head.reason}\r\n`;
  for (let i = 0; i < head.fields.length; i += 2) text += `${head.fields[i]}: ${head.fields[i + 1]}\r\n`;
  return `${text}\r\n`;
}
