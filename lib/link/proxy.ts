/**
 * The way out through an HTTP proxy: which proxy the environment names for a gateway, and a CONNECT through it.
 *
 * Never for loopback or unix sockets. The password of a proxy is sent to that proxy and nowhere else: no message
 * here holds it.
 *
 * Source: RFC 9110 §9.3.6 (CONNECT), RFC 7617 (Basic). The variables have no standard; this follows curl.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { connect, isIP, type Socket } from "node:net";
import ipaddr from "ipaddr.js";
import { LinkError } from "./link.ts";

/** Names to values, as `process.env`. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** A proxy to go through. */
export interface ProxyAddress {
  readonly host: string;
  readonly port: number;
  /** The value of `Proxy-Authorization`. A secret. */
  readonly authorization?: string;
}

/** What is behind the proxy. */
export interface ProxyTarget {
  /** Name or address, IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
}

/** A proxy says yes in a few hundred bytes; more than this is no answer to CONNECT. */
export const PROXY_HEAD_BYTES_MAX = 16 << 10;

/** `NO_PROXY` beyond this many entries is refused rather than walked on every dial. */
const NO_PROXY_ENTRIES_MAX = 1_000;

/**
 * True for `localhost` and addresses that never leave the machine.
 *
 * @param host Name or address, IPv6 without brackets.
 */
export function isLoopback(host: string): boolean {
  const name = host.toLowerCase();
  if (name === "localhost" || name.endsWith(".localhost")) return true;
  if (isIP(name) === 0) return false;
  return ipaddr.process(name).range() === "loopback";
}

/**
 * The proxy that the environment names for a gateway, or undefined to connect directly.
 *
 * `https_proxy` serves `wss:`, `http_proxy` serves `ws:`, `all_proxy` both; lower case wins over upper case, and an
 * empty value means none. `no_proxy` lists exceptions: `*`, names (with all names below them), addresses, CIDR
 * ranges, each with an optional port.
 *
 * @throws {LinkError} Permanent, when the value is no `http://` address or `no_proxy` is far too long.
 */
export function proxyFor(secure: boolean, target: ProxyTarget, env: Environment): ProxyAddress | undefined {
  if (isLoopback(target.host)) return undefined;
  const value = env[proxyVariable(secure, env)] ?? "";
  if (value.trim() === "" || isExcepted(target, env["no_proxy"] ?? env["NO_PROXY"] ?? "")) return undefined;
  return parseProxy(value.trim());
}

/** The variable that names the proxy, as it is written in the environment; one that is not set when none does. */
export function proxyVariable(secure: boolean, env: Environment): string {
  const name = secure ? "https_proxy" : "http_proxy";
  const names = [name, name.toUpperCase(), "all_proxy", "ALL_PROXY"];
  return names.find((each) => env[each] !== undefined) ?? name;
}

/**
 * Opens a connection to `target` through `proxy`. The socket flows: who gets it listens
 * at once. Nothing is lost, as the target speaks second in TLS and in HTTP.
 *
 * @param signal Ends the attempt, and then rejects with its reason. There is no other time limit.
 * @throws {LinkError} Not permanent: the proxy is away, says no, or answers what is no answer to CONNECT.
 */
export async function connectThroughProxy(
  proxy: ProxyAddress,
  target: ProxyTarget,
  signal: AbortSignal,
): Promise<Socket> {
  const socket = connect({ host: proxy.host, port: proxy.port });
  const abort = (): void => void socket.destroy();
  signal.addEventListener("abort", abort, { once: true });
  const where = `the proxy at ${authority(proxy)}`;
  try {
    const authorityOfTarget = authority(target);
    const lines = [`CONNECT ${authorityOfTarget} HTTP/1.1`, `Host: ${authorityOfTarget}`];
    if (proxy.authorization !== undefined) lines.push(`Proxy-Authorization: ${proxy.authorization}`);
    socket.once("connect", () => socket.write(`${lines.join("\r\n")}\r\n\r\n`));
    checkAnswer(await readHead(socket, where), where, authorityOfTarget);
    return socket;
  } catch (error) {
    socket.destroy();
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

/** `host:port`, with brackets where they are needed. */
export function authority(target: ProxyTarget): string {
  return `${target.host.includes(":") ? `[${target.host}]` : target.host}:${target.port}`;
}

function parseProxy(value: string): ProxyAddress {
  const text = /^[a-z][a-z0-9+.-]*:\/\//i.test(value) ? value : `http://${value}`;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || url.protocol !== "http:" || url.hostname === "") {
    // The value is not repeated: it may hold a password.
    const scheme = url === undefined ? "no address" : `a ${url.protocol} address`;
    throw new LinkError(
      `Cannot use the proxy of the environment: it is ${scheme}, give http://HOST:PORT in HTTPS_PROXY, or list the ` +
        "gateway in NO_PROXY",
      true,
    );
  }
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
  const port = url.port === "" ? 80 : Number(url.port);
  if (url.username === "" && url.password === "") return { host, port };
  const credentials = `${decode(url.username)}:${decode(url.password)}`;
  return { host, port, authorization: `Basic ${Buffer.from(credentials, "utf8").toString("base64")}` };
}

/** A stray `%` in a password is that character, not a fault. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function isExcepted(target: ProxyTarget, list: string): boolean {
  const entries = list.split(/[\s,]+/, NO_PROXY_ENTRIES_MAX + 1).filter((entry) => entry !== "");
  if (entries.length > NO_PROXY_ENTRIES_MAX) {
    throw new LinkError(`Cannot use NO_PROXY: it has over ${NO_PROXY_ENTRIES_MAX} entries`, true);
  }
  return entries.some((entry) => matchesException(target, entry.toLowerCase()));
}

function matchesException(target: ProxyTarget, entry: string): boolean {
  if (entry === "*") return true;
  const host = target.host.toLowerCase().replace(/\.$/, "");
  const [, bracketed, plain, port] = /^(?:\[([^\]]*)\]|([^:]*))(?::(\d+))?$/.exec(entry) ?? [];
  // An IPv6 address without brackets has colons and no port.
  const pattern = bracketed ?? plain ?? entry;
  if (port !== undefined && Number(port) !== target.port) return false;
  if (isIP(host) !== 0) return matchesAddress(host, pattern);
  const suffix = pattern.replace(/^\*?\./, "");
  return suffix !== "" && (host === suffix || host.endsWith(`.${suffix}`));
}

function matchesAddress(host: string, pattern: string): boolean {
  const address = ipaddr.process(host);
  if (ipaddr.isValidCIDR(pattern)) {
    const [range, bits] = ipaddr.parseCIDR(pattern);
    return range.kind() === address.kind() && address.match(range, bits);
  }
  return isIP(pattern) !== 0 && ipaddr.process(pattern).toString() === address.toString();
}

/** Reads up to the empty line. What follows it would be bytes the proxy made up: the target has not spoken yet. */
function readHead(socket: Socket, where: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let head = Buffer.alloc(0);
    const fail = (state: string, cause?: Error): void => {
      stop();
      reject(new LinkError(`Cannot connect through ${where}: ${state}`, false, { cause }));
    };
    const onData = (chunk: Buffer): void => {
      head = Buffer.concat([head, chunk]);
      const end = head.indexOf("\r\n\r\n");
      if (end === -1 && head.length <= PROXY_HEAD_BYTES_MAX) return;
      if (end === -1 || end > PROXY_HEAD_BYTES_MAX) return fail("its answer is too long");
      if (end + 4 < head.length) return fail("it sent more than an answer");
      stop();
      resolve(head.toString("latin1"));
    };
    const onError = (error: Error): void =>
      fail((error as NodeJS.ErrnoException).code ?? error.message, error);
    const onClose = (): void => fail("it closed the connection without an answer");
    const stop = (): void => {
      socket.off("data", onData).off("error", onError).off("close", onClose).off("end", onClose);
      // A late error must not end the process; who takes the socket over listens for itself.
      socket.on("error", () => {});
    };
    socket.on("data", onData).on("error", onError).on("close", onClose).on("end", onClose);
  });
}

function checkAnswer(head: string, where: string, target: string): void {
  const status = Number(/^HTTP\/1\.[01] (\d{3})(?: |\r\n)/.exec(head)?.[1] ?? NaN);
  if (status >= 200 && status < 300) return;
  let state = `it refused to connect to ${target} (status ${status})`;
  if (Number.isNaN(status)) state = "it does not answer as an HTTP proxy";
  if (status === 407) state = "it wants another user name or password (status 407): check HTTPS_PROXY";
  throw new LinkError(`Cannot connect through ${where}: ${state}`, false);
}
