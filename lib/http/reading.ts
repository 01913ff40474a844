/**
 * The one reading of a visitor's request: host, path, fields and framing, checked once and used by everything after.
 *
 * What two programs could read in two ways is refused here, before any rule looks at it. What is only odd passes
 * unchanged. Source: RFC 9110 §7, RFC 9112 §3 and §6.
 *
 * @module
 */
import { withoutSessionCookie } from "../session_cookie.ts";
import { isRequestTarget, isToken, readFraming } from "./fields.ts";

/** A request that may go on. */
export interface RequestReading {
  method: string;
  /** The target as it is forwarded: origin-form or `*`, byte for byte as sent. */
  target: string;
  /** Host as sent, with its port. */
  authority: string;
  /** The host name alone: lower-case, no port, no final dot; an IPv6 address keeps its brackets. */
  host: string;
  /** Readings of the path that a target may make of it; see `pathReadings`. The first is the path as sent. */
  paths: string[];
  /** End-to-end fields, flat, in order; without those that gateways set themselves. */
  fields: string[];
  hasBody: boolean;
  /** The declared length of the body in bytes, or -1. */
  contentLength: number;
  /** The protocols that an Upgrade asks for, as sent, if the request asks for an upgrade. */
  upgrade: string | undefined;
  /** What was sent of the fields that proxies set, for a peer that is a trusted proxy. */
  forwarded: ForwardedFields;
  /** True when the visitor prefers a page to JSON. */
  wantsPage: boolean;
}

/** Fields of an earlier proxy, as sent. */
export interface ForwardedFields {
  forwarded: string | undefined;
  xForwardedFor: string | undefined;
  xForwardedHost: string | undefined;
  xForwardedProto: string | undefined;
}

/** A request that is answered here. */
export interface RequestFault {
  status: 400 | 405 | 431 | 501;
  detail: string;
}

/** What the parser gives: the shape of `node:http`'s IncomingMessage. */
export interface RawRequest {
  method?: string | undefined;
  url?: string | undefined;
  /** Such as "1.1". */
  httpVersion?: string | undefined;
  rawHeaders: string[];
}

/** Fields of one request. The parser of one runtime drops what is over its own limit, and tells nobody. */
export const REQUEST_FIELDS_MAX = 200;

const HOST = /^(?:\[[0-9a-f:.]+\]|[a-z0-9_~!$&'()*+,;=%-]+(?:\.[a-z0-9_~!$&'()*+,;=%-]+)*)$/;
const PORT = /^[0-9]{1,5}$/;

/**
 * Reads a request.
 *
 * @param headBytesMax The longest request line and field section together, in bytes.
 */
export function readRequest(raw: RawRequest, headBytesMax: number): RequestReading | RequestFault {
  const method = raw.method ?? "";
  if (!isToken(method)) return fault("The method is not a token");
  if (method === "CONNECT") return { status: 405, detail: "CONNECT is not served here" };
  const isOld = raw.httpVersion === "1.0";
  if (!isOld && raw.httpVersion !== undefined && raw.httpVersion !== "1.1") {
    return fault("The HTTP version is not 1.0 or 1.1");
  }
  if (raw.rawHeaders.length > 2 * REQUEST_FIELDS_MAX) {
    return { status: 431, detail: `The head has over ${REQUEST_FIELDS_MAX} fields` };
  }
  const sorted = sortFields(raw.rawHeaders);
  if (sorted.bytes + method.length + (raw.url?.length ?? 0) > headBytesMax) {
    return { status: 431, detail: `The head is over ${headBytesMax} bytes` };
  }
  if (sorted.hosts !== 1) {
    return fault(sorted.hosts === 0 ? "Host is missing" : "Host is given more than once");
  }
  if (sorted.lengths > 1) return fault("Content-Length is given more than once");
  if (sorted.disguised) return fault("A field that frames the body is written with an underscore");
  const framing = readFraming(raw.rawHeaders);
  if (framing.fault) return fault(framing.fault);
  // RFC 9112 §6.1: a client that old knows no chunks, so something between has mixed two messages up.
  if (isOld && framing.chunked) return fault("HTTP/1.0 knows no Transfer-Encoding");
  const host = parseHost(sorted.authority);
  if (host === undefined) return fault("Host is not a valid host name");
  const target = parseTarget(raw.url ?? "", method, sorted.authority);
  if (typeof target !== "string") return target;
  return {
    method,
    target,
    authority: sorted.authority,
    host,
    paths: pathReadings(target),
    fields: removeNominated(sorted.fields, sorted.nominated),
    hasBody: framing.chunked || framing.contentLength > 0,
    contentLength: framing.contentLength,
    upgrade: !isOld && sorted.nominated.includes("upgrade") ? sorted.upgrade : undefined,
    forwarded: sorted.forwarded,
    wantsPage: sorted.wantsPage,
  };
}

function fault(detail: string): RequestFault {
  return { status: 400, detail };
}

/** The host name of an authority, or `undefined` when it is not one. */
export function parseHost(authority: string): string | undefined {
  const colon = authority.endsWith("]") ? -1 : authority.lastIndexOf(":");
  const port = colon < 0 ? undefined : authority.slice(colon + 1);
  if (port !== undefined && (!PORT.test(port) || Number(port) > 65_535)) return undefined;
  let host = (colon < 0 ? authority : authority.slice(0, colon)).toLowerCase();
  if (host.endsWith(".")) host = host.slice(0, -1);
  return host.length > 0 && host.length <= 255 && HOST.test(host) ? host : undefined;
}

function parseTarget(url: string, method: string, authority: string): string | RequestFault {
  if (!isRequestTarget(url) || url.includes("#")) return fault("The request target holds what it may not");
  if (url.startsWith("/")) return url;
  if (url === "*") return method === "OPTIONS" ? url : fault("Only OPTIONS may ask for *");
  const absolute = /^https?:\/\/([^/?]*)(.*)$/i.exec(url);
  if (!absolute) return fault("The request target is neither a path nor an http address");
  // RFC 9112 §3.2.2 lets the target win over Host; two readers may disagree, so they must be the same.
  if (absolute[1]!.toLowerCase() !== authority.toLowerCase()) {
    return fault("The request target names another host");
  }
  const rest = absolute[2]!;
  return rest.startsWith("/") ? rest : `/${rest}`;
}

/**
 * The paths that a target may read: as sent, and as a server that decodes and tidies it would.
 *
 * Routes and rules must give the same answer for all of them, or the request is ambiguous.
 *
 * @param target Origin-form or `*`.
 * @returns The path as sent, without the query, and the tidied one where it differs.
 */
export function pathReadings(target: string): string[] {
  const query = target.indexOf("?");
  const path = query < 0 ? target : target.slice(0, query);
  if (!/[%\\;]|\/\.|\/\//.test(path)) return [path];
  const segments: string[] = [];
  // A path parameter (";x") belongs to its segment for some servers and is dropped by others.
  const decoded = path.replace(/%([0-9a-f]{2})/gi, (_, hex) => String.fromCharCode(parseInt(hex, 16)));
  const parts = decoded.replaceAll("\\", "/").split("/").map((part) => part.split(";", 1)[0]!);
  for (const part of parts) {
    if (part === "..") segments.pop();
    else if (part !== "" && part !== ".") segments.push(part);
  }
  const last = parts[parts.length - 1]!;
  const slash = last === "" || last === "." || last === "..";
  const tidy = `/${segments.join("/")}${slash && segments.length > 0 ? "/" : ""}`;
  return tidy === path ? [path] : [path, tidy];
}

interface SortedFields {
  fields: string[];
  bytes: number;
  hosts: number;
  authority: string;
  lengths: number;
  /** A field that a CGI target would take for one that frames the body. */
  disguised: boolean;
  upgrade: string | undefined;
  /** Lower-case tokens of Connection. */
  nominated: string[];
  forwarded: ForwardedFields;
  wantsPage: boolean;
}

/** Splits fields into those that go on and those that end here. One pass, since every request pays for it. */
function sortFields(raw: string[]): SortedFields {
  const forwarded: ForwardedFields = {
    forwarded: undefined,
    xForwardedFor: undefined,
    xForwardedHost: undefined,
    xForwardedProto: undefined,
  };
  const sorted: SortedFields = {
    fields: [],
    bytes: 0,
    hosts: 0,
    authority: "",
    lengths: 0,
    disguised: false,
    upgrade: undefined,
    nominated: [],
    forwarded,
    wantsPage: false,
  };
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!;
    const value = raw[i + 1]!;
    sorted.bytes += name.length + value.length + 4;
    switch (plainName(name)) {
      case "host":
        sorted.hosts++;
        sorted.authority = value;
        break;
      case "content-length":
        sorted.lengths++;
        sorted.disguised ||= name.includes("_");
        break;
      case "transfer-encoding":
        sorted.disguised ||= name.includes("_");
        break;
      case "accept":
        sorted.wantsPage = value.includes("text/html");
        break;
      case "connection":
        for (const token of value.split(",")) sorted.nominated.push(token.trim().toLowerCase());
        continue;
      case "upgrade":
        sorted.upgrade = sorted.upgrade === undefined ? value : `${sorted.upgrade}, ${value}`;
        continue;
      case "te":
        // gRPC needs it, and trailers pass here.
        if (/\btrailers\b/i.test(value)) sorted.fields.push(name, "trailers");
        continue;
      case "forwarded":
        forwarded.forwarded = joined(forwarded.forwarded, value);
        continue;
      case "x-forwarded-for":
        forwarded.xForwardedFor = joined(forwarded.xForwardedFor, value);
        continue;
      case "x-forwarded-host":
        forwarded.xForwardedHost = joined(forwarded.xForwardedHost, value);
        continue;
      case "x-forwarded-proto":
        forwarded.xForwardedProto = joined(forwarded.xForwardedProto, value);
        continue;
      case "cookie": {
        // Nothing behind this gateway may see who is signed in to its page.
        const others = withoutSessionCookie(value);
        if (others !== "" || value === "") sorted.fields.push(name, others);
        continue;
      }
      case "keep-alive":
      case "proxy-connection":
      case "proxy-authorization":
      case "http2-settings":
      case "x-real-ip":
      case "x-forwarded-port":
      case "x-forwarded-prefix":
      case "x-forwarded-server":
      case "x-forwarded-ssl":
        continue;
    }
    sorted.fields.push(name, value);
  }
  return sorted;
}

/** Lower-case, and with `-` for `_`: CGI and WSGI cannot tell X_Forwarded_For from X-Forwarded-For. */
export function plainName(name: string): string {
  const lower = name.toLowerCase();
  return lower.includes("_") ? lower.replaceAll("_", "-") : lower;
}

function joined(before: string | undefined, value: string): string {
  return before === undefined ? value : `${before}, ${value}`;
}

/** What Connection may never remove: it would change what the request is or who sent it. */
export const ESSENTIAL = new Set([
  "host",
  "content-length",
  "transfer-encoding",
  "content-type",
  "authorization",
  "cookie",
]);
const USUAL = new Set(["close", "keep-alive", "upgrade", "te", "http2-settings", ""]);

/** Removes the fields that Connection names. @see RFC 9110 §7.6.1 */
export function removeNominated(fields: string[], nominated: string[]): string[] {
  const names = nominated.filter((name) => !USUAL.has(name) && !ESSENTIAL.has(name));
  if (names.length === 0) return fields;
  const kept: string[] = [];
  for (let i = 0; i < fields.length; i += 2) {
    if (!names.includes(fields[i]!.toLowerCase())) kept.push(fields[i]!, fields[i + 1]!);
  }
  return kept;
}
