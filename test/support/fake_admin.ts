/**
 * An admin API that says what a test wants, and keeps what it was asked.
 *
 * @module
 */
import { mkdtempSync, rmSync } from "node:fs";
import http, { type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const ADMIN_TOKEN = "test-admin-token-0123456789abcdef";

/** A request as it came. */
export interface Asked {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

/** Answers with this, or does it by hand. */
export type FakeAnswer =
  | { readonly status?: number; readonly type?: string; readonly body: unknown }
  | ((asked: Asked, outgoing: ServerResponse) => void);

export interface FakeAdmin {
  /** `127.0.0.1:PORT`, or `unix:PATH`. */
  readonly address: string;
  readonly port: number;
  readonly asked: Asked[];
  /** By `METHOD path`, without the base and the query. What is not here gets 404. */
  readonly answers: Map<string, FakeAnswer>;
  /** Cuts every connection that is open. */
  cut(): void;
  close(): Promise<void>;
}

/** A problem document. */
export function problem(status: number, detail: string, errors?: readonly unknown[]): FakeAnswer {
  const body = { type: "about:blank", title: "No", status, detail, ...(errors ? { errors } : {}) };
  return { status, type: "application/problem+json", body };
}

/** Starts one; on a unix socket when it is wanted. */
export async function startFakeAdmin(unix = false): Promise<FakeAdmin> {
  const asked: Asked[] = [];
  const answers = new Map<string, FakeAnswer>();
  const sockets = new Set<Socket>();
  const server = http.createServer((incoming, outgoing) => {
    const chunks: Uint8Array[] = [];
    incoming.on("data", (chunk: Uint8Array) => chunks.push(chunk));
    incoming.on("error", () => {});
    outgoing.on("error", () => {});
    incoming.on("end", () => {
      const { method = "", url = "", headers } = incoming;
      const one = { method, url, headers, body: new TextDecoder().decode(join8(chunks)) };
      asked.push(one);
      const path = url.split("?")[0]!.replace(/^.*\/api\/v1\//, "");
      const isKnown = headers.authorization === `Bearer ${ADMIN_TOKEN}`;
      const answer = isKnown
        ? answers.get(`${method} ${path}`) ?? problem(404, "Not Found")
        : problem(401, "No token");
      if (typeof answer === "function") return answer(one, outgoing);
      const { status = 200, type = "application/json", body } = answer;
      outgoing.writeHead(status, { "Content-Type": type });
      outgoing.end(typeof body === "string" ? body : JSON.stringify(body));
    });
  });
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
  });
  const dir = unix ? mkdtempSync(join(tmpdir(), "netwall-admin-")) : "";
  await new Promise<void>((resolve) => {
    if (unix) server.listen(join(dir, "s"), resolve);
    else server.listen(0, "127.0.0.1", resolve);
  });
  const port = unix ? 0 : (server.address() as AddressInfo).port;
  const cut = (): void => sockets.forEach((socket) => socket.destroy());
  return {
    ...{ address: unix ? `unix:${join(dir, "s")}` : `127.0.0.1:${port}`, port, asked, answers, cut },
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      cut();
      server.closeAllConnections();
      await closed;
      if (unix) rmSync(dir, { recursive: true, force: true });
    },
  };
}

function join8(chunks: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(chunks.reduce((length, chunk) => length + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}
