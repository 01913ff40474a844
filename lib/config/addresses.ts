/**
 * The addresses an agent dials, as people write them: gateways and targets.
 *
 * An address never holds a secret: user names, passwords and queries are refused, because addresses end up in
 * logs, process lists and shell histories. For the same reason no message repeats an address that has one.
 *
 * Source: RFC 3986 §3.2, WHATWG URL, unix(7).
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { isIPv6 } from "node:net";
import type { z } from "zod";
import { quoted } from "../printable.ts";
import { parseServiceName } from "../service_name.ts";
import { leaf, ValueError, type Written } from "./units.ts";

/** Where a gateway takes links when the URL has no path. */
export const LINK_PATH = "/.netwall/link";
/** The longest path of a unix socket: `sun_path` has 108 bytes, with a zero at the end. */
export const UNIX_PATH_BYTES_MAX = 107;
/** The longest address. */
export const ADDRESS_CHARS_MAX = 2048;

/** A unix socket. */
export interface UnixAddress {
  readonly kind: "unix";
  readonly path: string;
}

/** A gateway that an agent dials. */
export type GatewayAddress = UnixAddress | {
  readonly kind: "websocket";
  /** True for `wss:`. */
  readonly secure: boolean;
  /** A name or an address; IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
  /** The whole URL, with its path. */
  readonly url: string;
};

/** What stands behind a service: HTTP on a unix socket or a port, or raw connections (`tcp`, `unix+tcp`). */
export type Target = UnixAddress | { readonly kind: "unix+tcp"; readonly path: string } | {
  readonly kind: "http" | "tcp";
  /** True for `https:` and `tls:`. */
  readonly secure: boolean;
  /** A name or an address; IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
};

/** Whether a target takes raw connections, of any protocol, and not HTTP requests. */
export function isRawTarget(target: Target): boolean {
  return target.kind === "tcp" || target.kind === "unix+tcp";
}

/** A published service and its target. */
export interface ServiceTarget {
  readonly service: string;
  readonly target: Target;
}

const GATEWAY_FORMS = "wss://HOST, ws://HOST:PORT or unix:PATH";
const TARGET_FORMS =
  "http://HOST:PORT, https://HOST:PORT, tcp://HOST:PORT, tls://HOST:PORT, unix:PATH or unix+tcp:PATH";

/**
 * Reads the path of `unix:PATH`.
 *
 * @param scheme What stands before the path, for the messages.
 * @throws {ValueError} Empty, too long for a socket, with a zero byte, or written like a URL.
 */
export function parseUnixAddress(text: string, scheme: "unix" | "unix+tcp" = "unix"): UnixAddress {
  const path = text.slice(scheme.length + 1);
  if (path === "") {
    throw new ValueError(`${scheme}: names no path: write ${scheme}:/run/netwall/gateway.sock`);
  }
  if (path.startsWith("//")) {
    const meant = `${scheme}:/${path.replace(/^\/+/, "")}`;
    throw new ValueError(`${quoted(text)} has two slashes too many: write ${meant}`);
  }
  if (path.includes("\0")) throw new ValueError(`path ${quoted(path)} holds a zero byte: remove it`);
  if (Buffer.byteLength(path) > UNIX_PATH_BYTES_MAX) {
    throw new ValueError(
      `socket path ${
        quoted(path)
      } is too long: at most ${UNIX_PATH_BYTES_MAX} bytes, such as /run/netwall.sock`,
    );
  }
  return { kind: "unix", path };
}

/**
 * Reads the address of a gateway. No path, or `/`, means `LINK_PATH`.
 *
 * @throws {ValueError} Another scheme, a user name, a password, a query, a fragment, or no host.
 */
export function parseGatewayAddress(text: string): GatewayAddress {
  if (text.startsWith("unix:")) return parseUnixAddress(text);
  const url = parseUrl(text, "gateway", GATEWAY_FORMS);
  if (url.protocol === "http:" || url.protocol === "https:") {
    const scheme = url.protocol === "http:" ? "ws" : "wss";
    throw new ValueError(`gateway begins with ${url.protocol.slice(0, -1)}: write ${scheme}://${url.host}`);
  }
  if (url.protocol !== "wss:" && url.protocol !== "ws:") {
    throw new ValueError(`gateway ${quoted(text)} is none that can be dialled: write ${GATEWAY_FORMS}`);
  }
  if (url.pathname === "" || url.pathname === "/") url.pathname = LINK_PATH;
  const secure = url.protocol === "wss:";
  const host = bareHost(url);
  return { kind: "websocket", secure, host, port: portOf(url, secure), url: url.href };
}

/**
 * Reads the address of a target.
 *
 * @throws {ValueError} Another scheme, or more than an address: a path, a query, a user name.
 */
export function parseTarget(text: string): Target {
  if (text.startsWith("unix:")) return parseUnixAddress(text);
  if (text.startsWith("unix+tcp:")) {
    return { kind: "unix+tcp", path: parseUnixAddress(text, "unix+tcp").path };
  }
  if (/^\d+$/.test(text)) {
    throw new ValueError(`target ${quoted(text)} is a port alone: write http://localhost:${text}`);
  }
  if (!text.includes("://") && /^[\w.-]+(:\d+)?$/.test(text)) {
    throw new ValueError(`target ${quoted(text)} has no scheme: write http://${text}`);
  }
  const url = parseUrl(text, "target", TARGET_FORMS);
  const scheme = SCHEMES[url.protocol];
  if (scheme === undefined) {
    throw new ValueError(`target ${quoted(text)} is none of ${TARGET_FORMS}: write one of these`);
  }
  if (url.pathname !== "/" && url.pathname !== "") {
    throw new ValueError(
      `a target is an address, paths pass through unchanged: write ${url.protocol}//${url.host}`,
    );
  }
  if (scheme.kind === "tcp" && url.port === "") {
    throw new ValueError(`target ${quoted(text)} has no port: write ${url.protocol}//${url.host}:5432`);
  }
  return { ...scheme, host: hostOf(url), port: portOf(url, scheme.secure) };
}

/**
 * Reads `SERVICE=TARGET`.
 *
 * @throws {ValueError} No `=`, or no target behind it.
 * @throws {ServiceNameError} No service name before it.
 */
export function parseServiceTarget(text: string): ServiceTarget {
  const at = text.indexOf("=");
  if (at < 0) {
    const cure = "write SERVICE=TARGET, such as web=http://localhost:3000";
    // A URL may hold a password, and this one has not been looked at yet.
    throw new ValueError(
      text.includes("@") ? `no service is named: ${cure}` : `${quoted(text)} has no "=": ${cure}`,
    );
  }
  return { service: parseServiceName(text.slice(0, at)), target: parseTarget(text.slice(at + 1)) };
}

/** A target as it would be written, for logs. */
export function formatTarget(target: Target): string {
  if (target.kind === "unix" || target.kind === "unix+tcp") return `${target.kind}:${target.path}`;
  const host = target.host.includes(":") ? `[${target.host}]` : target.host;
  const [plain, secure] = target.kind === "http" ? ["http", "https"] : ["tcp", "tls"];
  return `${target.secure ? secure : plain}://${host}:${target.port}`;
}

/** A gateway that an agent dials. */
export function gatewayAddress(): z.ZodType<GatewayAddress, Written> {
  return leaf("URL", parseGatewayAddress);
}

/** What stands behind a service. */
export function target(): z.ZodType<Target, Written> {
  return leaf("TARGET", parseTarget);
}

/** A published service and its target. */
export function serviceTarget(): z.ZodType<ServiceTarget, Written> {
  return leaf("SERVICE=TARGET", parseServiceTarget);
}

/** A URL that is nothing but an address. What could be a secret is refused first, and never repeated. */
function parseUrl(text: string, noun: string, forms: string): URL {
  // The authority ends at the first slash; an "@" before it is a user name, even where the rest is no URL.
  const authority = /^[a-z][a-z0-9+.-]*:\/*([^/?#\\]*)/i.exec(text)?.[1] ?? text;
  if (authority.includes("@")) {
    throw new ValueError(
      `${noun} has a user name or password in its address: leave out what is before the "@"`,
    );
  }
  if (text.includes("?") || text.includes("#")) {
    const cure = noun === "gateway" ? "use --token-file or NETWALL_TOKEN for a token" : "leave it out";
    throw new ValueError(`${noun} has a query or fragment in its address, which logs would show: ${cure}`);
  }
  if (text.length > ADDRESS_CHARS_MAX) {
    throw new ValueError(`${noun} is too long: at most ${ADDRESS_CHARS_MAX} characters, such as ${forms}`);
  }
  // URL would drop blanks, control characters and backslashes silently: two readers could differ.
  // deno-lint-ignore no-control-regex
  const url = /[\s\\\u0000-\u001f\u007f]/.test(text) || !text.includes("://") ? null : URL.parse(text);
  if (url === null) throw new ValueError(`${noun} ${quoted(text)} is no valid address: write ${forms}`);
  if (url.hostname === "") throw new ValueError(`${noun} ${quoted(text)} names no host: write ${forms}`);
  if (url.port === "0") {
    throw new ValueError(`${noun} ${quoted(text)} has port 0: write a real one, as in ${forms}`);
  }
  return url;
}

const SCHEMES: Readonly<Record<string, { kind: "http" | "tcp"; secure: boolean } | undefined>> = {
  "http:": { kind: "http", secure: false },
  "https:": { kind: "http", secure: true },
  "tcp:": { kind: "tcp", secure: false },
  "tls:": { kind: "tcp", secure: true },
};

/** Of a scheme that is not one of the web's the parser takes the host as it stands: it is read again as one that is. */
function hostOf(url: URL): string {
  if (url.protocol === "http:" || url.protocol === "https:") return bareHost(url);
  const web = URL.parse(`http://${url.host}/`);
  if (web === null) {
    throw new ValueError(`target ${quoted(url.href)} names no valid host: write tcp://HOST:PORT`);
  }
  return bareHost(web);
}

function bareHost(url: URL): string {
  const bare = url.hostname.replace(/^\[|\]$/g, "");
  return isIPv6(bare) ? bare : url.hostname;
}

function portOf(url: URL, secure: boolean): number {
  if (url.port !== "") return Number(url.port);
  return secure ? 443 : 80;
}
