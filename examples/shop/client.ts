/**
 * What visitors, operators and a shell in a container send: requests, and tunnels by a proxy.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { request } from "node:http";
import type { Socket } from "node:net";

const ANSWER_BYTES_MAX = 4 << 20;
const REQUEST_MS_MAX = 15_000;
const TUNNEL_HEAD_CHARS_MAX = 16 << 10;

/** What a visitor or a caller got. */
export interface Got {
  readonly status: number;
  readonly body: string;
}

/** A connection that a shell tried to make. */
export type Tunnel =
  | { readonly kind: "open"; readonly socket: Socket }
  | { readonly kind: "refused"; readonly status: number; readonly reason: string };

/** Where a request goes, and what it is. */
export interface Sent {
  readonly host: string;
  readonly port: number;
  readonly method: string;
  readonly path: string;
  readonly headers: Record<string, string>;
}

/** Sends a request and gives the answer whatever its status is. Rejects when there is none. */
export function send(sent: Sent, body: string | undefined): Promise<Got> {
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(REQUEST_MS_MAX);
    const outgoing = request({ ...sent, agent: false, signal }, (incoming) => {
      let text = "";
      incoming.setEncoding("utf8");
      incoming.on("data", (chunk: string) => {
        text += chunk;
        if (text.length > ANSWER_BYTES_MAX) incoming.destroy(new Error("The answer is too long"));
      });
      incoming.on("end", () => resolve({ status: incoming.statusCode ?? 0, body: text }));
      incoming.on("error", reject);
    });
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}

/**
 * Asks the proxy that a socket leads to for a tunnel, and reads its word on it. What comes behind it stays in the
 * socket.
 *
 * @param to `HOST:PORT`.
 */
export function openTunnel(socket: Socket, to: string): Promise<Tunnel> {
  socket.write(`CONNECT ${to} HTTP/1.1\r\nHost: ${to}\r\n\r\n`);
  return new Promise((resolve) => {
    let text = "";
    const refused = (status: number, reason: string): void => {
      socket.destroy();
      resolve({ kind: "refused", status, reason });
    };
    const take = (chunk: Buffer): void => {
      text += chunk.toString("latin1");
      const end = text.indexOf("\r\n\r\n");
      if (end < 0) {
        return text.length > TUNNEL_HEAD_CHARS_MAX ? refused(0, "no answer of a proxy") : undefined;
      }
      const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1] ?? 0);
      if (status !== 200) return;
      socket.off("data", take).off("end", ended);
      socket.pause();
      if (text.length > end + 4) socket.unshift(Buffer.from(text.slice(end + 4), "latin1"));
      resolve({ kind: "open", socket });
    };
    const ended = (): void => {
      const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1] ?? 0);
      refused(status, text.split("\r\n\r\n")[1]?.trim() ?? "");
    };
    socket.on("data", take).on("end", ended);
    socket.on("error", (error) => refused(0, error.message));
  });
}
