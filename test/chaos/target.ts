/**
 * What stands behind the wall in the chaos runs: an HTTP app and a TCP echo, each on a unix socket.
 *
 * Arguments: the path for HTTP and the path for TCP. `GET /bytes?seed&bytes&perSecond` answers with known bytes, as
 * fast as told; `POST /digest` answers with the SHA-256 of what came; every upgrade is a WebSocket that echoes.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { chmodSync } from "node:fs";
import http, { type IncomingMessage, type ServerResponse } from "node:http";
import net from "node:net";
import process from "node:process";
import { type RawData, type WebSocket, WebSocketServer } from "ws";
import { payload } from "./payload.ts";

/** How often a paced answer goes on. */
const STEP_MS = 20;

/** An answer without a pace goes out in pieces of this size. */
const PIECE_BYTES = 64 * 1024;

function sendBytes(query: URLSearchParams, response: ServerResponse): void {
  const number = (name: string): number => Number(query.get(name) ?? 0);
  const [seed, bytes, perSecond] = [number("seed"), number("bytes"), number("perSecond")];
  const stepBytes = perSecond > 0 ? Math.ceil(perSecond * STEP_MS / 1000) : PIECE_BYTES;
  response.writeHead(200, { "content-length": bytes, "content-type": "application/octet-stream" });
  let offset = 0;
  let gone = false;
  response.on("close", () => gone = true);
  const step = (): void => {
    if (gone) return;
    const size = Math.min(stepBytes, bytes - offset);
    const more = response.write(payload(seed, offset, size));
    offset += size;
    if (offset >= bytes) return void response.end();
    if (!more) response.once("drain", step);
    else if (perSecond > 0) setTimeout(step, STEP_MS);
    else setImmediate(step);
  };
  step();
}

function digest(request: IncomingMessage, response: ServerResponse): void {
  const hash = createHash("sha256");
  request.on("error", () => {});
  request.on("data", (chunk: Buffer) => hash.update(chunk));
  request.on("end", () => response.end(hash.digest("hex")));
}

function answer(request: IncomingMessage, response: ServerResponse): void {
  const url = new URL(request.url ?? "/", "http://target");
  response.on("error", () => {});
  if (url.pathname === "/bytes") sendBytes(url.searchParams, response);
  else if (url.pathname === "/digest") digest(request, response);
  else response.writeHead(404).end();
}

/** Opens both doors. */
async function listen(): Promise<void> {
  const [httpPath, tcpPath] = process.argv.slice(2);
  if (httpPath === undefined || tcpPath === undefined) throw new TypeError("Two paths are needed");
  const web = http.createServer({ requestTimeout: 0 }, answer);
  const sockets = new WebSocketServer({ server: web, perMessageDeflate: false });
  sockets.on("connection", (socket: WebSocket) => {
    socket.on("error", () => {});
    socket.on(
      "message",
      (data: RawData, isBinary: boolean) => socket.send(data as Buffer, { binary: isBinary }),
    );
  });
  const echo = net.createServer({ allowHalfOpen: true }, (socket) => {
    socket.on("error", () => socket.destroy());
    socket.pipe(socket);
  });
  await new Promise<void>((resolve) => web.listen(httpPath, resolve));
  await new Promise<void>((resolve) => echo.listen(tcpPath, resolve));
  // For an agent of another user: the folder says which group.
  for (const path of [httpPath, tcpPath]) chmodSync(path, 0o660);
}

await listen();
process.on("SIGTERM", () => process.exit(0));
process.stdout.write("ready {}\n");
