/**
 * The agent's side of a handshake: from the address of a gateway to an open link, or a sentence that says why not.
 *
 * The socket is opened here step by step (network or unix socket, proxy, TLS) and handed to HTTP ready, so every
 * address takes the same road and each step has a message of its own. The token travels in the `Authorization`
 * header of the handshake and nowhere else; redirects are not followed, as it would travel along.
 *
 * Source: RFC 6455 §4.1, RFC 6750 §2.1, RFC 9457.
 *
 * @module
 */

import { randomBytes } from "node:crypto";
import { request } from "node:http";
import { connect as connectNet, isIP, type Socket } from "node:net";
import { clearTimeout, setTimeout } from "node:timers";
import { connect as connectTls } from "node:tls";
import { isUpgradeAnswer, upgradeHeaders } from "./handshake.ts";
import { type Link, LinkError } from "./link.ts";
import {
  authority,
  connectThroughProxy,
  type Environment,
  isLoopback,
  type ProxyAddress,
  proxyFor,
  proxyVariable,
} from "./proxy.ts";
import { readRefusal } from "./refusal.ts";
import { printable, wrapWebSocket } from "./websocket.ts";

/** Where a gateway is. `host` is a name or an address, IPv6 without brackets; `path` and `route` begin with `/`. */
export type GatewayAddress =
  | {
    readonly kind: "tcp";
    readonly secure: boolean;
    readonly host: string;
    readonly port: number;
    readonly path: string;
  }
  | { readonly kind: "unix"; readonly path: string; readonly route: string };

export interface DialOptions {
  readonly gateway: GatewayAddress;
  /** A secret. */
  readonly token: string;
  /** PEM. `ca` stands in for the authorities the runtime knows; `cert` and `key` are for gateways that ask. */
  readonly tls?: { readonly ca?: string; readonly cert?: string; readonly key?: string };
  /** Where the proxy variables are read. @default none: connect directly */
  readonly env?: Environment;
  /** From the first packet to the link, in milliseconds. @default {10_000} */
  readonly handshakeTimeoutMs?: number;
  /** More request headers. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Gives up; the dial then rejects with a LinkError that is not permanent. */
  readonly signal?: AbortSignal;
}

/** Of foreign text in a message. */
const DETAIL_CHARS_MAX = 300;

const NO_TLS = "it speaks no TLS: use ws://, or the port that serves TLS";

/** The causes people meet, each with what to do. */
const CURES: Readonly<Record<string, string>> = {
  ECONNREFUSED: "nothing listens there (ECONNREFUSED): is the gateway running, and is the port right",
  ENOENT: "there is no such socket file (ENOENT): is the gateway running, and is the socket mounted",
  EACCES: "this user may not open the socket (EACCES): check the permissions of the file",
  ENOTFOUND: "there is no such host name (ENOTFOUND): check the URL and the name servers",
  EAI_AGAIN: "the name servers do not answer (EAI_AGAIN)",
  CERT_HAS_EXPIRED: "its certificate has expired (CERT_HAS_EXPIRED)",
  ERR_SSL_WRONG_VERSION_NUMBER: NO_TLS,
  ERR_SSL_PACKET_LENGTH_TOO_LONG: NO_TLS,
  ERR_SSL_HTTP_REQUEST: NO_TLS,
  ERR_TLS_CERT_ALTNAME_INVALID: "its certificate is for another name (ERR_TLS_CERT_ALTNAME_INVALID)",
};

/**
 * Opens a link to a gateway.
 *
 * @throws {LinkError} `permanent` when the token is refused (401 or 403 with one of `PERMANENT_CODES`), the version
 *   is (426), or the options cannot work. Not permanent: everything that time may heal, a missing gateway
 *   (404) and an untrusted certificate among it. A refusal in HTTP is a `LinkRefusedError`.
 */
export async function dialLink(options: DialOptions): Promise<Link> {
  const { gateway, token, handshakeTimeoutMs = 10_000 } = options;
  if (!/^[\x21-\x7e]+$/.test(token)) {
    throw new LinkError("Cannot use the token: it is empty or holds characters that no token has", true);
  }
  const where = formatGateway(gateway);
  const limit = new AbortController();
  const timer = setTimeout(() => {
    limit.abort(
      new LinkError(`Cannot reach the gateway at ${where}: no answer within ${handshakeTimeoutMs} ms`, false),
    );
  }, handshakeTimeoutMs);
  const onAbort = (): void => {
    limit.abort(new LinkError(`Cannot reach the gateway at ${where}: the attempt was given up`, false));
  };
  options.signal?.addEventListener("abort", onAbort, { once: true });
  if (options.signal?.aborted) onAbort();
  try {
    limit.signal.throwIfAborted();
    const socket = await openSocket(options, where, limit.signal);
    return await shakeHands(options, socket, where, limit.signal);
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener("abort", onAbort);
  }
}

/** For logs and messages: `wss://example.com/path` or `unix:/run/netwall.sock`. */
export function formatGateway(gateway: GatewayAddress): string {
  if (gateway.kind === "unix") return `unix:${gateway.path}`;
  return `${gateway.secure ? "wss" : "ws"}://${hostHeader(gateway)}${gateway.path}`;
}

function hostHeader(gateway: GatewayAddress): string {
  if (gateway.kind === "unix") return "localhost";
  const { secure, host, port } = gateway;
  const full = authority({ host, port });
  return port === (secure ? 443 : 80) ? full.slice(0, full.lastIndexOf(":")) : full;
}

/** A socket over which HTTP can be spoken to the gateway at once. */
async function openSocket(options: DialOptions, where: string, signal: AbortSignal): Promise<Socket> {
  const { gateway } = options;
  if (gateway.kind === "unix") {
    return await opened(connectNet({ path: gateway.path }), "connect", where, signal);
  }
  const { host, port, secure } = gateway;
  const proxy = proxyFor(secure, { host, port }, options.env ?? {});
  const socket = proxy === undefined
    ? await opened(connectNet({ host, port }), "connect", where, signal)
    : await throughProxy(proxy, { host, port, secure }, options.env ?? {}, signal);
  if (!secure) return socket;
  const tls = connectTls({
    ...options.tls,
    socket,
    host,
    // RFC 6066 §3: a server name is never an address.
    ...(isIP(host) === 0 ? { servername: host } : {}),
    ALPNProtocols: ["http/1.1"],
  });
  return await opened(tls, "secureConnect", where, signal);
}

/** Connects through the proxy; a failure says who named it, as many do not know that their environment does. */
async function throughProxy(
  proxy: ProxyAddress,
  { host, port, secure }: { readonly host: string; readonly port: number; readonly secure: boolean },
  env: Environment,
  signal: AbortSignal,
): Promise<Socket> {
  try {
    return await connectThroughProxy(proxy, { host, port }, signal);
  } catch (error) {
    if (signal.aborted || !(error instanceof LinkError)) throw error;
    const name = proxyVariable(secure, env);
    const whence = `the proxy comes from ${name}, and no_proxy=${host} excepts this host`;
    throw new LinkError(`${error.message}; ${whence}`, error.permanent, { cause: error });
  }
}

/** Waits until the socket is usable, or fails with a sentence; the socket is destroyed then. */
function opened(socket: Socket, event: string, where: string, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void => {
      stop();
      socket.destroy();
      reject(error);
    };
    const onError = (error: Error): void => {
      fail(new LinkError(`Cannot reach the gateway at ${where}: ${explain(error)}`, false, { cause: error }));
    };
    const onClose = (): void => onError(new Error("the connection was closed"));
    const onAbort = (): void => fail(signal.reason as Error);
    const onOpen = (): void => {
      stop();
      resolve(socket);
    };
    const stop = (): void => {
      socket.off("error", onError).off("close", onClose).off(event, onOpen);
      signal.removeEventListener("abort", onAbort);
      // Errors between here and the next owner must not end the process.
      socket.on("error", () => {});
    };
    socket.on("error", onError).on("close", onClose).on(event, onOpen);
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) onAbort();
  });
}

function explain(error: Error): string {
  // Several addresses of one name: each failed, and the first says enough.
  const first = error instanceof AggregateError ? error.errors[0] as Error : error;
  const code = (first as NodeJS.ErrnoException).code ?? "";
  const cure = CURES[code];
  if (cure !== undefined) return cure;
  // An alert is what the other side says of this one: RFC 8446 §6.2, and older names for the same.
  if (/ALERT.*CERTIFICATE/.test(code)) return `it wants another client certificate (${code})`;
  if (/CERT|SIGNATURE|ISSUER/.test(code)) {
    return `its certificate is not trusted (${code}): give the certificate of its authority as CA file`;
  }
  const text = printable(first.message).slice(0, DETAIL_CHARS_MAX);
  return code === "" || text.includes(code) ? text : `${text} (${code})`;
}

/** The WebSocket handshake over an open socket. */
function shakeHands(options: DialOptions, socket: Socket, where: string, signal: AbortSignal): Promise<Link> {
  const { gateway } = options;
  const route = gateway.kind === "unix" ? gateway.route : gateway.path;
  const key = randomBytes(16).toString("base64");
  return new Promise((resolve, reject) => {
    const asked = request({
      path: route,
      setHost: false,
      headers: {
        ...options.headers,
        Host: hostHeader(gateway),
        Authorization: `Bearer ${options.token}`,
        ...upgradeHeaders(key),
      },
      // Without `agent`: Bun would dial by itself even for `agent: false`.
      createConnection: () => socket,
    });
    const fail = (error: Error): void => {
      signal.removeEventListener("abort", onAbort);
      asked.on("error", () => {});
      asked.destroy();
      socket.destroy();
      reject(error);
    };
    const onAbort = (): void => fail(signal.reason as Error);
    signal.addEventListener("abort", onAbort, { once: true });
    const failWith = (state: string, cause?: Error): void => {
      fail(new LinkError(`No netwall gateway answers at ${where}: ${state}`, false, { cause }));
    };
    asked.on("error", (error) => failWith(explain(error), error));
    asked.on("close", () => failWith("the connection was closed during the handshake"));
    asked.on("response", (response) => {
      // An answer without a body closes before it is read: it says more than that.
      asked.removeAllListeners("close");
      readRefusal(response, where).then(fail);
    });
    asked.on("upgrade", (response, upgraded, head) => {
      if (!isUpgradeAnswer(response.headers, key)) return failWith("it is another WebSocket server");
      signal.removeEventListener("abort", onAbort);
      asked.removeAllListeners();
      // Errors of the request are those of the socket now, and the link listens to it.
      asked.on("error", () => {});
      const masking = isPrivate(gateway) ? "zero" : "random";
      resolve(wrapWebSocket(upgraded, head, { peer: where, masking }));
    });
    asked.end();
  });
}

/**
 * True where nothing between the ends can read the bytes. Masks protect what is between from bytes an attacker
 * chose (RFC 6455 §10.3); here there is nothing to protect, and a mask of zeros is no work.
 */
function isPrivate(gateway: GatewayAddress): boolean {
  return gateway.kind === "unix" || gateway.secure || isLoopback(gateway.host);
}
