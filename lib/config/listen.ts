/**
 * The addresses a gateway listens on, and the networks it trusts, as people write them.
 *
 * @module
 */

import ipaddr from "ipaddr.js";
import type { z } from "zod";
import { quoted } from "../printable.ts";
import { isHostName } from "../routing/router.ts";
import { parseUnixAddress, type UnixAddress } from "./addresses.ts";
import { leaf, ValueError, type Written } from "./units.ts";

/** Where a server listens. */
export type ListenAddress = UnixAddress | {
  readonly kind: "tcp";
  /** A name or an address; IPv6 without brackets. */
  readonly host: string;
  /** 0 picks a free one. */
  readonly port: number;
} | { readonly kind: "off" };

const FORMS = "HOST:PORT, [::1]:PORT, :PORT or unix:PATH";

/**
 * Reads `HOST:PORT`, `[V6]:PORT`, `:PORT` (which is `0.0.0.0:PORT`), `unix:PATH` or `off`.
 *
 * @param offAllowed Whether `off` is a value here.
 * @throws {ValueError} When it is none of these.
 */
export function parseListenAddress(text: string, offAllowed = true): ListenAddress {
  if (text === "off" && offAllowed) return { kind: "off" };
  if (text.startsWith("unix:")) return parseUnixAddress(text);
  const forms = offAllowed ? `${FORMS}, or off` : FORMS;
  if (/^\d+$/.test(text)) {
    throw new ValueError(`${quoted(text)} is a port alone: write :${text} or 127.0.0.1:${text}`);
  }
  if (text.includes("://")) throw new ValueError(`${quoted(text)} is a URL: write an address, ${forms}`);
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(text);
  if (match === null) {
    if (ipaddr.IPv6.isValid(text.replace(/:\d+$/, "")) && text.includes("::")) {
      throw new ValueError(`${quoted(text)} has an IPv6 address without brackets: write [::1]:8080`);
    }
    if (!text.includes(":")) throw new ValueError(`${quoted(text)} has no port: write ${forms}`);
    throw new ValueError(`${quoted(text)} is no address to listen on: write ${forms}`);
  }
  const [, v6, name = "", digits = ""] = match;
  const port = Number(digits);
  if (port > 65_535) throw new ValueError(`port ${digits} is too large: at most 65535, as in 127.0.0.1:8080`);
  const host = v6 ?? (name === "" ? "0.0.0.0" : name.toLowerCase());
  const numeric = /^[\d.]+$/.test(host);
  const valid = v6 !== undefined
    ? ipaddr.IPv6.isValid(v6)
    : numeric
    ? ipaddr.IPv4.isValidFourPartDecimal(host)
    : isHostName(host);
  if (!valid) throw new ValueError(`${quoted(text)} has no valid host: write ${forms}`);
  return { kind: "tcp", host, port };
}

/** An address to listen on as it would be written. */
export function formatListenAddress(address: ListenAddress): string {
  if (address.kind === "off") return "off";
  if (address.kind === "unix") return `unix:${address.path}`;
  return `${address.host.includes(":") ? `[${address.host}]` : address.host}:${address.port}`;
}

/**
 * Reads a network such as `10.0.0.0/8` or `fd00::/8`; one address alone is a network of one.
 *
 * @returns The same network in canonical text.
 * @throws {ValueError} No network, or one whose address has bits beyond its length.
 */
export function parseCidr(text: string): string {
  const [address = "", length, more] = text.split("/");
  const v4 = ipaddr.IPv4.isValidFourPartDecimal(address);
  const v6 = address.includes(":") && !address.includes("%") && ipaddr.IPv6.isValid(address);
  const bitsMax = v4 ? 32 : 128;
  const bits = length === undefined ? bitsMax : /^\d{1,3}$/.test(length) ? Number(length) : -1;
  if (!(v4 || v6) || more !== undefined || bits < 0 || bits > bitsMax) {
    throw new ValueError(
      `${quoted(text)} is no network: write one such as 10.0.0.0/8, 192.168.1.7 or fd00::/8`,
    );
  }
  const first = v4
    ? ipaddr.IPv4.networkAddressFromCIDR(`${address}/${bits}`)
    : ipaddr.IPv6.networkAddressFromCIDR(`${address}/${bits}`);
  const canonical = `${first.toString()}/${bits}`;
  if (first.toString() !== ipaddr.parse(address).toString()) {
    throw new ValueError(`${quoted(text)} has address bits beyond its length: write ${canonical}`);
  }
  return canonical;
}

/** An address to listen on. */
export function listenAddress(offAllowed = true): z.ZodType<ListenAddress, Written> {
  return leaf("ADDR", (text) => parseListenAddress(text, offAllowed));
}

/** A network, in canonical text. */
export function cidr(): z.ZodType<string, Written> {
  return leaf("CIDR", parseCidr);
}

/** A domain name in lower case, without a dot at its end. */
export function domainName(): z.ZodType<string, Written> {
  return leaf("NAME", (text) => {
    const name = text.toLowerCase().replace(/\.$/, "");
    // A service and a dot go in front of it, 64 characters at most.
    if (isHostName(name) && name.length <= 189 && !name.startsWith("[") && !/^[\d.]+$/.test(name)) {
      return name;
    }
    throw new ValueError(`${quoted(text)} is no domain name: write one such as apps.example.com`);
  });
}
