/**
 * The address of a gateway's admin API, as the commands that talk to it take it.
 *
 * What `serve --admin` takes is taken here too, so that one `NETWALL_ADMIN` serves both.
 *
 * @module
 */
import { isIPv6 } from "node:net";
import type { z } from "zod";
import { quoted } from "../printable.ts";
import { ADDRESS_CHARS_MAX, parseUnixAddress, type UnixAddress } from "./addresses.ts";
import { parseListenAddress } from "./listen.ts";
import { leaf, ValueError, type Written } from "./units.ts";

/** Where the admin API of a gateway is. */
export type AdminAddress = UnixAddress | {
  readonly kind: "http";
  /** True for `https:`. */
  readonly secure: boolean;
  /** A name or an address; IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
  /** What stands before `/api/v1`, such as `/netwall` behind a proxy; empty, or with a slash in front and none behind. */
  readonly path: string;
};

const FORMS = "127.0.0.1:9090, unix:/run/netwall/admin.sock or https://HOST";

/**
 * Reads `HOST:PORT`, `unix:PATH`, `http://HOST…` or `https://HOST…`.
 *
 * The address of every network, such as `0.0.0.0:9090`, is dialled on loopback.
 *
 * @throws {ValueError} None of these, `off`, port 0, or a URL with a user name, a password or a query.
 */
export function parseAdminAddress(text: string): AdminAddress {
  if (text === "off") throw new ValueError(`the admin API is off there: name the address of one, ${FORMS}`);
  if (text.startsWith("unix:")) return parseUnixAddress(text);
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(text)) return parseUrl(text);
  const address = parseListenAddress(text, false);
  if (address.kind !== "tcp") throw new ValueError(`${quoted(text)} cannot be dialled: write ${FORMS}`);
  if (address.port === 0) {
    throw new ValueError(`${quoted(text)} has port 0: write the real one, as in ${FORMS}`);
  }
  const host = address.host === "0.0.0.0" ? "127.0.0.1" : /^[0:]+$/.test(address.host) ? "::1" : address.host;
  return { kind: "http", secure: false, host, port: address.port, path: "" };
}

/** A URL may hold a password: none that could is repeated in a message. */
function parseUrl(text: string): AdminAddress {
  if (text.includes("@") || text.includes("?") || text.includes("#")) {
    throw new ValueError(
      "address has a user name, password, query or fragment: leave it out, the token comes from a file or the environment",
    );
  }
  if (text.length > ADDRESS_CHARS_MAX) {
    throw new ValueError(`address is too long: at most ${ADDRESS_CHARS_MAX} characters`);
  }
  // URL would drop blanks, control characters and backslashes silently.
  // deno-lint-ignore no-control-regex
  const url = /[\s\\\u0000-\u001f\u007f]/.test(text) ? null : URL.parse(text);
  if (url === null || url.hostname === "" || url.port === "0") {
    throw new ValueError(`${quoted(text)} is no valid address: write ${FORMS}`);
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    throw new ValueError(`${quoted(text)} is no address of an admin API: write ${FORMS}`);
  }
  const secure = url.protocol === "https:";
  const bare = url.hostname.replace(/^\[|\]$/g, "");
  return {
    kind: "http",
    secure,
    host: isIPv6(bare) ? bare : url.hostname,
    port: url.port !== "" ? Number(url.port) : secure ? 443 : 80,
    path: url.pathname.replace(/\/+$/, ""),
  };
}

/** An admin API to talk to. */
export function adminAddress(): z.ZodType<AdminAddress, Written> {
  return leaf("ADDR", parseAdminAddress);
}
