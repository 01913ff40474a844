/**
 * The listener for visitors: `node:http` with its limits set, every way in led to one function.
 *
 * Plain requests, requests that wait for 100-continue and upgrades all become an `Arrival`, so that no route, rule or
 * limit can be skipped by arriving in another way.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { chmodSync, lstatSync, rmSync } from "node:fs";
import http, { type IncomingMessage, type ServerResponse } from "node:http";
import net, { type Socket } from "node:net";
import { formatHead } from "./answer_text.ts";
import { REQUEST_FIELDS_MAX } from "./reading.ts";

/** A request that came in, and where its answer goes. */
export interface Arrival {
  incoming: IncomingMessage;
  /** Where the answer goes, unless the visitor asks for an upgrade. */
  outgoing: ServerResponse | undefined;
  /** The connection of an upgrade, and what came behind the request's head. */
  upgrade: Upgrade | undefined;
  /** Set by an answer that closes the connection. */
  isLast?: boolean;
}

export interface Upgrade {
  socket: Socket;
  early: Buffer;
  /** Tells the server not to wait for this connection when it closes: somebody else ends it. */
  untrack(): void;
}

export interface VisitorServerOptions {
  headBytesMax: number;
  headTimeoutMs: number;
  keepAliveTimeoutMs: number;
  connectionsMax: number;
  onArrival(arrival: Arrival): void;
  /** A connection was closed at once because there were too many. */
  onRefused?(): void;
}

/** Where to listen. */
export type ListenAt = { host: string; port: number } | { path: string };

/** While it closes, how often connections that fell idle are looked for. */
const FINISH_POLL_MS = 50;

/** How often timed out heads are looked for. */
const TIMEOUT_CHECK_MS = 1_000;

/** The parser fails a little later than our own count, so that the visitor gets 431 from either. */
const PARSER_SLACK_BYTES = 1_024;

/** The address is taken, forbidden or not of this machine. */
export class ListenFault extends Error {
  override name = "ListenFault";
}

export class VisitorServer {
  readonly #server: http.Server;
  readonly #upgraded = new Set<Socket>();
  /** The newest request of each connection: what is written past an answer that is due would corrupt it. */
  readonly #newest = new WeakMap<Socket, Arrival>();
  /** Answers that are not whole yet. */
  readonly #due = new Set<ServerResponse>();
  #closing = false;
  #path: string | undefined;

  constructor(options: VisitorServerOptions) {
    const { onArrival } = options;
    const onRequest = (incoming: IncomingMessage, outgoing: ServerResponse): void => {
      // Behind an answer that closes the connection nothing more is taken: where that request ended is not sure.
      if (this.#newest.get(incoming.socket)?.isLast) return;
      const arrival: Arrival = { incoming, outgoing, upgrade: undefined };
      this.#newest.set(incoming.socket, arrival);
      this.#due.add(outgoing);
      outgoing.on("close", () => this.#due.delete(outgoing));
      if (this.#closing) outgoing.shouldKeepAlive = false;
      onArrival(arrival);
    };
    this.#server = http.createServer({
      maxHeaderSize: options.headBytesMax + PARSER_SLACK_BYTES,
      headersTimeout: options.headTimeoutMs,
      // Bodies may take as long as they like: an upload is bounded by credit, not by time.
      requestTimeout: 0,
      keepAliveTimeout: options.keepAliveTimeoutMs,
      connectionsCheckingInterval: TIMEOUT_CHECK_MS,
    }, onRequest);
    // One more than are taken: what is over the limit must be seen to be refused.
    this.#server.maxHeadersCount = REQUEST_FIELDS_MAX + 1;
    this.#server.maxConnections = options.connectionsMax;
    this.#server.on("drop", () => options.onRefused?.());
    // The target decides whether it wants the body; its 100 is passed on.
    this.#server.on("checkContinue", onRequest);
    this.#server.on("checkExpectation", onRequest);
    this.#server.on("clientError", (error: NodeJS.ErrnoException, socket: Socket) => {
      if (this.#newest.get(socket)?.isLast) socket.end();
      else if (this.#mayRefuse(socket)) refuseUnreadable(error, socket);
      else socket.resetAndDestroy();
    });
    this.#server.on("connect", (_incoming: IncomingMessage, socket: Socket) => {
      socket.on("error", () => socket.destroy());
      if (!answered(this.#newest.get(socket))) return void socket.resetAndDestroy();
      socket.end(plainAnswer(405, "Method Not Allowed"));
    });
    this.#server.on("upgrade", (incoming: IncomingMessage, socket: Socket, early: Buffer) => {
      // Without a listener one reset of a stranger would end the process.
      socket.on("error", () => socket.destroy());
      // Pipelined behind a request whose answer is due: what is spliced would land inside of that answer.
      const newest = this.#newest.get(socket);
      if (newest?.isLast || !answered(newest)) return void socket.resetAndDestroy();
      this.#upgraded.add(socket);
      socket.on("close", () => this.#upgraded.delete(socket));
      const untrack = (): void => void this.#upgraded.delete(socket);
      onArrival({ incoming, outgoing: undefined, upgrade: { socket, early, untrack } });
    });
  }

  /** Open connections that were upgraded: links and WebSockets. */
  get upgradedCount(): number {
    return this.#upgraded.size;
  }

  /**
   * Listens.
   *
   * @returns The address as `HOST:PORT` or `unix:PATH`, with the port that was picked.
   * @throws {ListenFault} With what to do.
   */
  async listen(at: ListenAt): Promise<string> {
    if ("path" in at) await removeStale(at.path);
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", (error: NodeJS.ErrnoException) => reject(listenFault(at, error)));
      if ("path" in at) this.#server.listen(at.path, resolve);
      else this.#server.listen(at.port, at.host, resolve);
    });
    this.#server.on("error", () => {
      // An accept that failed, for want of file descriptors: the next one may do.
    });
    if ("path" in at) {
      this.#path = at.path;
      // Whoever may open the socket may try a token; containers often run as another user of the same group.
      chmodSync(at.path, 0o660);
      return `unix:${at.path}`;
    }
    const address = this.#server.address() as net.AddressInfo;
    return `${address.family === "IPv6" ? `[${address.address}]` : address.address}:${address.port}`;
  }

  /** Takes no new connections, closes idle ones, and waits for the rest; cuts off what is left after the grace. */
  async close(graceMs: number): Promise<void> {
    await this.finish(graceMs);
    this.cut();
  }

  /** Takes no new connections and settles when nothing is due to any visitor, or after the grace. */
  finish(graceMs: number): Promise<void> {
    this.#closing = true;
    this.#server.close();
    // Who keeps a connection and asks on it is told to make another, by every answer from here on.
    for (const outgoing of this.#due) outgoing.shouldKeepAlive = false;
    const endMs = performance.now() + graceMs;
    return new Promise((resolve) => {
      // Not before the first turn of it: a request that is on its way is still answered.
      const poll = setInterval(() => {
        this.#server.closeIdleConnections();
        if (this.#due.size + this.#upgraded.size > 0 && performance.now() < endMs) return;
        clearInterval(poll);
        resolve();
      }, FINISH_POLL_MS);
    });
  }

  /** Ends every connection that is left. */
  cut(): void {
    for (const socket of this.#upgraded) socket.destroy();
    this.#server.closeAllConnections();
    if (this.#path !== undefined) rmSync(this.#path, { force: true });
  }

  /** Whether what the parser refuses can be answered: nothing else is due or half written on the connection. */
  #mayRefuse(socket: Socket): boolean {
    const newest = this.#newest.get(socket);
    if (newest === undefined) return true;
    const { incoming, outgoing } = newest;
    if (incoming.complete) return answered(newest);
    // Its own body is broken: it gets the answer, if it is its turn and it has got none.
    return outgoing!.socket === socket && !outgoing!.headersSent;
  }
}

/** True when the answer, and so every one before it, has been handed to the connection whole. */
function answered(arrival: Arrival | undefined): boolean {
  if (arrival === undefined) return true;
  const outgoing = arrival.outgoing!;
  return outgoing.writableFinished || outgoing.writableEnded && outgoing.socket !== null;
}

/** What the parser refuses never becomes a request: the answer is written by hand. */
function refuseUnreadable(error: NodeJS.ErrnoException, socket: Socket): void {
  if (!socket.writable || error.code === "ECONNRESET") return void socket.destroy();
  socket.on("error", () => socket.destroy());
  if (error.code === "HPE_HEADER_OVERFLOW") socket.end(plainAnswer(431, "Request Header Fields Too Large"));
  else if (error.code === "ERR_HTTP_REQUEST_TIMEOUT") socket.end(plainAnswer(408, "Request Timeout"));
  else socket.end(plainAnswer(400, "Bad Request"));
}

function plainAnswer(status: number, reason: string): Buffer {
  const body = `${reason}\n`;
  const fields = ["Content-Type", "text/plain", "Content-Length", String(body.length), "Connection", "close"];
  return Buffer.from(formatHead({ status, reason, fields }) + body, "latin1");
}

/**
 * Removes a socket file that nobody listens on any more: it is left over from a process that was killed.
 *
 * @throws {ListenFault} Another process listens there, or it is no socket.
 */
export async function removeStale(path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  // Dialling any other file is refused like dialling a stale socket, and that file is somebody's.
  if (!found.isSocket()) {
    throw new ListenFault(`Cannot listen on unix:${path}: it is there and is no socket, choose another path`);
  }
  const inUse = await new Promise<boolean>((resolve) => {
    const probe = net.connect(path);
    probe.on("connect", () => resolve(true));
    probe.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "ECONNREFUSED") rmSync(path, { force: true });
      resolve(false);
    });
    probe.on("connect", () => probe.destroy());
  });
  if (inUse) {
    throw new ListenFault(
      `Cannot listen on unix:${path}: another process does, stop it or choose another path`,
    );
  }
}

/** Why listening failed, in words that say what to do. */
export function listenFault(at: ListenAt, error: NodeJS.ErrnoException): ListenFault {
  if (error instanceof ListenFault) return error;
  const where = "path" in at ? `unix:${at.path}` : `${at.host}:${at.port}`;
  const reasons = "path" in at
    ? PATH_REASONS
    : at.port > 0 && at.port < 1024
    ? LOW_PORT_REASONS
    : PORT_REASONS;
  const code = error.code ?? (error.message.startsWith("Failed to listen") ? SILENT : "unknown");
  const reason = reasons[code] ?? error.message;
  return new ListenFault(`Cannot listen on ${where}: ${reason}`, { cause: error });
}

const ALLOW = "allow it in the seccomp profile, the sandbox or the seal of this process";

/** Stands for no code at all: so Bun tells that the kernel denied it the socket itself. */
const SILENT = "";

const PORT_REASONS: Readonly<Record<string, string>> = {
  EADDRINUSE: "the port is taken, stop the process that has it or choose another port",
  EACCES: `it is forbidden here (EACCES), ${ALLOW}`,
  EPERM: `it is forbidden here (EPERM), ${ALLOW}`,
  [SILENT]: `it is forbidden here, ${ALLOW}`,
  EADDRNOTAVAIL: "the address is not one of this machine, 0.0.0.0 means all of them",
  // Deno says so for the same.
  EINVAL: "the address is not one of this machine, 0.0.0.0 means all of them",
  ENOTFOUND: "the name has no address",
};

const LOW_PORT_REASONS: Readonly<Record<string, string>> = {
  ...PORT_REASONS,
  EACCES: "it is forbidden, choose a port over 1023 or run with CAP_NET_BIND_SERVICE",
};

/** A unix socket has a path and no port. */
const PATH_REASONS: Readonly<Record<string, string>> = {
  EADDRINUSE: "something else is there, stop the process that has it or choose another path",
  EACCES:
    "it is forbidden here (EACCES), let this user write to the folder, and allow it in the sandbox or seal",
  EPERM: `it is forbidden here (EPERM), ${ALLOW}`,
  [SILENT]: `it is forbidden here, ${ALLOW}`,
  EROFS: "the file system is read-only, choose a path on another one",
  // The kernel holds 107 bytes.
  EINVAL: "the path is too long for a socket, choose one of at most 107 bytes",
  ENAMETOOLONG: "the path is too long for a socket, choose one of at most 107 bytes",
  ENOENT: "the directory does not exist, create it",
  ENOTDIR: "a part of the path is no directory, choose another path",
};
