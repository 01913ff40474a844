/**
 * Reads the head of a request to the agent's local proxy, and writes the head that its host gets.
 *
 * A head that two programs could read in two ways is refused. The host is text: it is lower-cased and its characters are
 * checked, but `127.1` or `0x7f000001` stay what they are, for the gateway to refuse.
 * Source: RFC 9110 §7.6 and §9.3.6, RFC 9112 §3.2 and §6.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { isIPv6 } from "node:net";
import { type FieldLines, parseFieldLines, readFraming } from "../http/fields.ts";
import { parseHost, plainName, removeNominated } from "../http/reading.ts";
import type { RequestFraming } from "./request_end.ts";

/** Fields of one request, as many as a gateway takes from a visitor. */
export const PROXY_FIELDS_MAX = 200;

/** A request that is answered by the proxy itself. */
export interface ProxyFault {
  readonly kind: "fault";
  readonly status: 400 | 405 | 414 | 431 | 501 | 505;
  readonly detail: string;
}

/** A host as text, and a port. */
export interface HostPort {
  /** Lower-case, no final dot; an IPv6 address has no brackets. */
  readonly host: string;
  /** 1 to 65,535. */
  readonly port: number;
}

/** What a head asks for. */
export type ProxyHead =
  | (HostPort & { readonly kind: "connect" })
  | (HostPort & { readonly kind: "forward"; readonly head: Uint8Array; readonly framing: RequestFraming })
  | ProxyFault;

const REQUEST_LINE = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([\x21-\x7e\x80-\xff]+) HTTP\/([0-9])\.([0-9])$/;
const NAME = /^(?=.{1,253}$)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*$/;
const PORT = /^[0-9]{1,5}$/;
const SCHEME = /^[a-z][a-z0-9+.-]*:\/\//i;
const HTTP_TARGET = /^http:\/\/([^/?#]*)([^#]*)$/i;
const CONNECT_FIRST = "use CONNECT, as clients do when https_proxy is set";
const SET_PROXY = "set http_proxy and https_proxy to this address, and ask for http://HOST/ or https://HOST/";

/** A refusal with its reason, one sentence for whoever runs the program. */
export function proxyFault(status: ProxyFault["status"], detail: string): ProxyFault {
  return { kind: "fault", status, detail };
}

/**
 * Reads a head.
 *
 * @param text All of it as latin1, without the empty line; no lone LF in it.
 */
export function readProxyHead(text: string): ProxyHead {
  const lineEnd = text.indexOf("\r\n");
  const line = REQUEST_LINE.exec(lineEnd < 0 ? text : text.slice(0, lineEnd));
  if (line === null) return proxyFault(400, "The request line is not METHOD TARGET HTTP/1.1");
  const [, method = "", target = "", major, minor] = line;
  if (major !== "1" || (minor !== "0" && minor !== "1")) {
    return proxyFault(505, "This proxy speaks HTTP/1.1 and HTTP/1.0 only");
  }
  // RFC 9112 §5.2 lets a proxy refuse a folded line; to unfold it is one more chance to differ from the next reader.
  if (/\r\n[ \t]/.test(text)) return proxyFault(400, "A field is folded over two lines");
  const lines: FieldLines = lineEnd < 0
    ? { fields: [] }
    : parseFieldLines(text, lineEnd + 2, PROXY_FIELDS_MAX);
  if ("code" in lines) return proxyFault(lines.code === "too_many_fields" ? 431 : 400, lines.message);
  const request: Request = { method, target, isOld: minor === "0", ...sortFields(lines.fields) };
  const fault = checkFields(request);
  if (fault !== undefined) return fault;
  const framing = framingOf(request, lines.fields);
  if ("status" in framing) return framing;
  return method === "CONNECT" ? readConnect(request, framing) : readForward(request, framing);
}

/** A head in parts. */
interface Request extends SortedFields {
  readonly method: string;
  readonly target: string;
  /** HTTP/1.0. */
  readonly isOld: boolean;
}

interface SortedFields {
  /** Those that may go on, flat, in order; without those that this proxy writes itself. */
  readonly fields: string[];
  readonly hosts: readonly string[];
  readonly lengths: readonly string[];
  readonly codings: readonly string[];
  /** A field that some servers would take for one that frames the body. */
  readonly isDisguised: boolean;
  /** Protocols of Upgrade, in order. */
  readonly upgrades: readonly string[];
  /** Lower-case tokens of Connection. */
  readonly nominated: readonly string[];
  readonly maxForwards: string | undefined;
}

/** Splits fields into those that go on and those that end here. @see RFC 9110 §7.6.1 */
function sortFields(raw: readonly string[]): SortedFields {
  const fields: string[] = [];
  const hosts: string[] = [];
  const lengths: string[] = [];
  const codings: string[] = [];
  const upgrades: string[] = [];
  const nominated: string[] = [];
  let isDisguised = false;
  let maxForwards: string | undefined;
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const [name = "", value = ""] = [raw[index], raw[index + 1]];
    const plain = plainName(name);
    // Proxy-Authorization is a secret between the program and this proxy. "Proxy" alone would become the environment's
    // HTTP_PROXY in a CGI target.
    if (plain === "proxy" || plain.startsWith("proxy-")) continue;
    switch (plain) {
      case "host":
        hosts.push(value);
        continue;
      case "connection":
        nominated.push(...tokensOf(value).map((token) => token.toLowerCase()));
        continue;
      case "upgrade":
        upgrades.push(...tokensOf(value));
        continue;
      case "keep-alive":
      case "te":
      case "http2-settings":
        continue;
      case "max-forwards":
        maxForwards = value;
        break;
      case "content-length":
        lengths.push(value);
        isDisguised ||= name.includes("_");
        break;
      case "transfer-encoding":
        codings.push(value);
        isDisguised ||= name.includes("_");
        break;
    }
    fields.push(name, value);
  }
  return { fields, hosts, lengths, codings, upgrades, nominated, isDisguised, maxForwards };
}

function tokensOf(value: string): string[] {
  return value.split(",").map((token) => token.trim()).filter((token) => token !== "");
}

function checkFields({ method, isOld, hosts }: Request): ProxyFault | undefined {
  const [host] = hosts;
  if (hosts.length > 1) return proxyFault(400, "Host is given more than once");
  // Many old clients leave Host out of CONNECT, where it says nothing that the target does not say.
  if (host === undefined) {
    return isOld || method === "CONNECT" ? undefined : proxyFault(400, "Host is missing");
  }
  return parseHost(host) === undefined ? proxyFault(400, "Host is not a valid host name") : undefined;
}

/** How the body ends, or why that is not clear. @see RFC 9112 §6.1 to §6.3 */
function framingOf(request: Request, raw: readonly string[]): RequestFraming | ProxyFault {
  const { isOld, lengths, codings, isDisguised } = request;
  if (isDisguised) return proxyFault(400, "A field that frames the body is written with an underscore");
  if (lengths.length > 1) return proxyFault(400, "Content-Length is given more than once");
  if (lengths[0]?.includes(",")) return proxyFault(400, "Content-Length is not a number of bytes");
  // RFC 9112 §6.1: a client that old knows no chunks, so something between has mixed two messages up.
  if (isOld && codings.length > 0) return proxyFault(400, "HTTP/1.0 knows no Transfer-Encoding");
  if (codings.length === 1 && lengths.length === 0 && isForeignCoding(codings[0] ?? "")) {
    return proxyFault(
      501,
      "The transfer coding is not supported: send the body chunked, or with Content-Length",
    );
  }
  const { fault, chunked, contentLength } = readFraming(raw);
  if (fault !== undefined) return proxyFault(400, fault);
  if (chunked) return { kind: "chunked" };
  return contentLength > 0 ? { kind: "length", bytes: contentLength } : { kind: "none" };
}

/** A coding that might be all right elsewhere, such as "gzip, chunked". */
function isForeignCoding(value: string): boolean {
  const codings = tokensOf(value);
  return codings.at(-1)?.toLowerCase() === "chunked" && codings.length > 1;
}

function readConnect(request: Request, framing: RequestFraming): ProxyHead {
  if (framing.kind !== "none") return proxyFault(400, "CONNECT has no body");
  const at = parseAuthority(request.target, undefined);
  return typeof at === "string" ? proxyFault(400, at) : { kind: "connect", ...at };
}

function readForward(request: Request, body: RequestFraming): ProxyHead {
  const { method, target, isOld } = request;
  if (method === "TRACE") return proxyFault(405, "TRACE is not passed on, as it shows secrets");
  if (target === "*") return proxyFault(405, `This is an HTTP proxy: ${SET_PROXY}`);
  const absolute = HTTP_TARGET.exec(target);
  if (absolute === null) return proxyFault(400, targetDetail(target));
  const at = parseAuthority(absolute[1] ?? "", 80);
  if (typeof at === "string") return proxyFault(400, at);
  const { maxForwards } = request;
  if (method === "OPTIONS" && maxForwards !== undefined) {
    return proxyFault(405, "OPTIONS with Max-Forwards asks proxies: this one has nothing to say");
  }
  const protocols = isOld || !request.nominated.includes("upgrade") ? [] : upgradesOf(request);
  const isUpgrade = protocols.length > 0;
  const name = at.host.includes(":") ? `[${at.host}]` : at.host;
  const fields = [
    ...["Host", at.port === 80 ? name : `${name}:${at.port}`],
    ...removeNominated(request.fields, [...request.nominated]),
    // A server that does not upgrade must close as well: what follows was meant for the other protocol.
    ...["Connection", isUpgrade ? "Upgrade, close" : "close"],
    ...(isUpgrade ? ["Upgrade", protocols.join(", ")] : []),
  ];
  let head = `${method} ${originForm(method, absolute[2] ?? "")} HTTP/1.${isOld ? 0 : 1}\r\n`;
  for (let index = 0; index < fields.length; index += 2) head += `${fields[index]}: ${fields[index + 1]}\r\n`;
  const framing = isUpgrade ? { kind: "upgrade" as const } : body;
  return { kind: "forward", ...at, head: Buffer.from(`${head}\r\n`, "latin1"), framing };
}

/** HTTP/2 in clear text is not offered on: its settings belong to the first hop alone. */
function upgradesOf({ upgrades }: Request): string[] {
  return upgrades.filter((protocol) => protocol.toLowerCase() !== "h2c");
}

/** The path and query of an absolute address. @see RFC 9112 §3.2.1 and §3.2.4 */
function originForm(method: string, rest: string): string {
  if (rest === "") return method === "OPTIONS" ? "*" : "/";
  return rest.startsWith("/") ? rest : `/${rest}`;
}

function targetDetail(target: string): string {
  if (target.startsWith("/")) return `This is an HTTP proxy, not a server: ${SET_PROXY}`;
  if (/^https:\/\//i.test(target)) return `An https address is not passed on in the clear: ${CONNECT_FIRST}`;
  if (target.includes("#")) return "The request target holds a fragment";
  const scheme = SCHEME.test(target);
  return scheme
    ? "Only http:// addresses are passed on"
    : `The request target is no http:// address: ${SET_PROXY}`;
}

/** A host and its port, or what is wrong with them. `defaultPort` undefined: the port must be given. */
function parseAuthority(text: string, defaultPort: number | undefined): HostPort | string {
  if (text.includes("@")) return "User and password may not stand in the address";
  const match = /^(\[[^\]]*\]|[^:]*)(?::(.*))?$/.exec(text);
  if (match === null) return "The target is not HOST:PORT; an IPv6 address stands in brackets";
  let host = (match[1] ?? "").toLowerCase();
  if (host.startsWith("[")) {
    host = host.slice(1, -1);
    // A zone id names an interface of this machine, and it is the gateway that dials.
    if (!isIPv6(host) || host.includes("%")) return "The target's host is not an IPv6 address";
  } else {
    if (host.endsWith(".")) host = host.slice(0, -1);
    if (!NAME.test(host)) return "The target's host is not a valid name or address";
  }
  const written = match[2] === "" ? undefined : match[2];
  if (written === undefined) {
    return defaultPort === undefined
      ? "The target has no port: write HOST:PORT"
      : { host, port: defaultPort };
  }
  const port = Number(written);
  if (!PORT.test(written) || port < 1 || port > 65_535) return "The target's port is not 1 to 65535";
  return { host, port };
}
